"""Holds a database against its own topics before the relay may send.

If the last number stands where Kafka acknowledged it, nothing before it is missing, and only what follows is read. If
not, the log is another one, and the whole lane is read to see how far it is complete. A topic that lacks what was sent
has lost its log: the relay goes back and sends it again, under the old numbers. A topic that holds what this database
never wrote belongs to a later life of it: a backup was restored, and sending now would give two events one number. Then
the relay refuses to run until an operator has reconciled.
"""

import time
from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from libs.events import codec
from libs.events.database import QUERIES, Transaction
from libs.events.logs import get_logger
from libs.events.numbering import Ahead, Behind, Births, Lane, Proof, Tail, judge, prove, same_log
from libs.events.topics import written_by

SILENT_SECONDS_MAX = 60
"""How long Kafka may give no record that it says it has."""
NOTHING = (0, -1)
"""The last number of a lane, and where it stands, before there is one."""

log = get_logger()


class MustNotSend(Exception):
    """This database is not the one its topics stem from; an operator has to reconcile the two first."""


class CursorAhead(MustNotSend):
    """Cursor or outbox lie in the future of this server's transaction counter: new events would hide behind the one,
    and overtake the other."""

    def __init__(self) -> None:
        super().__init__(
            "the relay's cursor or its outbox was written by another PostgreSQL server, whose transaction counter is "
            "ahead of this one's; events would be sent out of order or never. Nothing was sent. "
            "See docs/runbooks/restore.md"
        )


class OlderThanTopics(MustNotSend):
    """The topics hold events that this database does not. The text says which."""

    def __init__(self, lanes: list[Ahead]) -> None:
        missing = "; ".join(f"{a.lane[0]}/{a.lane[1]}: numbers {a.first} to {a.last}" for a in lanes)
        super().__init__(
            f"this database is older than its topics, which hold events it does not know ({missing}). "
            "Nothing was sent. See docs/runbooks/restore.md"
        )
        self.lanes = lanes


async def loaded(connection: Transaction) -> tuple[Any, list[Any]]:
    """Cursor and numbers, in one look: a rewind moves both."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        return await QUERIES.relay_state(connection), await QUERIES.relay_numbers(connection)


async def check_restore(
    connection: Transaction, owner: str, service: str, reader: AIOKafkaConsumer
) -> tuple[dict[Lane, int], dict[Lane, int]]:
    """Compare numbers and tails. Rewinds the relay when Kafka lost its log; raises MustNotSend when we did.

    Returns the births of the logs, to be told when they are other ones, and the offsets up to which they were compared.
    """
    born = await births(reader, service)
    if await QUERIES.relay_from_elsewhere(connection):
        raise CursorAhead
    state, numbers = await loaded(connection)
    stored = {}
    for row in numbers:
        lane = (row["topic"], row["lane"])
        stored[lane] = (row["number"], row["number_at"] if same_log(row["born"], born.get(lane)) else -1)
    ahead: list[Ahead] = []
    behind: list[Behind] = []
    tails = await read_tails(reader, service, stored)
    ends = {(p.topic, p.partition): await reader.position(p) for p in reader.assignment()}
    for lane, tail in tails.items():
        number, _ = stored.get(lane, NOTHING)
        unsent = first = None
        if tail and tail.number > number:
            unsent = await _unsent_id(connection, state, lane, tail.number - number)
            first = await _unsent_id(connection, state, lane, 1)
        match judge(lane, number, tail, unsent, first):
            case Ahead() as found:
                ahead.append(found)
            case Behind() as found:
                behind.append(found)
    if ahead:
        raise OlderThanTopics(ahead)
    if behind:
        await _rewind(connection, owner, state, behind)
    return {lane: moment for lane, (_, moment) in born.items()}, ends


async def _unsent_id(connection: Transaction, state: Mapping[str, Any], lane: Lane, surplus: int) -> str | None:
    """The id of the unsent row of a lane that the topic's tail would be."""
    value = await QUERIES.outbox_lane_after(
        connection, xid=state["xid"], position=state["position"], topic=lane[0], lane=lane[1], count=surplus
    )
    return codec.read_envelope(value).id if value else None


