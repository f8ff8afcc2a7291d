"""What an operator may ask of the event path, on real servers: a relay sent back, a new epoch, and who holds still."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import asyncpg
import pytest
from aiokafka import TopicPartition

from deploy.local.bus import Cluster
from libs.events import ids, outbox, tending
from libs.events import kafka as clients
from libs.events.api import new_api
from libs.events.contracts import TrainingRated
from libs.events.database import QUERIES, Transaction
from libs.events.hold import Hold
from libs.events.jobs import Every
from libs.events.relay import Fenced
from libs.events.restore import CursorAhead, OlderThanTopics, check_restore
from libs.events.runtime import Runtime, Service
from libs.events.topics import TOPICS
from tests.integration.conftest import Party, renew_topics
from tests.support import NOON

TOPIC = "training-completed"
CITIZEN = f"{1:032x}"
LANE = TOPICS[TOPIC].lane(CITIZEN)


def rated(course: int) -> TrainingRated:
    enrolment, made = ids.derive("enrolment", str(course)), ids.derive("course", str(course))
    return TrainingRated(
        at=NOON,
        enrolment_id=enrolment,
        citizen_id=CITIZEN,
        programme="prakerja-2020",
        wave=1,
        course_id=made,
        stars=5,
    )


@pytest.fixture
async def training(party: Callable[[str], Awaitable[Party]]) -> Party:
    """Training with five events of one citizen, sent as numbers 1 to 5 of their partition."""
    made = await party("training")
    await say(made, *range(5))
    await made.relay()
    return made


async def say(party: Party, *courses: int) -> None:
    async with party.database.transaction() as tx:
        await outbox.add(tx, [rated(course) for course in courses])


async def sent(party: Party) -> list[tuple[int, int, str]]:
    """Number, epoch and id of every record of the partition, in the order of the log."""
    reader, place = clients.reader(party.settings, "test"), TopicPartition(TOPIC, LANE)
    async with clients.started(reader):
        reader.assign([place])
        end = (await reader.end_offsets([place]))[place]
        reader.seek(place, 0)
        found: list[Any] = []
        while len(found) < end:
            found += (await reader.getmany(timeout_ms=500)).get(place, [])
    values = [json.loads(record.value) for record in found]
    return [(int(value["sequence"]), value["epoch"], value["id"]) for value in values]


async def ask(party: Party, *words: str, yes: bool = False) -> None:
    await tending.tend(party.name, party.settings, {}, words, yes=yes)


async def lose(party: Party, known: int) -> None:
    """Make the database what a backup would be that knows only the first `known` events."""
    async with party.database.transaction() as tx:
        row = await tx.fetchrow("SELECT xid, position FROM outbox ORDER BY position OFFSET $1 LIMIT 1", known - 1)
        assert row is not None
        await tx.execute("UPDATE relay SET xid = $1, position = $2", row["xid"], row["position"])
        await tx.execute("UPDATE relay_number SET number = $1", known)
    owner = await asyncpg.connect(party.owner_url)
    await owner.execute("DELETE FROM outbox WHERE position > $1", row["position"])
    await owner.close()


async def test_a_rewind_says_what_it_would_do_and_does_nothing_without_yes(
    training: Party, capsys: pytest.CaptureFixture[str]
) -> None:
    async with training.relaying(), training.database.connection() as connection:
        await training.until(lambda: QUERIES.relay_works(connection))
        before = await QUERIES.relay_state(connection)
        with pytest.raises(SystemExit, match="Nothing was done"):
            await ask(training, "rewind", TOPIC, str(LANE), "2")
        after = await QUERIES.relay_state(connection)
        assert (after["owner"], after["position"]) == (before["owner"], before["position"])
    assert f"{TOPIC}/{LANE} goes back to number 2: 4 records of 1 partitions" in capsys.readouterr().out
    assert len(await sent(training)) == 5


async def test_a_rewind_while_a_relay_compares_does_not_look_like_a_restore(
    training: Party, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = QUERIES.relay_state

    async def and_then_rewind(connection: Transaction) -> Any:
        state = await look(connection)
        monkeypatch.setattr(QUERIES, "relay_state", look)
        await ask(training, "rewind", TOPIC, str(LANE), "1", yes=True)
        return state

    monkeypatch.setattr(QUERIES, "relay_state", and_then_rewind)
    reader = clients.reader(training.settings, training.name)
    async with clients.started(reader), training.database.connection() as connection:
        await check_restore(connection, "0" * 32, training.name, reader)
    await training.relay()
    assert [number for number, _, _ in await sent(training)] == [*range(1, 6), *range(1, 6)]


@pytest.mark.parametrize("stamped", ["UPDATE relay SET xid = $1", "UPDATE outbox SET xid = $1 WHERE position > 5"])
async def test_a_database_of_a_server_whose_counter_is_ahead_is_not_spoken_for(training: Party, stamped: str) -> None:
    """Put back with pg_restore. What waits in the outbox may bear such stamps though the cursor does not."""
    await say(training, 5)
    owner = await asyncpg.connect(training.owner_url)
    next_xid = await owner.fetchval("SELECT pg_snapshot_xmax(pg_current_snapshot())")
    await owner.execute(stamped.replace("$1", f"'{next_xid + 1_000}'"))
    await owner.close()
    with pytest.raises(CursorAhead, match=r"another PostgreSQL server.*restore\.md"):
        await training.relay()
    assert len(await sent(training)) == 5


async def test_going_back_has_minutes_and_nothing_else_has(
    training: Party, bus: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tens of millions of rows are counted then, by an operator's rewind as by the relay's own."""
    patience: list[str] = []
    rewind, before = QUERIES.relay_rewind, QUERIES.outbox_lane_before

    async def going_back(connection: Transaction, **given: Any) -> Any:
        patience.append(await connection.fetchval("SHOW statement_timeout"))
        return await rewind(connection, **given)

    async def counting_back(connection: Transaction, **given: Any) -> Any:
        patience.append(await connection.fetchval("SHOW statement_timeout"))
        return await before(connection, **given)

    monkeypatch.setattr(QUERIES, "relay_rewind", going_back)
    monkeypatch.setattr(QUERIES, "outbox_lane_before", counting_back)
    await ask(training, "rewind", TOPIC, str(LANE), "3", yes=True)
    renew_topics(bus)
    await training.relay()
    assert patience == ["10min"] * 4
    assert [number for number, _, _ in await sent(training)] == [1, 2, 3, 4, 5]
    async with training.database.connection() as connection:
        assert await connection.fetchval("SHOW statement_timeout") == "30s"


