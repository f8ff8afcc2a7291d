"""Simulators as processes of their own, each on its own book and port."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from libs.events.clock import JAKARTA, FileClock

NOON = datetime(2020, 4, 17, 12, 0, tzinfo=JAKARTA)
START_SECONDS_MAX = 20.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Simulator:
    """One simulator process on its own book and port, with the programme clock of its folder."""

    def __init__(self, name: str, folder: Path, **settings: Any) -> None:
        self.name, self.folder, self.port = name, folder, free_port()
        self.clock = FileClock(folder / "clock.json")
        if not self.clock.path.exists():
            self.clock.set(NOON)
        self._settings = {"book": folder / f"{name}.sqlite3", "clock": self.clock.path} | settings
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=15)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, **changes: Any) -> None:
        self._settings |= changes
        told = {f"SIMULATOR_{name.upper()}": str(value) for name, value in self._settings.items()}
        environment = os.environ | told | {"SIMULATOR_PORT": str(self.port)}
        self.process = subprocess.Popen([sys.executable, "-m", f"deploy.simulators.{self.name}"], env=environment)
        self.eventually(lambda: self.http.get("/health/ready").status_code == 200)

    def eventually(self, happened: Callable[[], bool]) -> None:
        end = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < end:
            assert self.process is not None
            assert self.process.poll() is None, f"{self.name} ended with {self.process.returncode}"
            try:
                if happened():
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"{self.name}: not within {START_SECONDS_MAX} s")

    def stop(self, how: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(timeout=10)

    def booked(self) -> list[str]:
        return [one["end_to_end_id"] for one in self.http.get("/v1/book").json()["booked"]]


@contextmanager
def simulator(name: str, folder: Path, **settings: Any) -> Iterator[Simulator]:
    one = Simulator(name, folder, **settings)
    try:
        one.start()
        yield one
    finally:
        one.http.close()
        if one.process is not None and one.process.poll() is None:
            one.stop(signal.SIGKILL)
