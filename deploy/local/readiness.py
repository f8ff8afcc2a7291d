"""Waits until processes answer that they are ready, and says in their own words why one does not."""

import http.client
import json
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Final

from deploy.local.problem import Problem
from deploy.local.supervision import Supervisor

READY_SECONDS_MAX: Final = 180
CRASHING_SECONDS_MAX: Final = 20
"""A process that still dies at once after so long is not waiting for a neighbour: it has a fault of its own."""
POLL_SECONDS: Final = 0.1
ANSWER_SECONDS_MAX: Final = 2
LAST_WORDS: Final = 3


STOPPED: Final = "stopped: "
"""How /health/ready begins what it says of a role that will not go on by itself."""


def ask(url: str) -> tuple[bool, str]:
    """Whether GET /health/ready answers 200, and else why a role has stopped for good; nothing while it may come."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=ANSWER_SECONDS_MAX)
    try:
        connection.request("GET", "/health/ready")
        answer = connection.getresponse()
        if answer.status == http.client.OK:
            return True, ""
        roles = json.loads(answer.read()).get("roles", {})
        return False, next((state for state in roles.values() if state.startswith(STOPPED)), "").removeprefix(STOPPED)
    except (OSError, ValueError, http.client.HTTPException):
        return False, ""
    finally:
        connection.close()


def wait(
    supervisor: Supervisor,
    urls: Mapping[str, str],
    logs: Path,
    tell: Callable[[str], None],
    seconds_max: float = READY_SECONDS_MAX,
) -> None:
    """Return once every process of `urls` (by name) is ready. Raises Problem that quotes the first one that is not."""
    began = time.monotonic()
    pending = dict(urls)
    while pending:
        for name, url in list(pending.items()):
            ready, stopped = ask(url)
            if ready:
                del pending[name]
            elif stopped:
                raise Problem(
                    f"{name} runs, but does not go on: {stopped}.",
                    f"Mend what it names, then: python -m deploy.local restart {name}.",
                )
        tell(f"{len(urls) - len(pending)} of {len(urls)}")
        if not pending:
            return
        waited = time.monotonic() - began
        crashing = _crashing(supervisor, pending) if waited > CRASHING_SECONDS_MAX else []
        if crashing or waited > seconds_max:
            name = (crashing or sorted(pending))[0]
            raise Problem(
                f"{name} is not ready after {waited:.0f} s. Its last words: {last_words(logs / f'{name}.log')}",
                f"See {logs / f'{name}.log'}; correct the cause and run `make up` again.",
            )
        time.sleep(POLL_SECONDS)


def last_words(log: Path) -> str:
    """The end of a log, on one line."""
    try:
        lines = log.read_text(errors="replace").strip().splitlines()
    except FileNotFoundError:
        return "(none)"
    return " | ".join(line.strip() for line in lines[-LAST_WORDS:]) or "(none)"


def _crashing(supervisor: Supervisor, names: Collection[str]) -> list[str]:
    return [process.name for process in supervisor.processes() if process.name in names and process.state == "backoff"]