async def test_a_rewind_sends_again_from_a_number_on_under_the_old_numbers(training: Party) -> None:
    first = await sent(training)
    await ask(training, "rewind", TOPIC, str(LANE), "3", yes=True)
    await training.relay()
    await say(training, 5)
    await training.relay()
    told = await sent(training)
    assert told[5:8] == first[2:]
    assert [number for number, _, _ in told] == [1, 2, 3, 4, 5, 3, 4, 5, 6]


async def test_a_relay_at_work_is_fenced_by_a_rewind(training: Party) -> None:
    with pytest.raises(Fenced):
        await rewind_at_work(training)
    await training.relay()
    numbers = Counter(number for number, _, _ in await sent(training))
    assert set(numbers) == {1, 2, 3, 4, 5, 6}
    assert len({(number, event) for number, _, event in await sent(training)}) == 6, "one number, one event"


async def rewind_at_work(party: Party) -> None:
    async with party.relaying() as relay:

        async def sends() -> bool:
            return bool(relay.numbers)  # read once its topics have been compared

        await party.until(sends)
        await ask(party, "rewind", TOPIC, str(LANE), "1", yes=True)
        await say(party, 5)
        await asyncio.sleep(1)


async def test_what_can_not_be_done_is_a_sentence(training: Party) -> None:
    for words, sentence in (
        (("rewind", TOPIC, "1"), "needs a topic, a partition and the first number"),
        (("rewind", "applied", "0", "1"), "training does not write applied. It writes: training-completed"),
        (("rewind", TOPIC, "64000", "1"), "has the partitions 0 to"),
        (("rewind", TOPIC, str(LANE), "0"), "whole number from 1"),
        (("rewind", TOPIC, str(LANE), "6"), "was not given yet: the last one is 5"),
        (("new-epoch", "2"), "takes no further words"),
        (("new-epoch",), "knows all that its topics hold: no new epoch is needed"),
        (("drop", "x"), "drop needs the ids"),
    ):
        with pytest.raises(SystemExit, match=sentence):
            await ask(training, *words, yes=True)


async def test_what_the_outbox_dropped_is_not_sent_again(training: Party) -> None:
    owner = await asyncpg.connect(training.owner_url)
    await owner.execute("DELETE FROM outbox WHERE position <= 3")
    await owner.close()
    with pytest.raises(SystemExit, match=rf"does not hold number 2 of {TOPIC}/{LANE}.*a-lane-waits"):
        await ask(training, "rewind", TOPIC, str(LANE), "2", yes=True)
    await ask(training, "rewind", TOPIC, str(LANE), "4", yes=True)


