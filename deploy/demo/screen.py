"""What the person who started the demo sees: what is happening, the programme's date, and counts.

On a terminal the lines stay in place; elsewhere (a log, a pipe) each step is one line.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from types import TracebackType
from typing import Final, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from deploy.local.stack import Tell
from libs.events.clock import JAKARTA

COUNTS_SHOWN: Final = ("registered", "joined", "bought", "rated", "account-linked", "survey-answered", "batch-approved")


class Screen:
    """Use as a context manager around the whole run."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._started = time.monotonic()
        self._progress = Progress(
            TextColumn("[bold]{task.description}"), BarColumn(bar_width=30), MofNCompleteColumn(), TimeElapsedColumn()
        )
        self._task = self._progress.add_task("Starting", total=None)
        self._words = Text("")
        self._counts: Mapping[str, int] = {}
        self._date = ""
        self._live = Live(get_renderable=self._render, console=console, refresh_per_second=6, transient=True)

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live.is_started:
            self._live.stop()

    def start_step(self, title: str) -> AbstractContextManager[Tell]:
        """Shows one step of the stack's start."""

        @contextmanager
        def step() -> Iterator[Tell]:
            self.show(title)
            started = time.monotonic()
            yield lambda words: self.show(f"{title}: {words}")
            self.say(f"{title} [dim]{time.monotonic() - started:.1f} s[/dim]")

        return step()

    def begin(self, steps: int) -> None:
        """The replay starts."""
        self._progress.update(self._task, total=steps, description="Replaying 2020")

    def step(self, done: int, at: datetime, title: str, counts: Mapping[str, int]) -> None:
        """The next step of the replay."""
        self._date, self._counts = f"{at.astimezone(JAKARTA):%A %d %B %Y, %H:%M} WIB", counts
        self._progress.update(self._task, completed=done)
        self.show(title)
        if not self.console.is_terminal:
            self.console.print(
                f"{time.monotonic() - self._started:6.1f} s  {at.astimezone(JAKARTA):%Y-%m-%d %H:%M}  {title}"
            )

    def show(self, words: str) -> None:
        """What is happening now; replaced by the next words."""
        self._words = Text(words, style="cyan")

    def say(self, words: str) -> None:
        """A line that stays."""
        self.console.print(words)

    def _render(self) -> Group:
        table = Table.grid(padding=(0, 3))
        table.add_row(*(Text(name, style="dim") for name in COUNTS_SHOWN if name in self._counts))
        table.add_row(*(Text(f"{self._counts[name]:,}") for name in COUNTS_SHOWN if name in self._counts))
        return Group(self._progress, Text(self._date, style="bold"), self._words, table)
