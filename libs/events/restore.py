"""Holds a database against its own topics before the relay may send.

A topic that lacks what was sent has lost its log: the relay goes back and sends it again, under the old numbers. A
topic that holds what this database never wrote belongs to a later life of it: a backup was restored, and sending now
would give two events one number. Then the relay refuses to run until an operator has reconciled.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from libs.events import codec
from libs.events.database import QUERIES, Transaction
from libs.events.logs import get_logger
from libs.events.numbering import Ahead, Behind, Lane, Tail, judge
from libs.events.topics import written_by

LOOK_BACK = 64  # records; a stranger's unnumbered records may stand behind the newest numbered one
READ_SECONDS_MAX = 60
SURPLUS_MAX = 100_000  # rows; more unrecorded sends than this can not stem from one crash

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


async def check_restore(connection: Transaction, owner: str, service: str, reader: AIOKafkaConsumer) -> None:
    """Compare numbers and tails. Rewinds the relay when Kafka lost its log; raises MustNotSend when we did."""
    state = await QUERIES.relay_state(connection)
    if state["xid"] >= state["next_xid"]:
        raise CursorAhead
    tails = await read_tails(reader, service)
    stored = {(row["topic"], row["lane"]): row["number"] for row in await QUERIES.relay_numbers(connection)}
    ahead: list[Ahead] = []
    behind: list[Behind] = []
    for lane, tail in tails.items():
        number = stored.get(lane, 0)
        ids = await _unsent_ids(connection, state, lane, tail.number - number) if tail and tail.number > number else []
        match judge(lane, number, tail, ids):
            case Ahead() as found:
                ahead.append(found)
            case Behind() as found:
                behind.append(found)
    if ahead:
        raise OlderThanTopics(ahead)
    if behind:
        await _rewind(connection, owner, state, behind)


async def _unsent_ids(connection: Transaction, state: Mapping[str, Any], lane: Lane, surplus: int) -> list[str]:
    """The ids of the next unsent rows of a lane, up to the one the topic's tail would be."""
    rows = await QUERIES.outbox_lane_after(
        connection,
        xid=state["xid"], position=state["position"], topic=lane[0], lane=lane[1], limit=min(surplus, SURPLUS_MAX),
    )  # fmt: skip
    return [codec.read_envelope(row["value"]).id for row in rows]


async def _rewind(connection: Transaction, owner: str, state: Mapping[str, Any], behind: list[Behind]) -> None:
    """Go back to the first row that any lane lacks. Lanes that lack nothing get repeats; consumers tell them."""
    starts = []
    for lost in behind:
        row = await QUERIES.outbox_lane_before(
            connection,
            xid=state["xid"], position=state["position"], topic=lost.lane[0], lane=lost.lane[1], count=lost.missing,
        )  # fmt: skip
        if row is None:
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


async def read_tails(reader: AIOKafkaConsumer, service: str) -> dict[Lane, Tail | None]:
    """The newest numbered record of every lane this service writes; None for an empty lane."""
    partitions = [TopicPartition(topic.name, lane) for topic in written_by(service) for lane in range(topic.partitions)]
    reader.assign(partitions)
    begins, ends = (
        await reader.beginning_offsets(partitions),
        await reader.end_offsets(partitions),
    )
    tails: dict[Lane, Tail | None] = {(p.topic, p.partition): None for p in partitions}
    waiting = {p for p in partitions if ends[p] > begins[p]}
    for partition in waiting:
        reader.seek(partition, max(begins[partition], ends[partition] - LOOK_BACK))
    idle = [p for p in partitions if p not in waiting]
    if idle:
        reader.pause(*idle)
    async with asyncio.timeout(READ_SECONDS_MAX):
        while waiting:
            for partition, records in (await reader.getmany(timeout_ms=500)).items():
                for record in records:
                    lane, tail = (partition.topic, partition.partition), _tail_of(record.value)
                    known = tails[lane]
                    # The highest number, not the last: the newest records may be repeats of a relay that slept.
                    if tail and (known is None or tail.number > known.number):
                        tails[lane] = tail
                if records[-1].offset + 1 >= ends[partition]:
                    waiting.discard(partition)
                    reader.pause(partition)
    return tails


def _tail_of(value: bytes | None) -> Tail | None:
    try:
        envelope = codec.read_envelope(value)
        number = codec.number_of(envelope)
    except codec.Poison:
        return None
    return Tail(number, envelope.id) if number is not None else None