async def _rewind(connection: Transaction, owner: str, state: Mapping[str, Any], behind: list[Behind]) -> None:
    """Go back to the first row that any lane lacks. Lanes that lack nothing get repeats; consumers tell them.

    Not to before the newest epoch: which numbers the rows had then, the outbox does not say. A lane that lacks what the
    outbox does not hold goes on in its new log, wherever that ends: who has everything reads on, who lacks something
    finds the gap.
    """
    epoch, starts = await QUERIES.relay_epoch(connection), []
    async with connection.transaction():
        await QUERIES.relay_allow_a_long_look(connection)
        for lost in behind:
            topic, lane = lost.lane
            row = await QUERIES.outbox_lane_before(
                connection, xid=state["xid"], position=state["position"], topic=topic, lane=lane, count=lost.missing
            )
            if row and (row["xid"], row["position"]) > (epoch["epoch_xid"], epoch["epoch_position"]):
                starts.append((row["xid"], row["position"] - 1))
                continue
            error = "the outbox no longer holds what a topic has lost"
            log.error(error, topic=topic, lane=lane, missing=lost.missing)
            await QUERIES.relay_forget_place(connection, topic=topic, lane=lane, owner=owner)
        if starts:
            xid, position = min(starts)
            await QUERIES.relay_rewind(connection, xid=xid, position=position, owner=owner)
            log.warning("topics have lost records; the relay sends them again", lanes=len(starts))


async def births(reader: AIOKafkaConsumer, service: str) -> Births:
    """The first record of every lane this service writes, if there is one."""
    partitions = [TopicPartition(topic.name, lane) for topic in written_by(service) for lane in range(topic.partitions)]
    first = await reader.offsets_for_times(dict.fromkeys(partitions, 0))
    return {(p.topic, p.partition): (found.offset, found.timestamp) for p, found in first.items() if found}


async def read_tails(
    reader: AIOKafkaConsumer, service: str, stored: Mapping[Lane, tuple[int, int]]
) -> dict[Lane, Tail | None]:
    """How far each lane of this service is complete. `stored`: its last number and where that stands, -1 if unknown."""
    partitions = [TopicPartition(topic.name, lane) for topic in written_by(service) for lane in range(topic.partitions)]
    reader.assign(partitions)
    begins, ends = await reader.beginning_offsets(partitions), await reader.end_offsets(partitions)
    proofs: dict[TopicPartition, Proof] = {}
    for partition in partitions:
        number, number_at = stored.get((partition.topic, partition.partition), NOTHING)
        proofs[partition], start = prove(number, number_at, begins[partition], ends[partition])
        reader.seek(partition, start)
    waiting = {partition for partition in partitions if ends[partition] > begins[partition]}
    reader.pause(*(partition for partition in partitions if partition not in waiting))
    heard = time.monotonic()
    while waiting:
        for partition, records in (await reader.getmany(timeout_ms=500)).items():
            heard = time.monotonic()
            proof, end = proofs[partition], ends[partition]
            if not all(proof.add(record.offset, *_told(record.value)) for record in records):
                log.warning("the log of a lane is not the one it was", topic=partition.topic, lane=partition.partition)
                number, _ = stored.get((partition.topic, partition.partition), NOTHING)
                proofs[partition], start = prove(number, -1, begins[partition], end)
                reader.seek(partition, start)
            elif records[-1].offset + 1 >= end:
                waiting.discard(partition)
                reader.pause(partition)
        if time.monotonic() - heard > SILENT_SECONDS_MAX:
            raise TimeoutError("Kafka gives none of the records that it says its topics hold")
    return {
        (p.topic, p.partition): proof.tail(stored.get((p.topic, p.partition), NOTHING)[0])
        for p, proof in proofs.items()
    }


def _told(value: bytes | None) -> tuple[int | None, str]:
    """Number and event id of a record; None for one that no relay has numbered."""
    try:
        envelope = codec.read_envelope(value)
        return codec.number_of(envelope), envelope.id
    except codec.Poison:
        return None, ""
