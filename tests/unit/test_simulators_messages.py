"""The message gateway: one reference is one message, and inboxes can be read one by one or in bulk."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from httpx import AsyncClient

from deploy.simulators import common, messages
from libs.events.clock import FixedClock
from tests.unit.simulators import client


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[AsyncClient]:
    settings = common.Settings(port=0, book=tmp_path / "book")
    async with client(messages.create(settings, FixedClock(datetime(2020, 4, 1, tzinfo=UTC)))) as told:
        yield told


def sms(reference: str, to: str = "+628110000001", text: str = "Kode Anda 123456") -> dict[str, Any]:
    return {"reference": reference, "channel": "sms", "to": to, "text": text}


async def test_a_message_lies_in_the_inbox_newest_first(gateway: AsyncClient) -> None:
    answer = await gateway.post("/v1/messages", json=[sms("a"), sms("b", to="+628110000002"), sms("c")])
    assert (answer.status_code, answer.json()) == (202, {"accepted": 3})
    inbox = (await gateway.get("/v1/inbox", params={"to": "+628110000001"})).json()
    assert [message["reference"] for message in inbox] == ["c", "a"]
    assert inbox[0] == {"reference": "c", "channel": "sms", "text": "Kode Anda 123456", "at": "2020-04-01T00:00:00Z"}
    assert len((await gateway.get("/v1/inbox", params={"to": "+628110000001", "limit": 1})).json()) == 1


async def test_the_same_reference_twice_is_one_message(gateway: AsyncClient) -> None:
    await gateway.post("/v1/messages", json=[sms("a"), sms("a", text="another text")])
    assert (await gateway.post("/v1/messages", json=[sms("a", text="a third")])).json() == {"accepted": 1}
    inbox = (await gateway.get("/v1/inbox", params={"to": "+628110000001"})).json()
    assert [message["text"] for message in inbox] == ["Kode Anda 123456"]


async def test_a_driver_reads_all_inboxes_page_by_page(gateway: AsyncClient) -> None:
    await gateway.post("/v1/messages", json=[sms(f"r{n}", to=f"+6281{n}") for n in range(25)])
    seen, cursor = [], 0
    while page := (await gateway.get("/v1/inboxes", params={"after": cursor, "limit": 10})).json()["messages"]:
        seen += [message["to"] for message in page]
        cursor = page[-1]["cursor"]
    assert seen == [f"+6281{n}" for n in range(25)]
    assert (await gateway.get("/v1/inboxes", params={"after": cursor})).json() == {"messages": [], "cursor": cursor}
