"""The public pages in Chromium: on a phone and a desktop, in both languages, by keyboard, without a script."""

import gzip
import re
from typing import Any

import httpx
import pytest

from tests.browser.conftest import Site, Window, opened
from tests.integration.selection_world import OPENS, PROGRAMME, closed, crowd

pytestmark = pytest.mark.browser

WAVE = f"/gelombang/{PROGRAMME}/1"
FIRST_BYTES_MAX, LATER_BYTES_MAX = 60_000, 15_000


def test_every_page_is_whole(published: Site, window: Window) -> None:
    for name, path in {
        "waves": "/",
        "wave": WAVE,
        "winners": f"{WAVE}/terpilih",
        "appeal-unasked": f"{WAVE}/banding",
        "seats-none": f"{WAVE}/kursi",
        "check": "/periksa",
        "verifier": "/periksa/pemeriksa.html",
        "secret": f"/periksa/rahasia.html#{PROGRAMME}/1",
        "sign-in": "/petugas",
    }.items():
        window.page.goto(published.url + path)
        window.seen(name)
        assert window.page.locator("h1").count() == 1
    window.page.goto(published.url + "/")
    spoken = window.page.evaluate("document.documentElement.lang")
    assert spoken == window.name.rpartition("-")[2]


def test_a_wave_before_its_draw(site: Site, window: Window) -> None:
    number = 2 + ["phone-id", "phone-en", "desktop-id", "desktop-en"].index(window.name)
    world = site.world
    world.clock.at = max(world.clock.at, OPENS)
    site.do(_committed(site, number))
    window.page.goto(f"{site.url}/gelombang/{PROGRAMME}/{number}")
    window.seen("wave-committed")
    assert window.page.locator("li[aria-current=step]").count() == 1
    site.do(world.void(number, "Kuota provinsi salah hitung"))
    window.page.reload()
    window.seen("wave-voided")
    assert "Kuota provinsi salah hitung" in window.page.inner_text("main")


async def _committed(site: Site, number: int) -> None:
    world = site.world
    people = crowd(60, wave=number, prefix=f"komit-{number}")
    view = world.machine.programmes[PROGRAMME].wave(number)
    assert view
    await world.announce(number, seats=20)
    await world.tick(view.opens)
    await world.tell(*people)
    await world.tick(view.closes)
    await world.tell(closed(people, number))
    await world.tick()


def test_a_number_is_found_by_keyboard_alone(published: Site, chromium: Any) -> None:
    won = httpx.get(f"{published.url}{WAVE}/terpilih").text
    winner = re.findall(r"<code>([0-9a-f]{32})</code>", won)[0]
    with opened(chromium) as window:
        window.page.goto(published.url + WAVE)
        window.page.keyboard.press("Tab")
        assert window.page.evaluate("document.activeElement.className") == "skip"
        window.tab_to("e.id === 'nomor'")
        outline = window.page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
        assert outline == "3px"
        window.page.keyboard.type(f" {winner[:16].upper()}-{winner[16:]}")
        window.page.keyboard.press("Enter")
        window.page.wait_for_url("**nomor=**")
        assert "Terpilih. Nomor ini mendapat kursi." in window.page.inner_text("[role=status]")
        window.seen("found")


def test_a_number_that_lost_one_that_is_wrong_and_one_that_is_not_there(published: Site, chromium: Any) -> None:
    with opened(chromium) as window:
        page = window.page
        verdicts = set()
        for number in published.application_ids[:60]:
            page.goto(f"{published.url}{WAVE}?nomor={number}")
            verdicts.add(page.inner_text("[role=status] .lead"))
        assert {"Terpilih. Nomor ini mendapat kursi.", "Tidak terpilih kali ini."} <= verdicts
        page.goto(f"{published.url}{WAVE}?nomor={'0' * 32}")
        assert "tidak dikenal" in page.inner_text("[role=status]")
        page.goto(f"{published.url}{WAVE}?nomor=<b>123")
        window.seen("wrong-number")
        assert page.get_attribute("#nomor", "aria-invalid") == "true"
        assert page.input_value("#nomor") == "<b>123"


def test_winners_are_paged_in_order_and_each_appears_once(published: Site) -> None:
    seen: list[str] = []
    path = f"{WAVE}/terpilih"
    with httpx.Client(base_url=published.url) as client:
        while path:
            text = client.get(path).text
            seen += re.findall(r"<code>([0-9a-f]{32})</code>", text)
            following = re.search(r'href="\?dari=([0-9a-f]{32})" rel="next"', text)
            path = f"{WAVE}/terpilih?dari={following[1]}" if following else ""
        assert len(seen) == 120
        assert seen == sorted(set(seen))
        middle = client.get(f"{WAVE}/terpilih", params={"dari": seen[60][:6]}).text
        assert re.findall(r"<code>([0-9a-f]{32})</code>", middle)[0] == seen[60]


def test_language_and_zone_are_chosen_once_and_kept(published: Site, chromium: Any) -> None:
    with opened(chromium) as window:
        page = window.page
        page.goto(published.url + WAVE)
        assert "10.00 WIB" in page.inner_text("main")
        window.follow("text=English")
        window.follow("footer a:text-is('WIT')")
        assert "12:00 WIT" in page.inner_text("main")
        page.goto(published.url + "/")
        assert page.inner_text("h1") == "Waves of registration and draw"


def test_the_policy_holds_and_nothing_is_a_script(published: Site, chromium: Any) -> None:
    answer = httpx.get(published.url + WAVE)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "<script" not in answer.text
    assert " style=" not in answer.text
    with opened(chromium, java_script_enabled=False) as window:
        asked: list[str] = []
        window.page.on("request", lambda request: asked.append(request.url))
        window.page.goto(published.url + WAVE)
        assert window.page.is_visible("text=Batas menang tiap provinsi")
        assert all(url.startswith(published.url + "/") for url in asked)
    with opened(chromium) as window:
        window.page.goto(published.url + WAVE)
        window.page.evaluate(
            "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.ran = 1'}))"
        )
        assert window.page.evaluate("window.ran") is None
        assert "Content Security Policy" in window.complaints[0]


@pytest.mark.parametrize("path", ["/", WAVE, f"{WAVE}/terpilih", f"{WAVE}/banding", f"{WAVE}/kursi", "/periksa"])
def test_pages_are_light(published: Site, path: str) -> None:
    with httpx.Client(base_url=published.url) as client:
        page = _weight(client, path)
        assets = re.findall(r'(?:href|src)="(/static/[^"]+)"', client.get(path).text)
        first = page + sum(_weight(client, asset) for asset in set(assets))
        for asset in assets:
            assert "immutable" in client.get(asset).headers["cache-control"]
    assert page <= LATER_BYTES_MAX
    assert first <= FIRST_BYTES_MAX


def _weight(client: httpx.Client, path: str) -> int:
    """Bytes on the wire: body as sent, and headers."""
    with client.stream("GET", path) as answer:
        body = b"".join(answer.iter_raw())
        assert len(body) < 500 or gzip.decompress(body)
        return len(body) + sum(len(name) + len(value) + 4 for name, value in answer.headers.raw)


def test_what_is_not_there_says_what_to_do(published: Site, chromium: Any) -> None:
    with opened(chromium) as window:
        answer = window.page.goto(f"{published.url}/gelombang/{PROGRAMME}/999")
        assert answer.status == 404
        assert "Periksa program dan nomornya" in window.page.inner_text("main")
        window.page.goto(f"{published.url}/gelombang/{PROGRAMME}/999?lang=en")
        assert "Check the programme and the number" in window.page.inner_text("main")
