"""The offline verifier in Chromium, from a disk: it agrees with an honest bundle and names what was changed."""

import base64
import copy
import hashlib
import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import Window, opened
from tests.unit.selection_bundles import SIGNER, close, make, people
from tests.unit.test_selection_verify_draw import SHAPES, WITH_OFFICIALS, promise, same_office

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


def test_whose_key_it_is_was_not_checked_without_the_expected_one(verifier: Window) -> None:
    judged(verifier, close(VALUES))
    (said,) = verifier.page.locator("#checks .warn > span[lang=id]").filter(has_text="/periksa").all_inner_texts()
    assert SIGNER.public_key.hex() in said
    assert "/periksa" in verifier.page.inner_text("#key-hint")


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


@pytest.mark.parametrize(("honest", "named", "forge"), SHAPES, ids=[f"{at}: {e[1]}" for at, e in enumerate(SHAPES)])
def test_a_value_that_does_not_have_its_form_is_refused(
    verifier: Window, honest: list[Any], named: str, forge: Callable[[list[Any]], Any]
) -> None:
    """The same forgeries that verify_draw.py refuses."""
    values = copy.deepcopy(honest)
    forge(values)
    verdict, differs = judged(verifier, close(values))
    assert (verdict, bool(differs)) == ("verdict bad", True), named


@pytest.mark.parametrize("places", [(0, 2), (0, 1, 2)])
def test_an_office_that_stands_twice_is_named(verifier: Window, places: tuple[int, ...]) -> None:
    values = copy.deepcopy(WITH_OFFICIALS)
    same_office(values, *places)
    _, differs = judged(verifier, close(values))
    assert differs == ["Bendahara tercantum lebih dari sekali di daftar pejabat"]


@pytest.mark.parametrize("name", ["draws_at", "committed_at"])
def test_a_time_in_a_list_is_no_time(verifier: Window, name: str) -> None:
    values = copy.deepcopy(VALUES)
    promise(values, lambda told: told.update({name: [told[name]]}))
    _, differs = judged(verifier, close(values))
    assert any(f"commitment.{name}" in sentence for sentence in differs), differs


def test_who_names_quicknet_must_name_all_of_it(verifier: Window) -> None:
    known = json.loads((Path(__file__).parents[1] / "data" / "drand_quicknet.json").read_text())
    names = ("public_key", "genesis_time", "period_seconds")
    known = {"chain": known["chain_hash"], **{name: known[name] for name in names}}
    used = json.loads(VALUES[0]["commitment"])["randomness"]

    def differs(beacon: dict[str, Any]) -> list[str]:
        values = copy.deepcopy(VALUES)
        promise(values, lambda told: told["randomness"].update(beacon))
        return judged(verifier, close(values))[1]

    assert not any("quicknet" in sentence for sentence in differs(known))
    for name in known:
        (lie,) = (sentence for sentence in differs({**known, name: used[name]}) if "quicknet" in sentence)
        assert f"bernama atau berkunci quicknet, tetapi {name}" in lie


def test_nothing_comes_after_the_closing_line_and_no_line_has_a_byte_order_mark(verifier: Window) -> None:
    data = close(VALUES)
    end = {"lines": data.count(b"\n"), "sha256": hashlib.sha256(data).hexdigest()}
    second = json.dumps({"end": end}, separators=(",", ":")).encode() + b"\n"
    for changed_file in (data + second, data.replace(b'{"end"', b'\xef\xbb\xbf{"end"'), b"\xef\xbb\xbf" + data):
        verdict, differs = judged(verifier, changed_file)
        assert (verdict, bool(differs)) == ("verdict bad", True)


def test_which_draw_it_is_stands_at_the_top(verifier: Window) -> None:
    judged(verifier, close(VALUES))
    said = verifier.page.inner_text("#verdict")
    assert "prakerja-2020, gelombang 1" in said
    assert json.loads(VALUES[0]["commitment"])["pool"]["root"] in said


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


def judge(bundle: Path, **environment: str) -> tuple[int, str]:
    """What `make draw-demo` shows of the browser."""
    command = [sys.executable, "-m", "tests.browser.judge", str(bundle)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | environment)
    return done.returncode, done.stdout


@pytest.mark.usefixtures("playwright")
def test_the_page_is_asked_from_the_command_line(tmp_path: Path) -> None:
    honest, forged = tmp_path / "honest.jsonl", tmp_path / "forged.jsonl"
    honest.write_bytes(close(VALUES))
    forged.write_bytes(close(VALUES[:-1]))
    code, said = judge(honest)
    assert (code, said.count("Differs"), "The draw agrees" in said) == (0, 0, True)
    code, said = judge(forged)
    assert (code, said.count("Differs"), "The draw does NOT agree" in said) == (1, 1, True)
    code, said = judge(honest, GELOMBANG_CHROMIUM=str(tmp_path / "none"))
    assert (code, "apt install chromium" in said) == (0, True)
