"""Formats, readers, bars, and the headers of a page."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import pytest
from fastapi import FastAPI, Query, Request, Response
from httpx import ASGITransport, AsyncClient

from libs.events.refusal import Refusal, Refused
from libs.pages import charts, formats
from libs.pages.look import Look
from libs.pages.reader import Reader

FRIDAY = datetime(2020, 4, 17, 17, 30, tzinfo=UTC)
SHIPPED = Path(__file__).parents[2] / "libs/pages"
NO = Refusal("no", 409, "Tidak bisa <b>.", "It can not <b>.")


def test_money_and_numbers_are_written_as_in_indonesia() -> None:
    assert formats.rupiah(600_000) == "Rp600.000"
    assert formats.rupiah(-1_500) == "−Rp1.500"
    assert formats.rupiah(0) == "Rp0"
    assert (formats.number(40_000), formats.number(40_000, "en")) == ("40.000", "40,000")
    assert (formats.percent(0.1234), formats.percent(0.1234, "en")) == ("12,3%", "12.3%")


@pytest.mark.parametrize(
    ("reader", "written"),
    [
        (Reader(), "Sabtu, 18 April 2020, 00.30 WIB"),
        (Reader("id", "WITA"), "Sabtu, 18 April 2020, 01.30 WITA"),
        (Reader("en", "WIT"), "Saturday, 18 April 2020, 02:30 WIT"),
    ],
)
def test_a_moment_is_told_in_the_readers_zone_and_language(reader: Reader, written: str) -> None:
    assert formats.moment(FRIDAY, reader) == written
    with pytest.raises(ValueError, match="without a zone"):
        formats.moment(FRIDAY.replace(tzinfo=None), reader)


def test_a_bar_never_leaves_its_track() -> None:
    widths = [charts.bar(part, 8).count(f'width="{width}"') for part, width in ((2, 25), (-1, 0), (9, 100))]
    assert widths == [1, 1, 2]
    assert 'class="part" width="0"' in charts.bar(3, 0)
    assert "<script" not in charts.bar(1, 2, '"><script>')


def site(look: Look) -> AsyncClient:
    api = FastAPI()
    router = look.routes()

    @router.get("/")
    async def page(request: Request) -> Response:
        return look.page(request, "refused.html", refusals=[NO])

    @router.get("/private")
    async def private(request: Request) -> Response:
        return look.page(request, "refused.html", private=True, refusals=[NO])

    @router.get("/refused")
    async def refused(wave: Annotated[int, Query(ge=1)]) -> Response:
        raise Refused(NO)

    @router.get("/broken")
    async def broken() -> Response:
        raise RuntimeError("secret")

    api.include_router(router)
    return AsyncClient(transport=ASGITransport(api), base_url="http://pages.test")


async def test_language_is_chosen_by_address_kept_by_cookie_and_anything_else_is_ignored() -> None:
    async with site(Look(SHIPPED)) as client:
        assert '<html lang="id">' in (await client.get("/")).text
        chosen = await client.get("/?lang=en&zone=WIT")
        assert '<html lang="en">' in chosen.text
        assert chosen.cookies["lang"] == "en"
        assert '<html lang="en">' in (await client.get("/?lang=<script>")).text
        assert '<html lang="id">' in (await client.get("/?lang=id")).text


async def test_pages_carry_a_strict_policy_and_private_ones_are_not_compressed() -> None:
    async with site(Look(SHIPPED)) as client:
        page, private = await client.get("/"), await client.get("/private")
    assert page.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in private.headers
    for answer in (page, private):
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "script-src" not in answer.headers["content-security-policy"]
        assert answer.headers["referrer-policy"] == "no-referrer"
    assert "Tidak bisa &lt;b&gt;." in page.text


async def test_refusals_and_failures_are_pages_in_the_readers_language() -> None:
    async with site(Look(SHIPPED)) as client:
        refused = await client.get("/refused?wave=3&lang=en")
        assert (refused.status_code, "It can not" in refused.text) == (409, True)
        invalid = await client.get("/refused?wave=x<b>")
        assert (invalid.status_code, "x<b>" in invalid.text.partition("<main")[2]) == (422, False)
        broken = await client.get("/broken")
        assert broken.status_code == 500
        assert "secret" not in broken.text
