"""Payouts on their way to the bank, with crashes in between: what was stored, announced and sent agrees."""

from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from libs.events import faults
from tests.conftest import MakeDatabase
from tests.integration.disbursement import TOTAL, World, jakarta, open_world
from tests.integration.disbursement_people import person
from tests.planted.found import Found
from tests.planted.storm import Crash

AT = jakarta("2020-05-01 09:00")


async def rails(seed: int, make: MakeDatabase) -> None:
    """A few members are paid; disbursement dies at a moment the seed chooses, and starts again."""
    luck = Random(f"rails {seed}")
    people = [person(f"member {seed} {number}") for number in range(luck.randint(2, 5))]
    with TemporaryDirectory() as folder:
        async with open_world(make("disbursement"), Path(folder), at=AT) as world:
            await world.grant(10 * TOTAL)
            await world.ready(people)
            await world.complete(people)  # delivery is at least once
            await world.rate(people)
            batch = await world.propose()
            due = batch.payouts if batch else 0
            if due != 2 * len(people):
                raise Found(
                    f"lost: a course and a first incentive for {len(people)} members are due, not {due} payouts"
                )
            assert batch is not None
            await world.approve(batch)
            await _send(world, luck)
            await _agrees(world)


async def _send(world: World, luck: Random) -> None:
    """Send until everything is sent. The first time the process may die while it writes."""
    dies, point, bank = luck.random() < 0.7, faults.point, world.rails["bank"]
    put: Any = bank.put  # type: ignore[union-attr]

    def die(name: str) -> None:
        if dies:
            raise Crash(name)

    async def look_and_put(message_id: str, body: bytes) -> None:
        if not await world.fetch("SELECT message_id FROM message WHERE message_id = $1", message_id):
            raise Found("the bank is given a file that no store holds: after a crash nobody knows that it was sent")
        await put(message_id, body)

    bank.put = look_and_put  # type: ignore[union-attr, method-assign]
    faults.point = die
    try:
        await world.send()
    except Crash:
        dies = False
        await world.send()
    finally:
        faults.point = point


async def _agrees(world: World) -> None:
    submitted = {row["payout_id"] for row in await world.fetch("SELECT payout_id FROM attempt")}
    told = [event["data"]["payout_id"] for event in await world.told() if event["type"] == "incentive-submitted"]
    if missing := submitted - set(told):
        raise Found(f"lost: {len(missing)} of {len(submitted)} payouts were handed to the bank and nobody was told")
    if len(told) != len(submitted):
        raise Found(f"doubled: {len(submitted)} payouts were handed to the bank, {len(told)} were announced")
