"""The committed reference says what the code says."""

import json
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from defusedxml import ElementTree

from libs.events.contracts import catalogue
from libs.events.docs import __main__ as docs
from libs.events.docs import examples, openapi, pages, states

ROOT = Path(__file__).parents[2]
SVG = "{http://www.w3.org/2000/svg}"


def test_nothing_generated_is_stale() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "libs.events.docs", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, ""), f"run `python -m libs.events.docs`:\n{done.stdout}"


def test_every_service_is_described() -> None:
    skipped: list[str] = []
    files = docs.wanted(skipped)
    assert skipped == []
    assert {openapi.path_of(service) for service in docs.services()} <= set(files)


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stale file and a leftover, in a folder of their own."""
    monkeypatch.setattr(docs, "ROOT", tmp_path)
    monkeypatch.setattr(states, "FOLDER", tmp_path / "states")
    monkeypatch.setattr(openapi, "FOLDER", tmp_path / "api")
    monkeypatch.setattr(examples, "missing", dict)
    stale, leftover = tmp_path / "docs/topics.md", tmp_path / "states/gone.svg"
    for path in (stale, leftover):
        path.parent.mkdir(parents=True)
        path.write_text("of yesterday")
    monkeypatch.setattr(docs, "wanted", lambda skipped: {stale: "of today"})
    return tmp_path


def test_the_check_names_each_stale_file(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert docs.check() == 1
    assert capsys.readouterr().out.splitlines() == [
        "docs/topics.md is stale; run `python -m libs.events.docs`",
        "states/gone.svg is no longer made by anything; run `python -m libs.events.docs`",
    ]
    assert docs.write() == 0
    capsys.readouterr()
    assert (docs.check(), capsys.readouterr().out) == (0, "")


def test_golden_examples_are_made_once_and_never_rewritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examples, "EXAMPLES", tmp_path)
    made = examples.missing()
    assert len(made) == len(list(catalogue()))
    for path in made:
        path.write_text("as it was once")
    assert examples.missing() == {}


DRAWINGS = sorted((ROOT / "docs/states").glob("*.svg"))


@pytest.mark.parametrize("path", DRAWINGS, ids=lambda path: path.stem)
def test_a_diagram_can_be_read_aloud(path: Path) -> None:
    root = ElementTree.fromstring(path.read_text())
    title, told = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert root.get("role") == "img"
    assert title is not None
    assert told is not None
    assert root.get("aria-labelledby") == f"{title.get('id')} {told.get('id')}"
    arrows = root.findall(f"{SVG}path[@class='go']")
    assert len((told.text or "").split("; ")) == len(arrows) > 0


@pytest.mark.parametrize("path", DRAWINGS, ids=lambda path: path.stem)
def test_a_diagram_stays_inside_its_frame_and_no_two_states_overlap(path: Path) -> None:
    root = ElementTree.fromstring(path.read_text())
    width, height = float(root.get("width", "0")), float(root.get("height", "0"))
    boxes = sorted(
        (float(box.get("y", "0")), float(box.get("x", "0")), float(box.get("width", "0")))
        for box in root.findall(f"{SVG}rect[@class='box']")
    )
    for (y, x, wide), (next_y, next_x, _) in pairwise(boxes):
        assert y != next_y or x + wide < next_x
    for text in root.iter(f"{SVG}text"):
        x, room = float(text.get("x", "0")), len(text.text or "") * states.CHARACTER
        left = {"middle": x - room / 2, "end": x - room}.get(text.get("text-anchor", "start"), x)
        assert left >= 0
        assert left + room <= width
        assert float(text.get("y", "0")) < height


def test_a_table_is_drawn_whatever_its_shape() -> None:
    class Bought: ...

    assert states.table_of({(None, Bought): "selected", "selected": ["revoked"]}) == (
        ("(new)", "bought", "selected"),
        ("selected", "", "revoked"),
    )


def refs(thing: Any) -> Iterator[str]:
    if isinstance(thing, dict):
        if isinstance(thing.get("$ref"), str):
            yield thing["$ref"]
        for value in thing.values():
            yield from refs(value)
    elif isinstance(thing, list):
        for value in thing:
            yield from refs(value)


@pytest.mark.parametrize("path", [ROOT / "docs/asyncapi.json", *sorted((ROOT / "docs/api").glob("*.json"))], ids=str)
def test_every_reference_inside_a_document_leads_somewhere(path: Path) -> None:
    document = json.loads(path.read_text())
    assert list(refs(document))
    for ref in refs(document):
        assert ref.startswith("#/")
        place = document
        for part in ref[2:].split("/"):
            place = place[part.replace("~1", "/").replace("~0", "~")]


def test_notes_beside_the_fields_are_carried_over() -> None:
    contracts = catalogue()
    assert pages.comments(contracts["incentive-paid"])["milestone"].startswith("incentive-1")
    assert pages.comments(contracts["applied"]) == {"exclusions": "of: blacklist, other-aid"}
