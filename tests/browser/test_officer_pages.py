"""Officers run a wave in Chromium: two people, sign-in with a code, forms that nobody else can send."""

from typing import Any

import httpx
import pytest

from services.selection.draws import draw_one
from tests.browser.conftest import Site, Window, opened, seen_everywhere, sign_in
from tests.integration.selection_world import PROGRAMME, closed, crowd, lane

pytestmark = pytest.mark.browser

FOLDER = "/petugas"


def test_two_people_announce_and_void_a_wave(site: Site, chromium: Any) -> None:
    wave = f"{FOLDER}/{PROGRAMME}/1"
    with opened(chromium) as maker, opened(chromium, "desktop") as checker:
        sign_in(site, maker, "ani")
        maker.seen("officer-waves-empty")
        maker.follow("text=Usulkan gelombang")
        maker.seen("officer-proposal")
        maker.follow("button:has-text('Kirim usulan')")
        assert maker.page.get_attribute("#wave", "aria-invalid") == "true"
        assert maker.page.locator(".errors a[href='#wave']").count() == 1
        maker.complaints.clear()  # the browser notes the status 422
        maker.page.click("summary")
        maker.page.fill("#quotas", "31,public,5\n99,public,2")
        maker.page.fill("#wave", "1")
        maker.page.fill("#seats", "7")
        maker.follow("button:has-text('Kirim usulan')")
        assert maker.page.get_attribute("#quotas", "aria-invalid") == "true"
        assert maker.page.locator(".errors a[href='#quotas']").count() == 1
        maker.complaints.clear()
        maker.seen("officer-proposal-errors")
        maker.page.fill("#quotas", "")
        maker.page.fill("#wave", "1")
        maker.page.fill("#seats", "120")
        maker.follow("button:has-text('Kirim usulan')")
        assert "Usulan tersimpan" in maker.page.inner_text("[role=status]")
        assert maker.page.locator("text=Setujui dan umumkan").count() == 0
        maker.seen("officer-proposed")

        sign_in(site, checker, "budi")
        checker.follow("main .list a")
        checker.page.click("summary")
        checker.seen("officer-check")
        checker.follow("text=Setujui dan umumkan")
        assert "diumumkan" in checker.page.inner_text("[role=status]")
        assert site.do(site.world.state()) == "announced"

        maker.page.goto(site.url + wave)
        maker.page.fill("#closes_at", "2020-04-16T18:00")
        maker.page.fill("#times-reason", "Server sibuk pada hari terakhir")
        maker.follow("button:has-text('Usulkan perubahan waktu')")
        maker.seen("officer-times")
        checker.page.goto(site.url + wave)
        checker.follow("button:has-text('Setujui perubahan')")
        checker.page.goto(f"{site.url}/gelombang/{PROGRAMME}/1")
        assert "ditutup Kamis, 16 April 2020, 18.00 WIB" in checker.page.inner_text("main")
        checker.seen("wave-changed")

        maker.page.goto(site.url + wave)
        maker.page.fill("#void-reason", "pendek")
        maker.follow("button:has-text('Usulkan pembatalan')")
        assert maker.page.input_value("#void-reason") == "pendek"
        assert maker.page.get_attribute("#void-reason", "aria-invalid") == "true"
        assert maker.page.get_attribute(".errors a", "href") == "#void-reason"
        maker.page.fill("#void-reason", "Kuota Papua salah hitung")
        maker.follow("button:has-text('Usulkan pembatalan')")
        checker.page.goto(site.url + wave)
        checker.seen("officer-void")
        checker.follow("button:has-text('Setujui pembatalan')")
        assert site.do(site.world.state()) == "voided"
        checker.seen("officer-voided")

        checker.follow("button:has-text('Keluar')")
        checker.page.goto(site.url + wave)
        assert checker.page.url == site.url + FOLDER
        assert checker.page.inner_text("h1") == "Masuk sebagai petugas"


def test_a_wrong_password_and_an_account_without_the_role(site: Site, chromium: Any) -> None:
    with opened(chromium) as window:
        sign_in(site, window, "ani", "wrong")
        assert "Wrong account or password" in window.page.inner_text("body")
        window.page.fill("[name=account]", "citra")
        window.page.fill("[name=password]", "secret of citra")
        window.follow("button")
        assert "tidak berwenang" in window.page.inner_text("main")


