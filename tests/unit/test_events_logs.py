"""Logs name what happened; what a person typed is not in them, wherever the exception came from."""

import asyncio
import json
import logging
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest
import structlog

from libs.events import logs
from libs.events.clock import FixedClock
from libs.events.codec import Poison
from libs.events.refusal import Refusal, Refused
from tests.support import NOON

SECRET = "3201010101010001"


def fail(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as raised:
        return raised


def described(error: Any) -> dict[str, Any]:
    return dict(logs.describe_exception(None, "error", {"event": "it failed", "exc_info": error}))


def test_an_exception_is_its_type_and_its_place_and_not_its_text() -> None:
    line = described(fail(ValueError(f"NIK {SECRET} is wrong")))
    assert line["error"] == "ValueError"
    assert line["trace"][-1].split()[-1] == "fail"
    assert SECRET not in json.dumps(line)


@pytest.mark.parametrize("given", ["the exception", "its triple", "True"])
def test_causes_and_contexts_leak_as_little(given: str) -> None:
    error = fail(RuntimeError(f"because of {SECRET}"))
    error.__cause__ = fail(KeyError(SECRET))
    try:
        raise error
    except RuntimeError:
        forms = {"the exception": error, "its triple": (type(error), error, error.__traceback__), "True": True}
        line = described(forms[given])
    assert line["error"] == "RuntimeError"
    assert SECRET not in json.dumps(line)


def test_a_database_error_is_its_sqlstate_and_constraint_without_the_row() -> None:
    error = asyncpg.UniqueViolationError(f"Key (nik)=({SECRET}) already exists.")
    error.constraint_name = "citizen_nik_key"
    error.detail = f"Key (nik)=({SECRET})"
    line = described(fail(error))
    assert (line["sqlstate"], line["constraint"]) == ("23505", "citizen_nik_key")
    assert SECRET not in json.dumps(line)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Poison("bad-data", "applied: wrong: wave"), "bad-data: applied: wrong: wave"),
        (Refused(Refusal("too-late", 409, "Terlambat.", "Too late.")), "too-late"),
    ],
)
def test_texts_that_carry_no_input_are_kept(error: Exception, reason: str) -> None:
    assert described(fail(error))["reason"] == reason


def test_a_line_without_an_exception_stays_as_it_is() -> None:
    assert described(None) == {"event": "it failed"}


@pytest.fixture
def configured() -> Iterator[None]:
    before, root, level = structlog.get_config(), list(logging.root.handlers), logging.root.level
    logs.configure("training", "INFO", FixedClock(NOON))
    yield
    structlog.configure(**before)
    logging.basicConfig(level=level, handlers=root, force=True)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_every_line_is_json_with_service_and_programme_time(
    capsys: pytest.CaptureFixture[str], configured: None
) -> None:
    logs.configure("training", "INFO", FixedClock(NOON))  # once more, onto the stream that is captured
    structlog.get_logger().warning("a batch waits", records=3)
    logging.getLogger("somebody.else").error("%d records", 4, exc_info=fail(ValueError(SECRET)))
    structlog.get_logger().debug("too much")
    ours, theirs = lines(capsys)
    assert ours == {
        "event": "a batch waits", "records": 3, "level": "warning", "service": "training", "at": NOON.isoformat(),
    }  # fmt: skip
    assert (theirs["event"], theirs["error"], theirs["at"]) == ("4 records", "ValueError", NOON.isoformat())
    assert SECRET not in json.dumps(theirs)


async def test_a_task_that_nobody_waited_for_leaks_nothing(
    capsys: pytest.CaptureFixture[str], configured: None
) -> None:
    logs.configure("training", "INFO", FixedClock(NOON))
    future = asyncio.get_running_loop().create_future()
    future.set_exception(ValueError(SECRET))
    asyncio.get_running_loop().call_exception_handler(
        {"message": "Task exception was never retrieved", "exception": future.exception(), "future": future}
    )
    (line,) = lines(capsys)
    assert line["error"] == "ValueError"
    assert SECRET not in json.dumps(line)
