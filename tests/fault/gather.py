"""Asks the outside world what became of everything: the topics, the rails, and the services as their users see them."""

import asyncio
import csv
import io
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from deploy.demo.client import each
from deploy.demo.evidence import parked, rail_book, six
from deploy.demo.figures import PROGRAMME
from deploy.local.bus import Cluster
from tests.fault.checker import Evidence, Seen
from tests.fault.dump import dump
from tests.fault.life import Citizen
from tests.fault.load import Load

ASKED_MAX: Final = 6_000
"""Citizens who are asked what they see: all of a run of a thousand kills; of more, every n-th."""
AGAIN_MAX: Final = 5
BATCHES_MAX: Final = 500
WIDTH: Final = 16


async def gather(load: Load, cluster: Cluster, stuck: Sequence[str]) -> Evidence:
    world = load.town.world
    bank, bank_twice = await rail_book(world, "bank")
    wallet, wallet_twice = await rail_book(world, "ewallet")
    known = [citizen for citizen in load.citizens if citizen.token]
    return Evidence(
        acknowledged=_lines(load),
        records=await dump(cluster),
        rails={"bank": bank, "e-wallet": wallet},
        twice_booked=[*bank_twice, *wallet_twice],
        seen=await _seen(load, known[:: max(1, -(-len(known) // ASKED_MAX))]),
        batches=await _batches(load),
        ledger=six(await load.officers.ledger()),
        books=six(await load.officers.books()),
        booked=await _booked(load),
        parked=await parked(world),
        stuck=[*load.watch.stuck, *stuck],
        disowned=load.town.disowned,
        paid_at=load.paid_at,
        citizens=len(known),
    )


def _lines(load: Load) -> list[dict[str, Any]]:
    history = load.town.world.history
    return history.read(*history.counts)


async def _seen(load: Load, citizens: Sequence[Citizen]) -> dict[str, Seen]:
    """Every page that a citizen has, as the citizen sees it."""
    seen: dict[str, Seen] = {}

    async def look(citizen: Citizen, service: str, path: str) -> Any:
        url = load.town.world.service(service, path)
        for _ in range(AGAIN_MAX):
            answer = await load.town.world.client.call("GET", url, token=citizen.token)
            if answer.status not in (429, 503):  # busy is no answer to what was asked
                break
            await asyncio.sleep(1)
        return answer.body if answer.ok else None

    async def one(citizen: Citizen) -> None:
        timeline = await look(citizen, "registration", "/v1/me/timeline")
        membership = await look(citizen, "training", "/v1/me/membership")
        account = await look(citizen, "disbursement", "/v1/me/account")
        payouts = await look(citizen, "disbursement", "/v1/me/payouts")
        seen[citizen.citizen_id] = Seen(
            me=await look(citizen, "registration", "/v1/me"),
            timeline=Counter(entry["what"] for entry in timeline or ()),
            membership=(membership or {}).get("state", "none"),
            enrolments=frozenset(entry["enrolment_id"] for entry in (membership or {}).get("enrolments", ())),
            account=(account or {}).get("state", "none"),
            payouts=frozenset(entry["milestone"] for entry in payouts or ()),
        )

    await each(citizens, one, WIDTH)
    return seen


async def _batches(load: Load) -> dict[str, str]:
    """The newest batches, more than any run has had."""
    token = await load.officers.token("finance-checker")
    told = await load.town.world.client.get(
        load.town.world.service("disbursement", f"/v1/batches?limit={BATCHES_MAX}"), token
    )
    return {batch["batch_id"]: batch["state"] for batch in told}


async def _booked(load: Load) -> list[str]:
    """The event ids of finance's export, in the order of booking."""
    token = await load.officers.token("auditor")
    url = load.town.world.service("finance", f"/v1/exports/{PROGRAMME}.csv")
    answer = await load.town.world.client.call("GET", url, token=token, raw=True)
    return [row["event_id"].replace("-", "") for row in csv.DictReader(io.StringIO(answer.body.decode()))]
