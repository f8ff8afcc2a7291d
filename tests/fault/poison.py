"""Poison at load: `python -m tests.fault.poison`, a part of `make chaos`.

Clean and poisoned stretches of one topic are read in turns and compared. In a poisoned one every hundredth record is
hostile, of twelve kinds: some the relay has numbered like any other, some a stranger has put on the topic. Each of
them and everything later of its key must be parked with its reason, everything else applied. Then what can be repaired
is repaired, the rest dropped, and `redrive` must give every remaining event one effect, in order. Last, nearly
everything is poison: the worker has to stop, and to lose nothing.
"""

import argparse
import asyncio
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import compress
from random import Random
from statistics import median
from typing import Any, Final, cast

from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError

from libs.events import codec, parking
from libs.events import kafka as clients
from libs.events.collector import collect_seldom
from libs.events.consumer import NearlyAllPoison
from libs.events.contracts import TrainingRated
from libs.events.database import Transaction
from libs.events.ordering import Refused, leave_out
from libs.events.topics import TOPICS
from tests.fault.path import TOPIC, Path, citizen_id, open_path, own_servers, rated
from tests.fault.published import leave
from tests.fault.timelines import Timelines

PIECE: Final = 10_000
HOSTILE_SHARE: Final = 0.01
ALL_POISON: Final = 600
WAIT_SECONDS_MAX: Final = 600.0
STOPPED_SECONDS_MAX: Final = 90.0
TEN_MEGABYTES: Final = 10_000_000
LINGER_MS: Final = 20
"""A stranger who says much sends it in batches, as everybody does."""

MENDED: Final = ("contradiction", "unknown-version")
"""What a repair makes right: the state that contradicted, and the service that was too old."""
SPOILT: Final = {
    "contradiction": (b"", b""),  # nothing is wrong with the record itself
    "unknown-version": (b"training-rated:1", b"training-rated:2"),
    "unknown-type": (b'"type":"training-rated"', b'"type":"training-undone"'),
    "bad-data": (b'"stars":5', b'"stars":"many"'),
    "nul": (b"prakerja-2020", b"prakerja\\u0000"),
    "wrong-key": (b'"citizen_id":"0', b'"citizen_id":"f'),
}
"""Events as the outbox of a broken producer would hold them: what was put in place of what."""
STRANGE: Final = {
    "bad-json": b'{"specversion":',
    "empty": b"",
    "not-a-cloud-event": b'{"hello":1}',
    "wrong-source": codec.encode(rated(1, 1)).replace(b'"source":"training"', b'"source":"finance"'),
    "too-large": b'{"x":"' + b"y" * codec.VALUE_BYTES_MAX + b'"}',
    "no-number": codec.encode(rated(1, 1)),
}
"""Records of a stranger, without headers and without a number: what a relay of ours sends is JSON with a number before
it. The last one has nothing else wrong with it."""
KINDS: Final = (*SPOILT, *STRANGE)
LARGE: Final = codec.TOO_LARGE
"""As many bytes as 600 healthy records: what it costs to move them is told by further runs without this kind."""


