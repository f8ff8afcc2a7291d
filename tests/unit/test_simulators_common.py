"""What the simulators share: faults that can be replayed, days, settings, errors that repeat nothing."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from fastapi import HTTPException

from deploy.simulators import civil_registry, common
from libs.events.clock import FixedClock
from tests.unit.simulators import client


def fate(tmp_path: Path, seed: str, name: str = "book") -> common.Fate:
    return common.Fate(seed, common.open_book(tmp_path / name, ""))


def test_a_fault_is_a_function_of_seed_fault_and_reference(tmp_path: Path) -> None:
    def struck(one: common.Fate, fault: str = "late") -> list[str]:
        return [ref for ref in map(str, range(1000)) if one.strikes(fault, 10, ref)]

    first = struck(fate(tmp_path, "1"))
    assert first == struck(fate(tmp_path, "1", "another book"))
    assert first != struck(fate(tmp_path, "2"))
    assert first != struck(fate(tmp_path, "1"), "twice")
    assert 70 < len(first) < 130


def test_a_rate_of_nothing_and_of_everything_is_exact(tmp_path: Path) -> None:
    one = fate(tmp_path, "1")
    assert not any(one.strikes("x", 0, str(ref)) for ref in range(1000))
    assert all(one.strikes("x", 100, str(ref)) for ref in range(1000))


def test_asking_again_is_another_try_even_after_a_restart(tmp_path: Path) -> None:
    book = common.open_book(tmp_path / "book", "")
    with book:
        first = common.Fate("1", book).attempt("r")
    book.close()
    again = common.open_book(tmp_path / "book", "")
    with again:
        assert common.Fate("1", again).attempt("r") != first


def test_a_statement_day_is_a_day_in_jakarta_that_has_ended() -> None:
    clock = FixedClock(datetime(2020, 4, 17, 16, 59, 59, 999_999, tzinfo=UTC))  # 23:59:59.999999 in Jakarta
    with pytest.raises(HTTPException) as early:
        common.day_of("2020-04-17", clock)
    assert early.value.status_code == 425
    clock.at = datetime(2020, 4, 17, 17, 0, tzinfo=UTC)
    assert common.day_of("2020-04-17", clock) == (
        datetime(2020, 4, 16, 17, 0, tzinfo=UTC),
        datetime(2020, 4, 17, 16, 59, 59, 999_999, tzinfo=UTC),
    )
    with pytest.raises(HTTPException) as wrong:
        common.day_of("2020-04-31", clock)
    assert wrong.value.status_code == 404


def test_a_missing_setting_is_named_when_the_start_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = tmp_path / "simulator.env"
    settings.write_text("SIMULATOR_PORT='70000'\n")
    monkeypatch.setenv("GELOMBANG_SETTINGS", str(settings))
    with pytest.raises(SystemExit) as refused:
        common.Settings.load()
    assert "SIMULATOR_BOOK" in str(refused.value)
    assert "SIMULATOR_PORT" in str(refused.value)


async def test_a_refused_request_repeats_nothing_of_what_was_sent(tmp_path: Path) -> None:
    settings = civil_registry.Settings(port=0, book=tmp_path / "book")
    async with client(civil_registry.create(settings, FixedClock(datetime(2020, 4, 1, tzinfo=UTC)))) as registry:
        answer = await registry.post("/v1/checks", json=[{"reference": "r", "nik": "3273010101900001", "kk": "1\x00"}])
    assert answer.status_code == 422
    assert "3273010101900001" not in answer.text


async def test_health(tmp_path: Path) -> None:
    settings = civil_registry.Settings(port=0, book=tmp_path / "book")
    async with client(civil_registry.create(settings, FixedClock(datetime(2020, 4, 1, tzinfo=UTC)))) as registry:
        for path in ("/health/live", "/health/ready"):
            assert (await registry.get(path)).status_code == 200
