"""What an operator may ask of a service's event path: `python -m services.NAME parked | redrive | drop ID ...`,
`rewind TOPIC PARTITION NUMBER`, `new-epoch`. The service may go on running. The last two say what they would do, and do
it only with `--yes`. docs/runbooks says when each is right.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from libs.events import kafka, parking
from libs.events.contracts import Event
from libs.events.database import QUERIES, Database, Transaction, open_database
from libs.events.numbering import Ahead
from libs.events.ordering import Reaction
from libs.events.restore import MustNotSend, OlderThanTopics, check_restore
from libs.events.settings import ServiceSettings
from libs.events.topics import Topic, written_by

WORDS: Final = ("parked", "redrive", "drop", "rewind", "new-epoch")
UNDONE: Final = "Nothing was done. Say it again with --yes to do it."
NOBODY: Final = "0" * 32


async def tend(
    service: str,
    settings: ServiceSettings,
    reactions: Mapping[type[Event], Reaction],
    words: Sequence[str],
    *,
    yes: bool,
) -> None:
    """Do what the words say. What can not be done ends the process with a sentence and its remedy."""
    async with open_database(settings.database_url.get_secret_value()) as database:
        match words:
            case ["rewind", topic, partition, number]:
                await rewind(database, service, topic, partition, number, yes=yes)
            case ["rewind", *_]:
                sys.exit("rewind needs a topic, a partition and the first number to send again: rewind waves 0 17")
            case ["new-epoch"]:
                await new_epoch(database, service, settings, yes=yes)
            case ["new-epoch", *_]:
                sys.exit("new-epoch takes no further words: it finds out by itself what the topics hold")
            case _:
                await _parked(database, reactions, words)


async def _parked(database: Database, reactions: Mapping[type[Event], Reaction], words: Sequence[str]) -> None:
    """List what is parked; before that try it again (`redrive`) or give some of it up for good (`drop`)."""
    if words[0] == "drop":
        if not words[1:] or not all(word.isdecimal() for word in words[1:]):
            sys.exit("drop needs the ids of parked records, as `parked` lists them: drop 12 13")
        dropped = await parking.drop(database, [int(word) for word in words[1:]])
        print(f"{dropped} of {len(words) - 1} dropped")
    if words[0] == "redrive":
        applied, left = await parking.redrive(database, reactions)
        print(f"{applied} applied, {left} still parked")
    for row in await parking.listed(database):
        print("  ".join(f"{name}={value}" for name, value in row.items()))


async def rewind(database: Database, service: str, topic: str, partition: str, number: str, *, yes: bool) -> None:
    """Make the relay send again from a number of a partition on, and with it all that was sent later in any other.

    A relay at work is fenced and starts again from there by itself. Readers know repeats by their numbers.
    """
    lane = _lane(service, topic, partition)
    if not number.isdecimal() or int(number) < 1:
        sys.exit("The number to begin with must be a whole number from 1.")
    first, owner = int(number), os.urandom(16).hex()
    async with database.transaction() as tx:
        await QUERIES.relay_allow_a_long_look(tx)
        await QUERIES.relay_seize(tx, owner=owner)
        xid, position = await _start(tx, *lane, first)
        back = await QUERIES.relay_back(tx, xid=xid, position=position)
        print(
            f"{topic}/{partition} goes back to number {first}: {back['rows']} records of {back['lanes']} partitions "
            "are sent again, each under the number it had. Readers know repeats by it; nothing has a second effect."
        )
        if not yes:
            sys.exit(UNDONE)  # the transaction is rolled back, and a relay at work has noticed nothing
        await QUERIES.relay_rewind(tx, xid=xid, position=position, owner=owner)
        await QUERIES.relay_leave(tx, owner=owner)
    print("Done. The relay starts from there within seconds, or when the service is started.")


def _lane(service: str, name: str, partition: str) -> tuple[str, int]:
    topics: dict[str, Topic] = {topic.name: topic for topic in written_by(service)}
    if name not in topics:
        sys.exit(f"{service} does not write {name}. It writes: {', '.join(topics) or 'nothing'}.")
    if not partition.isdecimal() or int(partition) >= topics[name].partitions:
        sys.exit(f"{name} has the partitions 0 to {topics[name].partitions - 1}.")
    return name, int(partition)


async def _start(tx: Transaction, topic: str, lane: int, first: int) -> tuple[int, int]:
    """The cursor just before the record of that number, or the sentence why there is none to go back to."""
    last = {(row["topic"], row["lane"]): row["number"] for row in await QUERIES.relay_numbers(tx)}.get((topic, lane), 0)
    if first > last:
        sys.exit(f"Number {first} of {topic}/{lane} was not given yet: the last one is {last}.")
    state, epoch = await QUERIES.relay_state(tx), await QUERIES.relay_epoch(tx)
    row = await QUERIES.outbox_lane_before(
        tx, xid=state["xid"], position=state["position"], topic=topic, lane=lane, count=last - first + 1
    )
    if row is None or (row["xid"], row["position"]) <= (epoch["epoch_xid"], epoch["epoch_position"]):
        sys.exit(
            f"The outbox does not hold number {first} of {topic}/{lane}: it was dropped since, or belongs to the time "
            "before the epoch that was opened last. See the end of docs/runbooks/a-lane-waits.md."
        )
    return row["xid"], row["position"] - 1


async def new_epoch(database: Database, service: str, settings: ServiceSettings, *, yes: bool) -> None:
    """Let a restored database speak again: numbering goes on behind all that its topics hold, in a new epoch.

    What the topics hold and the database does not is found by the same comparison that stops the relay.
    """
    async with database.connection() as connection:
        if await QUERIES.relay_works(connection):
            sys.exit(
                "A relay is at work on this database. While it may send, no new epoch is needed; if its process says "
                "that it must not, stop the service first."
            )
        epoch = (await QUERIES.relay_epoch(connection))["epoch"]
        lanes = await _unknown(connection, service, settings)
    for one in lanes:
        print(f"{one.lane[0]}/{one.lane[1]} holds the numbers {one.first} to {one.last}, which this database lacks.")
    print(
        f"Epoch {epoch + 1} begins, and what is sent next in these partitions follows those numbers. "
        "What those events decided stays lost here: settle that first (docs/runbooks/restore.md)."
    )
    if not yes:
        sys.exit(UNDONE)
    async with database.transaction() as tx:
        if await QUERIES.relay_open_epoch(tx, epoch=epoch) == "UPDATE 0":
            sys.exit("Somebody else has opened a new epoch meanwhile. Nothing was done; look again.")
        await QUERIES.relay_go_on(
            tx,
            topics=[one.lane[0] for one in lanes],
            lanes=[one.lane[1] for one in lanes],
            numbers=[one.last for one in lanes],
        )
    print("Done. Start the service now.")


async def _unknown(connection: Transaction, service: str, settings: ServiceSettings) -> list[Ahead]:
    """The lanes that hold what this database lacks, or the sentence why an epoch is not the remedy."""
    reader = kafka.reader(settings, service)
    try:
        async with kafka.started(reader):
            await check_restore(connection, NOBODY, service, reader)  # nobody owns the cursor, so nothing is rewound
    except OlderThanTopics as found:
        return found.lanes
    except MustNotSend as found:
        sys.exit(str(found))
    sys.exit("This database knows all that its topics hold: no new epoch is needed. Start the service.")
