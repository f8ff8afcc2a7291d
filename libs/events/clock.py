"""Programme time: one clock for all processes, that can start anywhere, run at any speed, or be stepped.

Every deadline, event and job reads this clock and never the wall clock, so a month can pass in seconds and a test can
stand at one second before midnight. In production the clock is `real`. Elsewhere it is a small file that all processes
of one machine read: `{"origin": programme time, "since": wall seconds, "speed": programme seconds per wall second}`.
This is the only module that may ask the operating system for the time of day.
"""

import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo

JAKARTA = ZoneInfo("Asia/Jakarta")


class Clock(Protocol):
    """Gives the programme time. Passed as an argument; nothing keeps a global one."""

    def now(self) -> datetime:
        """The programme time, aware and in UTC."""
        ...


class RealClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


class FixedClock:
    """For tests: stands still until it is told otherwise."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at


class FileClock:
    """The shared clock of one machine. Reading costs one `stat` while the file is unchanged."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen = (0, 0)
        self._origin, self._since, self._speed = (
            datetime.fromtimestamp(0, UTC),
            0.0,
            1.0,
        )

    def now(self) -> datetime:
        stat = self.path.stat()
        seen = (stat.st_mtime_ns, stat.st_ino)
        if seen != self._seen:
            told = json.loads(self.path.read_text())
            self._origin = datetime.fromisoformat(told["origin"]).astimezone(UTC)
            self._since, self._speed, self._seen = told["since"], told["speed"], seen
        if not self._speed:
            return self._origin
        return self._origin + timedelta(seconds=(time.time() - self._since) * self._speed)

    def set(self, at: datetime, speed: float = 0.0) -> None:
        """Set the time for every process: stand still at `at`, or run from it at `speed`.

        Raises ValueError when the clock would go back: events that were decided would then lie in the future.
        """
        if self.path.exists() and at < self.now():
            raise ValueError(f"the programme clock stands at {self.now().isoformat()} and can not go back")
        told = {
            "origin": at.astimezone(UTC).isoformat(),
            "since": time.time(),
            "speed": speed,
        }
        draft = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        draft.write_text(json.dumps(told))
        draft.replace(self.path)


def open_clock(name: str) -> Clock:
    """The clock a setting names: `real`, or the path of a clock file."""
    return RealClock() if name == "real" else FileClock(Path(name))


def end_of_day(day: datetime, days_later: int = 0) -> datetime:
    """The last moment, in Jakarta, of the day `days_later` days after `day`: where a deadline given in days ends."""
    local = day.astimezone(JAKARTA) + timedelta(days=days_later)
    return local.replace(hour=23, minute=59, second=59, microsecond=999_999).astimezone(UTC)