def test_a_form_from_elsewhere_does_nothing(site: Site, chromium: Any) -> None:
    with opened(chromium) as window:
        sign_in(site, window, "ani")
        cookies = window.page.context.cookies(site.url + FOLDER)
        (session,) = (cookie for cookie in cookies if cookie["name"] == "gelombang_staff")
        assert (session["httpOnly"], session["sameSite"], session["path"]) == (True, "Lax", FOLDER)
        held = f"gelombang_staff={session['value']}"
    form = {"programme": PROGRAMME, "wave": "5", "seats": "10"}
    with httpx.Client(base_url=site.url) as stranger:
        assert stranger.post(f"{FOLDER}/usul", data=form).status_code == 401
        forged = stranger.post(f"{FOLDER}/usul", data=form | {"proof": "0" * 64}, headers={"cookie": held})
        assert forged.status_code == 403
        assert "bukan dari halaman Anda" in forged.text
        strange = stranger.get(f"{FOLDER}/masuk/kembali", params={"code": "x", "state": "y"})
        assert strange.status_code == 400
        assert f"{PROGRAMME}/5" not in stranger.get(FOLDER, headers={"cookie": held}).text


def test_whoever_proposed_is_told_that_another_approves_and_a_replaced_proposal_is_not_approved(
    site: Site, chromium: Any
) -> None:
    with opened(chromium) as both, opened(chromium) as checker:
        site.do(site.world.propose(7, seats=50, person="eka"))
        sign_in(site, both, "eka")
        assert "menunggu pemeriksa lain" in both.page.inner_text("main")
        both.page.goto(f"{site.url}{FOLDER}/{PROGRAMME}/7")
        assert "pemeriksa lain yang menyetujui" in both.page.inner_text("main")
        assert both.page.locator("button:has-text('Setujui dan umumkan')").count() == 0

        sign_in(site, checker, "budi")
        assert "Diusulkan oleh eka" in checker.page.inner_text("main")
        checker.page.goto(f"{site.url}{FOLDER}/{PROGRAMME}/7")
        site.do(site.world.propose(7, seats=90, person="eka"))
        checker.follow("button:has-text('Setujui dan umumkan')")
        assert "sudah diganti sejak itu" in checker.page.inner_text(".errors")
        assert site.do(site.world.state(7)) == "proposed"
        checker.follow("button:has-text('Setujui dan umumkan')")
        assert site.do(site.world.state(7)) == "announced"


def test_a_draw_is_set_aside_by_keyboard_alone(site: Site, chromium: Any) -> None:
    """The page of a wave while it is closed, committed, and drawn with a request that waits."""
    world, wave = site.world, f"{FOLDER}/{PROGRAMME}/2"
    rules = world.machine.programmes[PROGRAMME].wave(2)
    assert rules
    people = crowd(60, wave=2)
    site.do(world.announce(2, seats=20))
    site.do(world.tick(rules.opens))
    site.do(world.tell(*people[1:]))
    site.do(world.tick(rules.closes))
    site.do(world.tell(closed(people, 2)))
    site.do(world.tick())
    with opened(chromium) as maker, opened(chromium, "desktop") as checker:
        sign_in(site, maker, "ani")
        maker.page.goto(site.url + wave)
        assert f"Partisi yang belum cocok: {lane(people[0])}." in maker.page.inner_text("main")
        seen_everywhere(chromium, site, "officer-closed", wave, maker)

        site.do(world.tell(people[0]))
        site.do(world.tick())
        assert site.do(world.state(2)) == "committed"
        maker.page.goto(site.url + wave)
        maker.tab_to("e.id == 'redraw-reason'")
        maker.page.keyboard.type("pendek")
        with maker.page.expect_navigation():
            maker.page.keyboard.press("Enter")
        # The summary of what is wrong leads to the field, by keyboard too.
        maker.complaints.clear()  # the browser notes the status 422
        maker.tab_to("e.matches('.errors a')")
        maker.page.keyboard.press("Enter")
        maker.tab_to("e.id == 'redraw-reason'")
        maker.page.keyboard.press("Control+A")
        maker.page.keyboard.type("Sumber acak diragukan")
        maker.tab_to("e.textContent.trim() == 'Usulkan undian ulang'")
        with maker.page.expect_navigation():
            maker.page.keyboard.press("Enter")
        assert "Usul perubahan tersimpan" in maker.page.inner_text("[role=status]")
        seen_everywhere(chromium, site, "officer-committed", wave, maker)

        world.clock.at = rules.draws
        site.do(draw_one(world.machine, world.database, rules.draws))
        assert site.do(world.state(2)) == "drawn"
        sign_in(site, checker, "budi")
        checker.page.goto(site.url + wave)
        assert "Sumber acak diragukan" in checker.page.inner_text("main")
        seen_everywhere(chromium, site, "officer-drawn", wave, checker)
        press(checker, "Setujui perubahan")
        assert "Perubahan disetujui" in checker.page.inner_text("[role=status]")
        assert site.do(world.state(2)) == "closed"
        assert (maker.complaints, checker.complaints) == ([], [])


def press(window: Window, button: str) -> None:
    """Find a button with Tab, and press it with the space bar."""
    window.tab_to(f"e.tagName == 'BUTTON' && e.textContent.trim() == '{button}'")
    with window.page.expect_navigation():
        window.page.keyboard.press("Space")
