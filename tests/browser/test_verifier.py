"""The offline verifier in Chromium, from a disk: it agrees with an honest bundle and names what was changed."""

import base64
import hashlib
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import Window, opened
from tests.unit.selection_bundles import SIGNER, close, make, people

pytestmark = pytest.mark.browser

PAGES = Path(__file__).parents[2] / "services/selection/pages"
FILE = PAGES / "verify.html"
VECTORS = Path(__file__).parents[2] / "docs/vectors"
VALUES = make(people(120))


@pytest.fixture(scope="module")
def verifier(chromium: Any) -> Iterator[Window]:
    with opened(chromium) as window:
        window.page.goto(FILE.as_uri())
        yield window


def judged(window: Window, data: bytes, expected: str = "") -> tuple[str, list[str]]:
    """The verdict's class and every sentence that differs."""
    page = window.page
    page.fill("#key", expected)
    page.set_input_files("#file", {"name": "b.draw.jsonl", "mimeType": "application/jsonl", "buffer": data})
    page.wait_for_selector("#result:not([hidden])")
    page.wait_for_selector("#working", state="hidden")
    return page.get_attribute("#verdict", "class"), page.locator("#checks .diff > span[lang=id]").all_inner_texts()


@pytest.mark.parametrize("name", ["verify.html", "secret.html"])
def test_its_policy_names_its_own_script_and_style(name: str) -> None:
    text = (PAGES / name).read_text()
    for element in ("script", "style"):
        (inside,) = re.findall(rf"<{element}>(.*?)</{element}>", text, re.DOTALL)
        told = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{element}-src 'sha256-{told}'" in text, f"write sha256-{told} into the policy of {element}"
    assert "default-src 'none'" in text
    assert "http://" not in text
    assert "https://" not in text


def test_an_honest_bundle_agrees_and_a_number_is_found(verifier: Window) -> None:
    verdict, differs = judged(verifier, close(VALUES), SIGNER.public_key.hex())
    assert (verdict, differs) == ("verdict", [])
    verifier.seen("verifier-agrees")
    winner = VALUES[1 + VALUES[kind("w")][1]]
    verifier.page.fill("#number", winner[2])
    verifier.page.keyboard.press("Enter")
    assert "Terpilih" in verifier.page.inner_text("#found")
    verifier.page.click("text=English")
    assert "Selected: a seat of" in verifier.page.inner_text("#found")
    verifier.seen("verifier-found")
    verifier.page.click("text=Bahasa Indonesia")


def test_another_key_than_expected_is_named(verifier: Window) -> None:
    _, differs = judged(verifier, close(VALUES), "00" * 32)
    assert differs == ["kunci penanda tangan bukan yang Anda harapkan"]


def changed(at: int, **parts: Any) -> bytes:
    """A bundle whose line `at` was changed by somebody who also wrote a right closing line."""
    values = json.loads(json.dumps(VALUES))
    for place, value in parts.items():
        values[at][int(place.removeprefix("at"))] = value
    return close(values)


def kind(letter: str) -> int:
    return next(at for at, line in enumerate(VALUES) if isinstance(line, list) and line[0] == letter)


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (close(VALUES[:5] + VALUES[6:]), "ada entri hilang atau ganda"),
        (close([*VALUES[:6], VALUES[5], *VALUES[6:]]), "ganda atau tidak pada urutannya"),
        (changed(5, at7="0" * 32), "daftar peserta tidak cocok dengan sidik"),
        (changed(5, at6=9), "tempat, keluarganya"),
        (changed(kind("w"), at2=999), "peringkat 999"),
        (close(VALUES[:-1]), "menurut berkas tidak menang"),
        (close([{**VALUES[0], "seed": "00" * 32}, *VALUES[1:]]), "benih undian di berkas berbeda"),
        (close([{**VALUES[0], "signature": "00" * 64}, *VALUES[1:]]), "tanda tangan di bawah janji salah"),
        (close(VALUES).rpartition(b'{"end"')[0], "baris penutup tidak ada"),
        (b"hello", "bukan berkas undian"),
    ],
)
def test_what_was_changed_is_named(verifier: Window, data: bytes, named: str) -> None:
    verdict, differs = judged(verifier, data)
    assert verdict == "verdict bad"
    assert any(named in sentence for sentence in differs), differs
    verifier.seen("verifier-differs")


def test_every_flipped_byte_of_a_sample_is_noticed(verifier: Window) -> None:
    data, chance = close(VALUES), random.Random(5)
    for at in (*chance.sample(range(len(data)), 60), len(data) - 1):
        flipped = bytearray(data)
        flipped[at] ^= 1 << chance.randrange(8)
        verdict, differs = judged(verifier, bytes(flipped))
        assert verdict == "verdict bad", at
        assert differs


def test_a_hundred_thousand_applicants(verifier: Window, tmp_path: Path) -> None:
    large = tmp_path / "large.draw.jsonl"
    large.write_bytes(close(make(people(100_000))))
    page = verifier.page
    page.set_input_files("#file", large)
    page.wait_for_selector("#bar:visible")
    page.wait_for_selector("#result:not([hidden])", timeout=120_000)
    assert page.get_attribute("#verdict", "class") == "verdict"


@pytest.mark.parametrize("vector", sorted(VECTORS.glob("*.bundle.jsonl")), ids=lambda path: path.name)
def test_the_vectors_of_the_specification_agree(verifier: Window, vector: Path) -> None:
    verdict, differs = judged(verifier, vector.read_bytes())
    assert (verdict, differs) == ("verdict", [])
