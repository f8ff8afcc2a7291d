"""A wave with officials' secrets in Chromium: made in the browser, handed in, revealed by some, checked by anybody."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.selection import verify_draw
from services.selection.domain.ceremony import LAST_WORD, secret_commitment
from tests.browser.conftest import Site, Window, opened, seen_everywhere, sign_in
from tests.browser.test_verifier import judged
from tests.integration.selection_world import CLOSES, DRAWS, OPENS, PROGRAMME, closed, crowd

pytestmark = pytest.mark.browser

MAKER_OF_SECRETS = Path(__file__).parents[2] / "services/selection/pages/secret.html"
PUBLIC, OFFICERS = f"/gelombang/{PROGRAMME}/1", f"/petugas/{PROGRAMME}/1"
OFFICES = {"ani": "Komite Cipta Kerja", "budi": "Manajemen Pelaksana", "dewi": "Ombudsman Republik Indonesia"}


def made(window: Window, programme: str, wave: int) -> tuple[str, str]:
    """A secret and its commitment, as the page makes them."""
    page = window.page
    page.fill("#programme", programme)
    page.fill("#wave", str(wave))
    page.click("#make")
    page.wait_for_selector("#made:not([hidden])")
    return page.inner_text("#secret"), page.inner_text("#commitment")


def test_the_page_makes_a_commitment_that_the_rules_accept(chromium: Any) -> None:
    with opened(chromium) as window:
        window.page.goto(MAKER_OF_SECRETS.as_uri() + f"#{PROGRAMME}/258")
        assert window.page.input_value("#wave") == "258"
        secret, commitment = made(window, PROGRAMME, 258)
        assert commitment == secret_commitment(PROGRAMME, 258, bytes.fromhex(secret)).hex()
        again, _ = made(window, PROGRAMME, 258)
        assert again != secret
        window.seen("secret-made")
        window.page.fill("#wave", "0")
        window.page.click("#make")
        assert window.page.is_visible("#error")
        assert not window.page.is_visible("#made")


def test_a_ceremony_from_the_first_commitment_to_a_checked_bundle(site: Site, chromium: Any, tmp_path: Path) -> None:
    world, secrets = site.world, {}
    site.do(world.announce(seats=20))
    for account, office in OFFICES.items():
        with opened(chromium) as official, opened(chromium) as tool:
            tool.page.goto(f"{site.url}/periksa/rahasia.html")
            secrets[account], commitment = made(tool, PROGRAMME, 1)
            assert tool.complaints == []
            sign_in(site, official, account)
            official.page.goto(site.url + OFFICERS)
            official.page.click("summary")
            official.page.select_option("#office", label=office)
            official.page.fill("#secret_commitment", commitment[:-1])
            official.follow("button:has-text('Serahkan janji')")
            assert official.page.get_attribute("#secret_commitment", "aria-invalid") == "true"
            if account == "ani":
                seen_everywhere(chromium, site, "officer-ceremony-commit", OFFICERS, official)
            official.page.fill("#secret_commitment", f"{commitment[:32]} {commitment[32:].upper()}")
            official.follow("button:has-text('Serahkan janji')")
            assert "Janji Anda tercatat" in official.page.inner_text("[role=status]")
            assert official.page.locator("#office").count() == 0
    seen_everywhere(chromium, site, "wave-ceremony-gathering", PUBLIC)

    applications = crowd(60)
    site.do(world.tick(OPENS))
    site.do(world.tell(*applications))
    site.do(world.tick(CLOSES))
    site.do(world.tell(closed(applications)))
    site.do(world.tick())
    for account in ("ani", "budi"):
        reveal(site, chromium, account, secrets)
    public = httpx.get(site.url + PUBLIC).text
    assert "2 dari 3 pejabat sudah membuka rahasianya." in public
    assert secrets["ani"] in public
    assert secrets["dewi"] not in public
    seen_everywhere(chromium, site, "wave-ceremony-revealing", PUBLIC)

    site.do(world.tick(DRAWS - LAST_WORD + timedelta(seconds=10)))
    public = httpx.get(site.url + PUBLIC).text
    assert "2 dari 3 pejabat membuka rahasianya." in public
    assert "Tidak membuka" in public
    site.do(world.tick(DRAWS))
    seen_everywhere(chromium, site, "wave-ceremony-published", PUBLIC)
    check_bundle(site, chromium, tmp_path / "wave.draw.jsonl")


def reveal(site: Site, chromium: Any, account: str, secrets: dict[str, str]) -> None:
    with opened(chromium) as official:
        sign_in(site, official, account)
        assert "Buka rahasia Anda" in official.page.inner_text("main")
        official.follow("text=Buka rahasia Anda")
        official.page.fill("#secret", "0" * 64)
        official.follow("button:has-text('Buka rahasia')")
        assert "tidak cocok dengan janji Anda" in official.page.inner_text(".errors")
        official.complaints.clear()  # the browser notes the status 422
        if account == "ani":
            seen_everywhere(chromium, site, "officer-ceremony-reveal", OFFICERS, official)
        official.page.fill("#secret", secrets[account])
        official.follow("button:has-text('Buka rahasia')")
        assert "Rahasia Anda sudah terbuka untuk umum" in official.page.inner_text("[role=status]")


def check_bundle(site: Site, chromium: Any, path: Path) -> None:
    """The bundle that the service gives, in the browser and with the standard library."""
    path.write_bytes(httpx.get(f"{site.url}/v1/waves/{PROGRAMME}/1/bundle").content)
    with opened(chromium) as verifier:
        verifier.page.goto(f"{site.url}/periksa/pemeriksa.html")
        verdict, differs = judged(verifier, path.read_bytes())
        assert (verdict, differs) == ("verdict", [])
        told = verifier.page.inner_text("#checks")
        assert "Ombudsman Republik Indonesia tidak membuka rahasianya" in told
        assert "Komite Cipta Kerja membuka rahasia yang dijanjikannya" in told
        # What a browser can not compute is said in the verdict, and how to check it beside it.
        assert "perlu Anda periksa sendiri" in verifier.page.inner_text("#verdict")
        assert "Belum diperiksa: apakah angka acak ini sungguh diterbitkan sumbernya" in told
        verifier.seen("verifier-ceremony")
        data = path.read_bytes()
        secret = data.index(b'[\\"Manajemen Pelaksana\\",\\"') + len(b'[\\"Manajemen Pelaksana\\",\\"')
        flipped = bytearray(data)
        flipped[secret] = ord("0") if flipped[secret] != ord("0") else ord("1")
        verdict, differs = judged(verifier, bytes(flipped))
        assert verdict == "verdict bad"
        assert differs
    command = [sys.executable, str(verify_draw.__file__), str(path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout
