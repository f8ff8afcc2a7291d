"""Appeals in Chromium: an applicant sees how and until when, two officers decide, and the seat is accounted for."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from services.selection import appeals
from tests.browser.conftest import Site, opened, seen_everywhere, sign_in
from tests.integration.selection_world import DRAWS, PROGRAMME, World, applied, crowd
from tests.integration.test_selection_officers import revoked, winners

pytestmark = pytest.mark.browser

WAVE, CONTEST, DESK = f"/gelombang/{PROGRAMME}/1", f"/gelombang/{PROGRAMME}/1/banding", "/petugas/banding"
SITI = applied("siti", province="31", exclusions=("blacklist",))
BUDIMAN = applied("budiman", province="31", exclusions=("blacklist",))
PEOPLE = crowd(80)


@pytest.fixture(scope="module")
def excluded(site: Site) -> Site:
    """Wave 1 is published without Siti and Budiman."""
    site.do(site.world.run_wave([*PEOPLE, SITI, BUDIMAN], seats=30))
    return site


async def lodge(world: World, who: Any) -> str:
    async with world.database.transaction() as tx:
        event = await appeals.lodge(
            tx, world.machine.programmes, who.citizen_id, who.application_id, "not-me", world.clock.now()
        )
    return event.appeal_id


def test_an_applicant_sees_how_and_until_when_but_nobody_sees_why(excluded: Site, chromium: Any) -> None:
    days = excluded.world.machine.programmes[PROGRAMME].draw.appeal_days
    assert days == 14
    with opened(chromium) as window:
        page = window.page
        page.goto(f"{excluded.url}{WAVE}?nomor={SITI.application_id}")
        told = page.inner_text("[role=status]")
        assert "tidak ikut diundi" in told
        assert "Jumat, 1 Mei 2020, 23.59 WIB" in told
        assert "blacklist" not in page.content()
        window.seen("wave-excluded")
        window.follow("text=Cara mengajukan banding")
        page.fill("#nomor", SITI.application_id)
        page.keyboard.press("Enter")
        page.wait_for_url("**nomor=**")
        assert "dapat dibanding sampai Jumat, 1 Mei 2020, 23.59 WIB" in page.inner_text("[role=status]")
        assert "daftar yang tidak boleh ikut" not in page.inner_text("main")
        verdicts = set()
        for who in PEOPLE[:40]:
            page.goto(f"{excluded.url}{CONTEST}?nomor={who.application_id}")
            verdicts.add(page.inner_text("[role=status] .lead").partition(":")[0])
        assert {"Terpilih. Nomor ini mendapat kursi.", "Nomor ini ikut diundi, tetapi tidak terpilih."} <= verdicts
        page.goto(f"{excluded.url}{CONTEST}?nomor={'0' * 32}")
        assert "tidak dikenal" in page.inner_text("[role=status]")
        page.goto(f"{excluded.url}{CONTEST}?nomor=NIK")
        assert page.get_attribute("#nomor", "aria-invalid") == "true"
    seen_everywhere(chromium, excluded, "appeal-how", f"{CONTEST}?nomor={SITI.application_id}")


def test_two_officers_decide_and_the_seat_is_shown(excluded: Site, chromium: Any) -> None:
    world = excluded.world
    first, second = (excluded.do(lodge(world, who)) for who in (SITI, BUDIMAN))
    with opened(chromium) as maker, opened(chromium, "desktop") as checker:
        sign_in(excluded, maker, "ani")
        sign_in(excluded, checker, "budi")
        seen_everywhere(chromium, excluded, "officer-desk", "/petugas", maker)
        maker.follow("text=Banding yang perlu diperiksa: 2")
        seen_everywhere(chromium, excluded, "officer-appeals", DESK, maker)
        maker.page.fill("#nomor", f"{first[:16]} {first[16:].upper()}")
        maker.page.keyboard.press("Enter")
        maker.page.wait_for_url(f"**{DESK}/{first}")
        maker.follow("button:has-text('Simpan temuan')")
        assert maker.page.locator(".errors a[href='#finding']").count() == 1
        maker.complaints.clear()  # the browser notes the status 422
        maker.seen("officer-appeal-errors")
        # By keyboard alone: to the choice, the first of three, to the button.
        maker.tab_to("e.name === 'finding'")
        maker.page.keyboard.press("Space")
        maker.tab_to("e.innerText === 'Simpan temuan'")
        with maker.page.expect_navigation():
            maker.page.keyboard.press("Enter")
        assert "Temuan tersimpan" in maker.page.inner_text("[role=status]")
        assert maker.page.locator("button:has-text('Setujui')").count() == 0
        seen_everywhere(chromium, excluded, "officer-appeal", f"{DESK}/{first}", maker)

        checker.page.goto(excluded.url + DESK + "?status=examined")
        assert "oleh ani" in checker.page.inner_text("main")
        checker.follow("main .list a")
        seen_everywhere(chromium, excluded, "officer-appeal-check", f"{DESK}/{first}", checker)
        # The maker finds otherwise while the checker still reads: what was not read is not agreed to.
        maker.page.check("[value=no-evidence]")
        maker.follow("button:has-text('Simpan temuan')")
        checker.follow("button:has-text('Setujui dan kabulkan')")
        assert "bukan yang Anda setujui" in checker.page.inner_text(".errors")
        checker.complaints.clear()
        maker.page.check("[value=record-wrong]")
        maker.follow("button:has-text('Simpan temuan')")
        checker.page.goto(f"{excluded.url}{DESK}/{first}")
        checker.follow("button:has-text('Setujui dan kabulkan')")
        assert "Dikabulkan" in checker.page.inner_text("main")
        checker.seen("officer-appeal-upheld")
        # A form without the session's proof decides nothing.
        held = {"cookie": f"gelombang_staff={checker.page.context.cookies(excluded.url + DESK)[0]['value']}"}
        forged = httpx.post(f"{excluded.url}{DESK}/{second}/approval", data={"finding": "no-evidence"}, headers=held)
        assert forged.status_code == 403
    (lost,) = excluded.do(winners(world))[:1]
    excluded.do(world.tell(revoked(lost)))
    excluded.do(world.announce(2, seats=400, recycle=True))
    seats = httpx.get(f"{excluded.url}/gelombang/{PROGRAMME}/2/kursi").text
    assert "1 di antaranya kembali" in seats
    assert "banding atas gelombang 1" in seats
    assert lost["citizen_id"] not in seats
    assert lost["application_id"] not in seats
    seen_everywhere(chromium, excluded, "seats", f"/gelombang/{PROGRAMME}/2/kursi")
    seen_everywhere(chromium, excluded, "wave-announced", f"/gelombang/{PROGRAMME}/2")


def test_nobody_sees_appeals_without_signing_in(excluded: Site) -> None:
    for path in (DESK, f"{DESK}/{'0' * 32}"):
        assert httpx.get(excluded.url + path).headers["location"] == "/petugas"


def test_after_the_last_day_the_page_says_what_else_can_be_done(excluded: Site) -> None:
    kept = excluded.world.clock.at
    excluded.world.clock.at = DRAWS + timedelta(days=15)
    told = httpx.get(f"{excluded.url}{CONTEST}", params={"nomor": BUDIMAN.application_id}).text
    excluded.world.clock.at = kept
    assert "batas waktu banding sudah lewat" in told
    assert "bergabung di gelombang berikutnya" in told
