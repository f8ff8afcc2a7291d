"""The script: which day of 2020 and 2021 the clock is stepped to, and what people do then.

The real rhythm: a wave closes on Thursday at 16:00 and is drawn on Friday; on Saturday the next one opens, winners buy,
and courses run from the following Thursday. Registration for a wave goes on while the one before it is being drawn.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from deploy.demo.citizens import Citizen, Crowd
from deploy.demo.draws import Draws
from deploy.demo.figures import RECOVERY_WAVE, Figures, rounded
from deploy.demo.members import Members
from deploy.demo.officers import Officers
from deploy.demo.world import World
from libs.events.clock import JAKARTA
from libs.events.programme import Programme, Wave

Action = Callable[[], Awaitable[object]]


def jakarta(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=JAKARTA)


BEFORE: Final = jakarta("2020-04-10 09:00")
RECOVERY: Final = Wave(
    number=RECOVERY_WAVE,
    opens=jakarta("2020-11-02 08:00"),
    closes=jakarta("2020-11-04 16:00"),
    draws=jakarta("2020-11-05 10:00"),
    seats=0,
)
RECOVERY_PROPOSED: Final = jakarta("2020-10-30 10:00")
BETWEEN: Final = tuple(
    jakarta(f"2020-{day} 12:00") for day in ("07-04", "07-11", "07-25", "08-15", "09-05", "09-26", "10-17")
)
AFTER: Final = tuple(
    jakarta(f"{day} 12:00")
    for day in ("2020-11-21", "2020-11-28", "2020-12-12", "2021-01-09", "2021-02-06", "2021-03-04")
)
"""Between waves incentives fall due by the month, for one wave after the other: a batch every second or third week."""
CLOSING: Final = tuple(jakarta(f"2021-03-{day} 12:00") for day in ("06", "07"))
YEAR_END: Final = jakarta("2021-03-08 09:00")
SETTLED: Final = jakarta("2021-03-10 09:00")

NUDGE: Final = timedelta(minutes=1)
"""Long enough for what is done every few seconds of programme time."""

PATIENCE: Final = timedelta(minutes=20)
PATIENT_TRIES: Final = 3
"""An hour in all, well before the wave closes."""

COURSES: Final = (
    # code, title, mode, hours, price in rupiah, days, share of the winners it has seats for
    ("english", "Bahasa Inggris untuk Layanan Pelanggan", "online", 8, 450_000, 1, 1.1),
    ("shop", "Membuka Toko Daring", "online", 12, 600_000, 2, 1.1),
    ("sheets", "Mengolah Data dengan Lembar Kerja", "online", 10, 750_000, 1, 1.1),
    ("barista", "Dasar-dasar Barista", "hybrid", 15, 1_000_000, 2, 0.15),
)


@dataclass(frozen=True, slots=True)
class Step:
    """A moment of programme time. The actions run side by side once everything that fell due is done.

    `alongside`: what people do meanwhile, because it waits for nothing of that. `nudged`: a minute more passes first,
    for what begins only after services have told each other something.
    """

    at: datetime
    title: str
    actions: tuple[Action, ...] = ()
    alongside: tuple[Action, ...] = ()
    nudged: bool = False


class Replay:
    """The programme year, step by step."""

    def __init__(
        self,
        world: World,
        figures: Figures,
        programme: Programme,
        crowd: Crowd,
        members: Members,
        officers: Officers,
        draws: Draws,
    ) -> None:
        self._world, self._figures, self._programme = world, figures, programme
        self._crowd, self._members, self._officers, self._draws = crowd, members, officers, draws
        self.winners: dict[int, list[Citizen]] = {}
        self._courses: dict[int, list[str]] = {}
        self.waves = (*programme.waves, RECOVERY)

    def script(self) -> list[Step]:
        """Every step of the year, in order."""
        steps = [Step(BEFORE, "the State grants the money, ten waves are announced", (self._prepare,))]
        steps += self._first_days()
        for wave in self._programme.waves:
            steps += self._week(wave)
        steps += [self._payday(at) for at in BETWEEN]
        steps += self._recovery()
        steps += [self._payday(at) for at in AFTER]
        steps += [Step(at, "the rails' last statements") for at in CLOSING]
        steps.append(Step(YEAR_END, "year-end: the rest goes back to the treasury", (self._officers.end_year,)))
        steps.append(Step(SETTLED, "the books are closed"))
        return _merged(steps)

    def _first_days(self) -> list[Step]:
        first = self._programme.waves[0]
        return [
            Step(first.opens, "wave 1 opens with the site", (self._register(1),)),
            Step(first.opens + timedelta(hours=21), "the first day: e-mails are confirmed", (self._confirm(1),)),
            Step(first.opens + timedelta(days=2), "wave 1 fills", (self._join(1),)),
            Step(first.opens + timedelta(days=3), "wave 1 fills", (self._late(1),)),
        ]

    def _week(self, wave: Wave) -> list[Step]:
        """From the opening of a wave (its joins, for the first one, are in the first days) to the next opening."""
        number = wave.number
        steps = []
        if number > 1:
            saturday = (self._join(number), self._buy(number - 1), self._members.rate)
            noon = wave.opens + timedelta(hours=4)
            steps.append(Step(wave.opens, f"wave {number} opens", saturday))
            steps.append(self._payday(noon, f"wave {number} fills; payouts", self._late(number)))
        coming, confirming = (self._register(number + 1),), (self._confirm(number + 1),)
        steps.append(Step(wave.closes, f"wave {number} closes", alongside=coming, nudged=True))
        learning = (self._learn(wave),)
        steps.append(Step(wave.draws, f"wave {number} is drawn", learning, alongside=confirming, nudged=True))
        if number == self._programme.waves[-1].number:
            steps += self._school(wave)
        return steps

    def _recovery(self) -> list[Step]:
        wave, number = RECOVERY, RECOVERY.number
        return [
            self._payday(RECOVERY_PROPOSED, "the recovery wave is announced", self._announce_recovery),
            Step(wave.opens, f"wave {number} opens: recycled seats", (self._join(number),)),
            Step(wave.closes - timedelta(hours=6), f"wave {number} fills", (self._late(number),)),
            Step(wave.closes, f"wave {number} closes", nudged=True),
            Step(wave.draws, f"wave {number} is drawn", (self._learn(wave),), nudged=True),
            *self._school(wave),
        ]

    def _school(self, wave: Wave) -> list[Step]:
        """Buying and learning after a wave that no other one follows at once."""
        starts = _session_starts(wave)
        return [
            Step(
                starts - timedelta(days=5, hours=8),
                f"winners of wave {wave.number} buy",
                (self._buy(wave.number), self._members.rate),
            ),
            Step(starts, "courses start"),
            Step(starts + timedelta(hours=18), "courses go on"),
            Step(starts + timedelta(days=1, hours=16), "courses end", (self._members.rate,)),
            self._payday(starts + timedelta(days=1, hours=20)),
        ]

    def _payday(self, at: datetime, title: str = "payouts", *more: Action) -> Step:
        return Step(at, title, (*more, self._pay), alongside=(self._members.answer_surveys,))

    # -- what happens in a step ----------------------------------------------------------------------------------

    async def _prepare(self) -> None:
        self._world.show("Officers announce ten waves")
        await self._officers.appropriate(rounded(self._programme.money.appropriation, self._figures.scale))
        for wave in self._programme.waves:
            await self._officers.announce(wave, self._figures.seats[wave.number])

    async def _announce_recovery(self) -> None:
        await self._officers.announce(RECOVERY, 0, recycle=True)

    def _register(self, wave: int) -> Action:
        async def act() -> None:
            arriving = self._crowd.arriving(wave)
            await self._crowd.introduce(arriving)
            await self._crowd.register(arriving)

        return act

    def _confirm(self, wave: int) -> Action:
        return lambda: self._crowd.confirm(self._crowd.arriving(wave))

    def _join(self, wave: int) -> Action:
        async def act() -> None:
            await self._crowd.correct()
            await self._crowd.join(wave)

        return act

    def _late(self, wave: int) -> Action:
        async def act() -> None:
            await self._crowd.join_late()
            for _ in range(PATIENT_TRIES):  # the registry was away when it was asked, and is asked again
                if self._crowd.someone_waits:
                    await self._world.step_to(self._world.now() + PATIENCE)
                    await self._crowd.join_late()
            await self._crowd.withdraw(wave)

        return act

    def _learn(self, wave: Wave) -> Action:
        async def act() -> None:
            self._world.show(f"Everybody reads the draw of wave {wave.number}")
            self.winners[wave.number] = self._crowd.learn(wave.number, await self._draws.fetch(wave.number))
            self._courses[wave.number] = await self._offer(wave, len(self.winners[wave.number]))

        return act

    async def _offer(self, wave: Wave, winners: int) -> list[str]:
        starts = _session_starts(wave)
        offered = []
        for code, title, mode, hours, price_rupiah, days, share in COURSES:
            ends = starts + timedelta(days=days - 1, hours=4)
            course: dict[str, Any] = {
                "code": f"{code}-{wave.number}",
                "title": title,
                "mode": mode,
                "hours": hours,
                "price_rupiah": price_rupiah,
                "seats": max(int(winners * share), 1),
                "starts_at": starts.isoformat(),
                "ends_at": ends.isoformat(),
            }
            offered.append(await self._officers.offer(course))
        return offered

    def _buy(self, wave: int) -> Action:
        return lambda: self._members.buy(self.winners[wave], wave, self._courses[wave])

    async def _pay(self) -> None:
        await self._members.repair()
        self._world.show("Finance batches and approves what is due")
        await self._officers.pay()
        await self._world.step_to(self._world.now() + NUDGE)  # the rails get it a moment later


def _session_starts(wave: Wave) -> datetime:
    """The Thursday after the Saturday after the draw, at 16:00."""
    saturday = wave.draws + timedelta(days=(5 - wave.draws.weekday()) % 7)
    return (saturday + timedelta(days=5)).replace(hour=16, minute=0)


def _merged(steps: Sequence[Step]) -> list[Step]:
    """In order of time; steps of one moment become one."""
    merged: list[Step] = []
    for step in sorted(steps, key=lambda step: step.at):
        last = merged[-1] if merged else None
        if last and last.at == step.at:
            actions, alongside = (*last.actions, *step.actions), (*last.alongside, *step.alongside)
            title, nudged = f"{last.title}; {step.title}", last.nudged or step.nudged
            merged[-1] = Step(step.at, title, actions, alongside, nudged)
        else:
            merged.append(step)
    return merged
