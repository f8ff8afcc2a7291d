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
    """The relay's cursor lies in the future of this server's transaction counter: new events would hide behind it."""

    def __init__(self) -> None:
        super().__init__(
            "the relay's cursor was written by another PostgreSQL server, whose transaction counter is ahead of this "
            "one's; new events would never be sent. Nothing was sent. See docs/runbooks/restore.md"
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


async def check_restore(connection: Transaction, owner: str, service: str, reader: AIOKafkaConsumer) -> dict[Lane, int]:
    """Compare numbers and tails. Rewinds the relay when Kafka lost its log; raises MustNotSend when we did.

    Returns the births of the logs, to be told when they are other ones.
    """
    born = await births(reader, service)
    async with connection.transaction(isolation="repeatable_read", readonly=True):  # one look: a rewind moves both
        state, numbers = await QUERIES.relay_state(connection), await QUERIES.relay_numbers(connection)
    if state["xid"] >= state["next_xid"]:
        raise CursorAhead
    stored = {}
    for row in numbers:
        lane = (row["topic"], row["lane"])
        stored[lane] = (row["number"], row["number_at"] if same_log(row["born"], born.get(lane)) else -1)
    ahead: list[Ahead] = []
    behind: list[Behind] = []
    for lane, tail in (await read_tails(reader, service, stored)).items():
        number, _ = stored.get(lane, NOTHING)
        unsent = (
            await _unsent_id(connection, state, lane, tail.number - number) if tail and tail.number > number else None
        )
        match judge(lane, number, tail, unsent):
            case Ahead() as found:
                ahead.append(found)
            case Behind() as found:
                behind.append(found)
    if ahead:
        raise OlderThanTopics(ahead)
    if behind:
        await _rewind(connection, owner, state, behind)
    return {lane: moment for lane, (_, moment) in born.items()}


async def _unsent_id(connection: Transaction, state: Mapping[str, Any], lane: Lane, surplus: int) -> str | None:
    """The id of the unsent row of a lane that the topic's tail would be."""
    value = await QUERIES.outbox_lane_after(
        connection, xid=state["xid"], position=state["position"], topic=lane[0], lane=lane[1], count=surplus
    )
    return codec.read_envelope(value).id if value else None


async def _rewind(connection: Transaction, owner: str, state: Mapping[str, Any], behind: list[Behind]) -> None:
    """Go back to the first row that any lane lacks. Lanes that lack nothing get repeats; consumers tell them.

    Not to before the newest epoch: which numbers the rows had then, the outbox does not say.
    """
    epoch, starts = await QUERIES.relay_epoch(connection), []
    for lost in behind:
        row = await QUERIES.outbox_lane_before(
            connection,
            xid=state["xid"], position=state["position"], topic=lost.lane[0], lane=lost.lane[1], count=lost.missing,
        )  # fmt: skip
        if row is None or (row["xid"], row["position"]) <= (epoch["epoch_xid"], epoch["epoch_position"]):
            log.error(
                "the outbox no longer holds what a topic has lost",
                topic=lost.lane[0],
                lane=lost.lane[1],
                missing=lost.missing,
            )
            continue
        starts.append((row["xid"], row["position"] - 1))
    if starts:
        xid, position = min(starts)
        await QUERIES.relay_rewind(connection, xid=xid, position=position, owner=owner)
        log.warning(
            "topics have lost records; the relay sends them again",
            lanes=len(behind),
            missing=sum(b.missing for b in behind),
        )


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
                proofs[partition], start = prove(*NOTHING, begins[partition], end)
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
