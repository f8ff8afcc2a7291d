"""Named places at which a process may die, for tests that prove what happens then.

Production code calls `faults.point("relay.sent")` where a crash would be interesting. Unless a test has armed the point
through `GELOMBANG_FAULTS="relay.sent:3"`, the call is one look at an empty table. An armed point ends the process
with SIGKILL, as a power cut would, when it is reached for the given time.
"""

import os
import signal
from typing import Final

POINTS: Final = {
    "outbox.added": "state and events are written, the transaction is not committed yet",
    "api.committed": "the transaction is committed, the person has no answer yet",
    "relay.read": "a batch is read, nothing is sent",
    "relay.sent": "a batch is handed to Kafka, not acknowledged",
    "relay.acknowledged": "Kafka has the batch, cursor and numbers are not stored",
    "relay.stored": "cursor and numbers are stored",
    "consumer.read": "records are fetched, nothing is applied",
    "consumer.applied": "effects and position are written, not committed",
    "consumer.committed": "effects and position are committed, Kafka was not told",
    "job.done": "a job's work is committed, its next date is not",
}


def parse(armed: str) -> dict[str, int]:
    """`"relay.sent:3,consumer.read:1"` as a table. Raises ValueError on a point that does not exist."""
    table = {}
    for item in filter(None, armed.split(",")):
        name, _, times = item.partition(":")
        if name not in POINTS:
            raise ValueError(f"GELOMBANG_FAULTS: there is no fault point {name!r}; there are: {', '.join(POINTS)}")
        table[name] = int(times or 1)
    return table


_armed = parse(os.environ.get("GELOMBANG_FAULTS", ""))


def point(name: str) -> None:
    """Die here if a test has asked for it."""
    if _armed and name in _armed:
        _armed[name] -= 1
        if _armed[name] <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