async def test_a_new_epoch_goes_on_behind_what_the_topics_hold(
    training: Party, capsys: pytest.CaptureFixture[str]
) -> None:
    await lose(training, known=3)
    await say(training, 7)  # decided in the second life, before anybody noticed
    with pytest.raises(OlderThanTopics):
        await training.relay()
    with pytest.raises(SystemExit, match="Nothing was done"):
        await ask(training, "new-epoch")
    assert f"{TOPIC}/{LANE} holds the numbers 4 to 5, which this database lacks" in capsys.readouterr().out
    with pytest.raises(OlderThanTopics):
        await training.relay()

    await ask(training, "new-epoch", yes=True)
    await training.relay()
    told = await sent(training)
    assert [(number, epoch) for number, epoch, _ in told] == [(1, 1), (2, 1), (3, 1), (4, 1), (5, 1), (6, 2)]
    with pytest.raises(SystemExit, match="no new epoch is needed"):
        await ask(training, "new-epoch", yes=True)

    # What stood in the outbox before that moment had other numbers than counting back would give it.
    with pytest.raises(SystemExit, match="before the epoch"):
        await ask(training, "rewind", TOPIC, str(LANE), "5", yes=True)
    await ask(training, "rewind", TOPIC, str(LANE), "6", yes=True)
    await training.relay()
    assert (await sent(training))[6] == told[5]


async def test_a_new_epoch_is_not_opened_while_a_relay_works(training: Party) -> None:
    async with training.relaying(), training.database.connection() as connection:
        await training.until(lambda: QUERIES.relay_works(connection))
        with pytest.raises(SystemExit, match="A relay is at work"):
            await ask(training, "new-epoch", yes=True)


async def test_what_one_process_found_is_seen_by_the_others_until_a_relay_may_send(training: Party) -> None:
    told: list[str] = []
    finder, other = Hold(training.database, told.append), Hold(training.database, told.append)
    await other.look()
    assert told == []
    finder.found("older than its topics")
    assert told == ["older than its topics"]
    await finder.look()
    await other.look()
    await other.look()
    assert told == ["older than its topics"] * 2
    assert Hold(training.database, told.append).why == ""
    late = Hold(training.database, told.append)
    await late.look()
    assert late.why == "older than its topics"
    late.found("")  # a relay that was started again, and may send
    await late.look()
    await finder.look()
    assert (finder.why, late.why) == ("", "")


async def test_a_store_that_can_not_be_asked_changes_nothing(training: Party) -> None:
    told: list[str] = []
    hold = Hold(training.database, told.append)
    hold.found("older than its topics")
    owner = await asyncpg.connect(training.owner_url)
    await owner.execute("ALTER TABLE relay RENAME TO gone")  # as for a moment while a backup is restored
    await hold.look()
    await owner.execute("ALTER TABLE gone RENAME TO relay")
    await owner.close()
    await hold.look()
    other = Hold(training.database, told.append)
    await other.look()
    assert told == ["older than its topics"] * 2


async def test_processes_without_the_relay_stop_acting_and_go_on_when_it_may_send(
    training: Party, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("libs.events.hold.LOOK_SECONDS", 0.05)
    rounds = 0

    async def sweep(*, tx: Transaction, now: datetime) -> int:
        nonlocal rounds
        rounds += 1
        return 0

    training.clock.at = NOON
    service = Service(
        name="training",
        settings=training.settings.model_copy(update={"http_port": 0}),
        clock=training.clock,
        api=new_api("training", "A test"),
        reactions={},
        jobs=[Every(name="sweep", seconds=0, run=sweep)],
    )
    process = Runtime(service, ["jobs"])
    relay = await asyncpg.connect(training.settings.database_url.get_secret_value())
    running = asyncio.create_task(process.run())

    async def at(state: str) -> bool:
        return hasattr(process, "health") and process.health.roles.get("jobs", "").startswith(state)

    async def busy(more: int) -> bool:
        return rounds >= more

    try:
        await QUERIES.relay_take(relay, owner="ab" * 16, silent_since=-1)
        await training.until(lambda: at("held: no relay has held the topics against this database yet"))
        assert rounds == 0
        await QUERIES.relay_looked(relay, owner="ab" * 16)
        await training.until(lambda: busy(2))
        elsewhere = Hold(training.database, lambda why: None)
        elsewhere.found("older than its topics")
        await elsewhere.look()
        await training.until(lambda: at("held: older than its topics"))
        stood = rounds
        await asyncio.sleep(0.5)
        assert rounds == stood
        assert process.surface.state.held == "older than its topics"
        assert not (await process.health.ready())["ready"]

        elsewhere.found("")
        await elsewhere.look()
        await training.until(lambda: busy(stood + 2))
        assert not process.surface.state.held
        assert (await process.health.ready())["ready"]
    finally:
        await relay.close()
        process.stopping.set()
        await asyncio.wait_for(running, 20)