class Poisoner:
    """Says things, hostile ones among them. `hostile` keeps the kind by citizen: nobody meets two of them."""

    def __init__(self, path: Path, seed: str, kinds: Sequence[str] = KINDS, *, naming: bool = True) -> None:
        self.path, self._luck = path, Random(f"poison {seed}")
        self.kinds, self.naming = kinds, naming
        self.hostile: dict[int, str] = {}
        self.contradicting: dict[str, int] = {}
        self.behind = self.numbered = 0
        self.refusing = False
        self._next = 0

    async def stretch(self, events: int, *, poisoned: bool) -> None:
        """One event of each of so many citizens, sent and not yet read. Hostile records stand before their piece, and
        each makes the event of its citizen wait.

        No two stretches are about the same citizens: what was parked in one is not in the way of the next, and all can
        be compared.
        """
        async with self.path.relaying():
            for _ in range(0, events, PIECE):
                citizens = range(self._next, self._next + PIECE)
                self._next += PIECE
                victims = self._victims(citizens) if poisoned else {}
                await self._intrude({who: kind for who, kind in victims.items() if kind in STRANGE})
                spoilt = self._spoilt({who: kind for who, kind in victims.items() if kind in SPOILT})
                self.behind += sum(who in self.hostile for who in citizens)
                self.numbered += len(citizens)
                await self.path.say(citizens, spoilt)
                await self.path.sent()  # a stranger's record stands where it is meant to only behind all before it

    @property
    def healthy(self) -> int:
        """How many events can have their effect before anything is repaired."""
        return self.path.total - self.behind - sum(kind in MENDED for kind in self.hostile.values())

    def _victims(self, citizens: Sequence[int]) -> dict[int, str]:
        chosen = self._luck.sample(citizens, int(len(citizens) * HOSTILE_SHARE))
        victims = {who: self.kinds[(len(self.hostile) + place) % len(self.kinds)] for place, who in enumerate(chosen)}
        self.hostile |= victims
        return victims

    def _spoilt(self, victims: dict[int, str]) -> list[tuple[str, int, str, bytes]]:
        """Hostile rows for the outbox; those that a repair makes right count as said."""
        rows = []
        for who, kind in victims.items():
            turn, key = self.path.said[who] + 1, citizen_id(who)
            if kind == "contradiction":
                self.contradicting[key] = turn
            value = codec.encode(rated(who, turn)).replace(*SPOILT[kind], 1)
            rows.append((TOPIC, TOPICS[TOPIC].lane(key), key, value))
        self.numbered += len(rows)
        self.path.said.update(who for who, kind in victims.items() if kind in MENDED)
        return rows

    async def _intrude(self, victims: dict[int, str]) -> None:
        """Records that no relay has numbered, under keys of real citizens; and one that no topic takes."""
        if not victims:
            return
        settings = clients.connection(self.path.settings)
        async with AIOKafkaProducer(**settings, max_request_size=2 * TEN_MEGABYTES, linger_ms=LINGER_MS) as producer:
            acknowledged = []
            for who, kind in victims.items():
                key = citizen_id(who)
                lane = TOPICS[TOPIC].lane(key)
                value = STRANGE[kind].replace(citizen_id(1).encode(), key.encode())
                acknowledged.append(await producer.send(TOPIC, value, key=key.encode(), partition=lane))
            await asyncio.gather(*acknowledged)
            with suppress(MessageSizeTooLargeError):
                await producer.send_and_wait(TOPIC, b"y" * TEN_MEGABYTES, key=b"k", partition=0)
                raise AssertionError("the topic takes a record of 10 MB")

    async def on_rated(self, *, tx: Transaction, events: Sequence[TrainingRated]) -> Refused:
        """Leaves out, as selection does, what can not be true together with what it knows; or just fails."""
        keys = TrainingRated.keys(events)
        suspects = compress(events, map(self.contradicting.__contains__, keys))
        bad = [event for event in suspects if self.contradicting[event.citizen_id] == event.wave]
        if self.refusing or (bad and not self.naming):
            raise codec.Poison("contradiction", "one of these contradicts what is known")
        events, refused = leave_out(events, bad, "contradiction", "it contradicts what is known", keys)
        if events:
            await self.path.on_rated(tx=tx, events=events)
        return refused


async def _read(poisoner: Poisoner) -> tuple[float, float]:
    """Read what stands on the topic. Gives seconds of this process's processor, and of the clock since the first."""
    path = poisoner.path
    here, cpu = await path.applied(), time.process_time()
    async with path.working(poisoner.on_rated):
        await path.until_applied(here + 1, WAIT_SECONDS_MAX, 0.02)
        began = time.monotonic()
        await path.until_applied(poisoner.numbered, WAIT_SECONDS_MAX, 0.02)
        seconds = time.monotonic() - began
    return time.process_time() - cpu, seconds


async def run(
    path: Path, seed: str, events: int, turns: int, kinds: Sequence[str] = KINDS, *, naming: bool = True
) -> dict[str, Any]:
    """Everything of the module's description, one after the other."""
    poisoner = Poisoner(path, seed, kinds, naming=naming)
    rates: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
    for turn in range(turns):
        for poisoned in ((False, True), (True, False))[turn % 2]:
            before = poisoner.healthy
            await poisoner.stretch(events, poisoned=poisoned)
            cpu, seconds = await _read(poisoner)
            healthy = poisoner.healthy - before
            rates[poisoned].append((healthy / cpu, healthy / seconds))
    parked = Counter([str(row["reason"]) for row in await parking.listed(path.reader, 1_000_000)])
    expected = Counter(poisoner.hostile.values()) + Counter(behind=poisoner.behind)
    mended = await _mend(poisoner)
    return {
        "seed": seed, "events": path.total, "hostile": len(poisoner.hostile), "parked": dict(parked),
        "not_as_expected": {
            kind: (parked[kind], expected[kind]) for kind in parked | expected if parked[kind] != expected[kind]
        },
        **mended, "nearly_all": await _nearly_all(poisoner), **await path.findings(),
        **_rates(rates),
    }  # fmt: skip


