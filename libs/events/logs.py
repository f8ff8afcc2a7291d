"""Logs for people and machines: one JSON object a line, with the sentence in `event`. No personal data, by rule.

A log line is made of a constant sentence and named values. Exceptions are logged by type and place; their text is kept
only for the few types that are known to carry no input.
"""

import logging
import sys
import traceback
from collections.abc import MutableMapping
from typing import Any

import structlog

from libs.events.clock import Clock

SAFE_TEXT = (
    "Poison",
    "Refused",
    "KafkaConnectionError",
    "KafkaError",
    "ConnectionRefusedError",
    "BadProgramme",
)


def configure(service: str, level: str, clock: Clock) -> None:
    """Send all logs of the process to standard output as JSON, stamped with programme time."""

    def stamp(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        line["service"], line["at"] = service, clock.now().isoformat()
        return line

    shared: list[Any] = [structlog.stdlib.add_log_level, stamp, describe_exception]
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(processor=structlog.processors.JSONRenderer(), foreign_pre_chain=shared)
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for noisy in ("aiokafka", "uvicorn.access", "faust"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def describe_exception(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace an exception by its type and the lines it passed: its text may quote what a person typed."""
    if getattr(line.get("_record"), "name", "") == "asyncio":
        line["event"] = "an error in a task that nobody waited for"  # asyncio's own sentence quotes the exception
    error = line.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()[1]
    elif isinstance(error, tuple):
        error = error[1]
    if isinstance(error, BaseException):
        line["error"] = type(error).__name__
        if type(error).__name__ in SAFE_TEXT:
            line["reason"] = str(error)
        if sqlstate := getattr(error, "sqlstate", None):
            line["sqlstate"], line["constraint"] = (
                sqlstate,
                getattr(error, "constraint_name", None),
            )
        frames = traceback.extract_tb(error.__traceback__)[-6:]
        line["trace"] = [
            f"{frame.filename.rsplit('/site-packages/')[-1]}:{frame.lineno} {frame.name}" for frame in frames
        ]
    return line


def get_logger() -> Any:
    return structlog.get_logger()


# Until a process has configured its logs (a test, a small command), the rule about exceptions holds all the same.
structlog.configure(
    processors=[structlog.stdlib.add_log_level, describe_exception, structlog.processors.JSONRenderer()],
    logger_factory=structlog.PrintLoggerFactory(),
)
