"""After the last blow: the system must come to rest by itself, and then bring everything to its end."""

import asyncio
from datetime import timedelta
from typing import Final

from deploy.demo.client import Unexpected, Unreachable
from deploy.demo.evidence import six
from deploy.demo.world import NotQuiet
from tests.fault.load import DRAW_HOURS, Load
from tests.fault.watch import STUCK_SECONDS

DRAW_STEPS_MAX: Final = 30
PAY_STEPS: Final = (timedelta(hours=2), timedelta(days=1), timedelta(days=1), timedelta(days=1), timedelta(days=1))
"""A bank's status takes an hour, a late one a day, and what never comes stands in the statement of its day.

All of them are taken, also when nothing is on its way any more: what comes back does so after two days, and is told by
the statement of that day. In between the bank has the money back and the ledger can not know it yet.
"""


async def come_to_rest(load: Load) -> list[str]:
    """Heal, draw what is open, pay what is due, and wait for the rails. What does not move within a minute is told."""
    if stuck := await settle(load, "after the last blow"):
        return stuck
    return [*await _draw(load), *await _pay(load)]


async def settle(load: Load, when: str) -> list[str]:
    try:
        async with asyncio.timeout(STUCK_SECONDS):
            await load.town.world.settle()
    except TimeoutError:
        told = {
            name: await load.town.world.client.glance(url + "/health/quiet")
            for name, url in load.town.world.services.items()
        }
        busy = {name: entry for name, entry in told.items() if not (entry and entry["quiet"])}
        return [f"not at rest within {STUCK_SECONDS:.0f} s {when}: {busy or 'the partner has learners who are due'}"]
    except NotQuiet as error:
        return [str(error)]
    return []


async def _step(load: Load, by: timedelta, when: str) -> list[str]:
    load.town.move(by)
    return await settle(load, when)


async def _draw(load: Load) -> list[str]:
    """Step on until every announced wave is published; a round lies ten minutes behind a late commitment."""
    waves = [wave.number for wave in load.board.waves]
    if stuck := await _step(load, timedelta(hours=DRAW_HOURS), "after the last draw"):
        return stuck
    for _ in range(DRAW_STEPS_MAX):
        states = [(await load.officers.wave(number))["state"] for number in waves]
        if all(state == "published" for state in states):
            return []
        if stuck := await _step(load, timedelta(minutes=12), "in the draws"):
            return stuck
    return [
        f"wave {number} is still {state}" for number, state in zip(waves, states, strict=True) if state != "published"
    ]


async def _pay(load: Load) -> list[str]:
    """Send what is due, then let the rails tell what became of it."""
    found: list[str] = []
    if not await load.pay():
        found.append("the payouts that are due could not be approved")
    for by in PAY_STEPS:
        found += await _step(load, by, f"{by} after the last payouts")
    try:
        ledger = six(await load.officers.ledger())
    except (Unexpected, Unreachable) as error:
        return [*found, str(error)]
    if ledger["in_flight"]:
        found.append(f"{ledger['in_flight']:,} rupiah are still on their way after four days")
    return found
