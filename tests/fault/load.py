"""Steady load while processes die: citizens keep coming, officers announce waves and approve payouts, time goes on."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from deploy.demo.client import Unexpected, Unreachable
from deploy.demo.officers import Officers
from deploy.demo.population import Person
from deploy.demo.run import PARTNER
from libs.events.programme import Wave
from tests.fault.life import Board, Citizen, Life, OpenWave, Session
from tests.fault.town import DISOWNED, Town
from tests.fault.watch import LOOK_SECONDS, Eyes, Watch

APPROPRIATION: Final = 1_000_000_000_000
SHIFT: Final = timedelta(hours=4)
"""Officers act once in four hours of programme time: a wave, a course, and the payouts that are due."""
OPEN_HOURS, DRAW_HOURS, COURSE_HOURS = 6, 7, 9
SEATS: Final = 10
WAVES_WAITING_MAX: Final = 4
"""So many waves wait for their result at most, as between two waves in a healthy system; more would only queue."""
ARRIVAL_SECONDS: Final = 0.35
ATTEMPTS_MAX: Final = 6


class Load:
    """`work` goes on until `end` is called; `citizens` are those who have come so far."""

    def __init__(self, town: Town, people: Sequence[Person], eyes: Eyes) -> None:
        self.town, self._people, self._eyes = town, people, eyes
        self.officers = Officers(town.world)
        self.board = Board()
        self.citizens: list[Citizen] = []
        self.watch = Watch()
        self.paid_at: datetime | None = None
        self.lost_lives: list[str] = []
        self._published = 0

    async def prepare(self) -> None:
        """The State grants the money, and the first wave and course are there."""
        await self.town.done("POST", self.town.world.simulator("bank", "/accounts"), [PARTNER])
        await self.officers.appropriate(APPROPRIATION)
        await self._announce()
        await self._offer()

    async def work(self) -> None:
        """Everything at once, until the load is over."""
        async with asyncio.TaskGroup() as group:
            for part in (self.town.tick, self.town.read_messages, self._officiate, self._arrivals, self._look):
                group.create_task(part())

    def end(self) -> None:
        self.town.over.set()

    async def _arrivals(self) -> None:
        async with asyncio.TaskGroup() as lives:
            for person in self._people:
                if self.town.over.is_set():
                    break
                life = Life(self.town, self.board, person)
                self.citizens.append(life.citizen)
                lives.create_task(self._live(life))
                await asyncio.sleep(ARRIVAL_SECONDS)

    async def _live(self, life: Life) -> None:
        """One life; a surprise ends it alone and is told at the end."""
        try:
            await life.live()
        except Unexpected as error:
            if error.answer.status in DISOWNED:
                self.town.disowned.append(f"{life.citizen.citizen_id}: {error}")
            self.lost_lives.append(str(error))

    # -- officers ----------------------------------------------------------------------------------------------------

    async def _officiate(self) -> None:
        due = self.town.now() + SHIFT
        while not self.town.over.is_set():
            if self.town.now() >= due:
                due = self.town.now() + SHIFT
                # Tokens of staff live for an hour of programme time: it stands still while they are used.
                async with self.town.still:
                    if await self._waves_waiting() < WAVES_WAITING_MAX:
                        await self._announce()
                    await self._offer()
                    await self.pay()
            await asyncio.sleep(0.1)

    async def _waves_waiting(self) -> int:
        """How many waves are announced and not published, as far as can be seen now."""
        with suppress(Unexpected, Unreachable):
            while self._published < len(self.board.waves):
                if (await self.officers.wave(self._published + 1))["state"] != "published":
                    break
                self._published += 1
        return len(self.board.waves) - self._published

    async def _announce(self) -> None:
        number, now = len(self.board.waves) + 1, self.town.now()
        wave = Wave(
            number=number,
            opens=now + timedelta(minutes=5),
            closes=now + timedelta(hours=OPEN_HOURS),
            draws=now + timedelta(hours=DRAW_HOURS),
            seats=SEATS,
        )
        if await self._steadily(lambda: self._announce_once(wave)):
            self.board.waves.append(OpenWave(number, wave.opens, wave.closes))

    async def _announce_once(self, wave: Wave) -> None:
        """An approval whose answer was lost is refused the second time: then the public view says that it landed."""
        try:
            await self.officers.announce(wave, wave.seats)
        except Unexpected as error:
            if error.answer.code != "illegal-step" or (await self.officers.wave(wave.number))["state"] == "proposed":
                raise
            self.town.world.history.add("wave-announced", wave=wave.number, seats=wave.seats, recycle=False)

    async def _offer(self) -> None:
        number, now = len(self.board.sessions) + 1, self.town.now()
        starts = now + timedelta(hours=COURSE_HOURS)
        course = {
            "code": f"chaos-{number}",
            "title": "Mengolah Data dengan Lembar Kerja",
            "mode": "online",
            "hours": 8,
            "price_rupiah": 500_000,
            "seats": 10_000,
            "starts_at": starts.isoformat(),
            "ends_at": (starts + timedelta(hours=2)).isoformat(),
        }
        offered: list[str] = []

        async def offer() -> None:
            offered.append(await self.officers.offer(course))

        if await self._steadily(offer):
            self.board.sessions.append(Session(offered[0], starts))

    async def pay(self) -> bool:
        """Batch and approve what is due. A batch whose approval landed unseen is approved; the next one goes on."""

        async def pay() -> None:
            with suppress(Unexpected):
                await self.officers.pay()
                return
            await self.officers.pay()

        now = self.town.now()
        done = await self._steadily(pay)
        self.paid_at = now if done else self.paid_at
        return done

    async def _steadily(self, action: Callable[[], Awaitable[object]]) -> bool:
        """Do it, again where an answer was lost on the way; what never works is strange."""
        for attempt in range(ATTEMPTS_MAX):
            try:
                await action()
            except (Unexpected, Unreachable) as error:
                if attempt == ATTEMPTS_MAX - 1:
                    self.town.strange[f"staff: {error}"] += 1
                await asyncio.sleep(0.5)
            else:
                return True
        return False

    # -- what stands still -------------------------------------------------------------------------------------------

    def excuse(self, struck: str) -> None:
        """A process of this group was struck or has come back just now."""
        self.watch.excuse(struck, self.town.world.services, time.monotonic())

    async def _look(self) -> None:
        async with self._eyes as eyes:
            while not self.town.over.is_set():
                ends = await eyes.ends()
                for name in self.town.world.services:
                    self.watch.look(name, await eyes.look(name, ends), time.monotonic())
                await asyncio.sleep(LOOK_SECONDS)
