"""The page of long runs says what their files say."""

import json
from pathlib import Path

import pytest

from tests.fault import published

RUN = {
    "seed": "7", "kills": 3, "kills_by_target": {"kafka": 1, "finance": 2}, "kills_by_point": {"relay.sent": 1},
    "sleeps": {}, "restarts": {"kafka": 4}, "twins": 1, "shuffles": 2, "acknowledged": 1234, "events": 2345,
    "repeats": 3, "payments": 4, "lost": 0, "doubled": 1, "out_of_order": 0, "stuck": 0, "seconds": 90.0,
    "witnessed": {"relays fenced": 5}, "machine": {"processors": 2}, "code": "c0ffee",
    "strikes": [{}],
}  # fmt: skip


def test_the_page_is_made_from_the_files_beside_it() -> None:
    assert (published.OUT / "README.md").read_text() == published.render(published.OUT)


def test_a_kill_run_is_kept_without_its_strikes_and_shown(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text(json.dumps(RUN))
    kept = published.keep(tmp_path / "summary.json", tmp_path)
    assert kept.name == "seed-7.json"
    assert json.loads(kept.read_text()) == {key: value for key, value in RUN.items() if key != "strikes"}
    page = published.render(tmp_path)
    assert "| acknowledged to clients | 1,234 |" in page
    assert "| **doubled** | 1 |" in page
    assert "finance 2, kafka 1" in page
    assert "Code: commit c0ffee." in page


def test_another_run_goes_by_its_name(tmp_path: Path) -> None:
    for name in ("storm", "guess"):
        (tmp_path / f"{name}.json").write_text(json.dumps({"events": 1000, "lost": 0}))
    published.keep(tmp_path / "storm.json", tmp_path)
    assert "| events | 1,000 |" in published.render(tmp_path)
    (tmp_path / "poison.json").write_text(
        json.dumps({"clean": {"seed": "1", "lost": 0}, "bad": {"seed": "1", "lost": 2}})
    )
    page = published.render(tmp_path)
    assert "| | clean | bad |" in page
    assert "| lost | 0 | 2 |" in page
    with pytest.raises(ValueError, match=r"guess\.json: neither"):
        published.keep(tmp_path / "guess.json", tmp_path)


def test_an_answer_is_left_with_its_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published, "LEFT", tmp_path / "long-runs")
    published.leave("storm", {"lost": 0})
    told = json.loads((tmp_path / "long-runs" / "storm.json").read_text())
    assert told["lost"] == 0
    assert told["machine"]["processors"] >= 1
    assert told["code"]