def _rates(rates: dict[bool, list[tuple[float, float]]]) -> dict[str, Any]:
    """How many healthy events were applied per second, of this process's processor and of the clock; and how fast that
    is among poison, by the clean stretch of the same turn."""
    told: dict[str, Any] = {}
    for which, by in enumerate(("cpu", "clock")):
        clean, among = ([round(one[which]) for one in rates[poisoned]] for poisoned in (False, True))
        ratios = [round(one / other, 3) for one, other in zip(among, clean, strict=True)]
        told |= {f"clean_by_{by}": clean, f"poisoned_by_{by}": among}
        told[f"ratio_by_{by}"] = {"median": median(ratios), "min": min(ratios), "max": max(ratios)}
    return told


async def _mend(poisoner: Poisoner) -> dict[str, Any]:
    """Repair, redrive, drop what nothing can repair, redrive."""
    path, reactions = poisoner.path, cast(Any, {TrainingRated: poisoner.on_rated})
    poisoner.contradicting.clear()
    with _newer_service():
        first = await parking.redrive(path.reader, reactions)
        hopeless = [row["id"] for row in await parking.listed(path.reader, 1_000_000) if row["reason"] in KINDS]
        dropped = await parking.drop(path.reader, cast(Any, hopeless))
        second = await parking.redrive(path.reader, reactions)
    return {"first_redrive": first, "dropped": dropped, "second_redrive": second}


@contextmanager
def _newer_service() -> Iterator[None]:
    """One that knows version 2, which says the same."""
    version, upcasters = TrainingRated.VERSION, cast(Any, codec.UPCASTERS)
    TrainingRated.VERSION, upcasters["training-rated", 1] = 2, dict
    try:
        yield
    finally:
        TrainingRated.VERSION = version
        del upcasters["training-rated", 1]


async def _nearly_all(poisoner: Poisoner) -> dict[str, Any]:
    """Nothing can be applied any more: the worker stops, and once the cause is gone nothing is missing."""
    path, stopped = poisoner.path, ""
    poisoner.refusing = True
    async with path.relaying():
        await path.say(range(ALL_POISON))
    poisoner.numbered += ALL_POISON
    try:
        async with path.working(poisoner.on_rated) as worker:
            await asyncio.wait_for(asyncio.shield(worker), STOPPED_SECONDS_MAX)
    except (NearlyAllPoison, TimeoutError) as error:
        stopped = type(error).__name__
    poisoner.refusing = False
    applied, remain = await parking.redrive(path.reader, cast(Any, {TrainingRated: poisoner.on_rated}))
    async with path.working(poisoner.on_rated):
        await path.until_applied(poisoner.numbered, WAIT_SECONDS_MAX)
    return {"events": ALL_POISON, "ended_by": stopped, "redriven": applied, "remain": remain}


async def whole(
    seed: str, events: int, turns: int, kinds: Sequence[str], at: type[Path], *, naming: bool = True
) -> dict[str, Any]:
    """A run on servers of its own."""
    with own_servers() as (servers, make):
        async with open_path(make, servers.kafka, at) as path:
            return await run(path, seed, events, turns, kinds, naming=naming)


def wrong(told: dict[str, Any]) -> list[str]:
    """What must not be, in words."""
    found = [f"{told[name]} {name}" for name in ("lost", "doubled", "out_of_order") if told[name]]
    found += [f"parked otherwise than expected: {told['not_as_expected']}"] if told["not_as_expected"] else []
    found += ["something stays parked"] if told["second_redrive"][1] or told["nearly_all"]["remain"] else []
    if told["nearly_all"]["ended_by"] != NearlyAllPoison.__name__:
        found.append("the worker did not stop though nothing could be applied")
    return found


def main() -> int:
    """0 when everything hostile was parked, everything else applied, and nothing was lost by the repair."""
    parser = argparse.ArgumentParser(prog="python -m tests.fault.poison", description="Poison at load.")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--events", type=int, default=300_000, help="of each stretch")
    parser.add_argument("--turns", type=int, default=5, help="clean and poisoned stretches, of each so many")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, help="only these, to see what each costs")
    parser.add_argument("--unnamed", action="store_true", help="the reaction does not say which events it refuses")
    parser.add_argument("--at-least", type=float, default=0.0, help="of the clean rate, by processor time, everywhere")
    given = parser.parse_args()
    collect_seldom()
    told: dict[str, Any] = {}
    fewer = [kind for kind in given.kinds if kind != LARGE]
    for place, at in (("event path alone", Path), ("registration's timelines", Timelines)):
        for name, kinds in ((place, given.kinds), (f"{place}, no {LARGE}", fewer)):
            told[name] = asyncio.run(whole(given.seed, given.events, given.turns, kinds, at, naming=not given.unnamed))
    found = [f"{name}: {words}" for name, one in told.items() for words in wrong(one)]
    found += [
        f"{name}: healthy events went at {rate} of the clean rate; {given.at_least} is asked for"
        for name, one in told.items()
        if (rate := one["ratio_by_cpu"]["median"]) < given.at_least
    ]
    leave("poison", told | {"wrong": found})
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
