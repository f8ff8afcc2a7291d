"""The short versions of the storm, of poison at load and of lost disks; the long ones are part of `make chaos`.

Ratios are told, not asserted: a machine that does other things meanwhile makes them any number. Only a group that
hardly moves while its members change fails.
"""

from typing import Any

import pytest

from deploy.local.kafka import LocalKafka
from deploy.local.layout import Layout
from deploy.local.ports import Ports
from deploy.local.vault import Vault
from tests.conftest import MakeDatabase, Servers
from tests.fault import brokers, poison, storm
from tests.fault.path import open_path
from tests.integration.conftest import renew_topics

RATIO_MIN = 0.05
NOTHING_WRONG = {"lost": 0, "doubled": 0, "out_of_order": 0}


def wrong(told: dict[str, Any]) -> dict[str, int]:
    return {name: told[name] for name in NOTHING_WRONG}


async def test_workers_that_come_and_go_change_no_effect(stack_services: Servers, database: MakeDatabase) -> None:
    renew_topics(stack_services.kafka)
    async with open_path(database, stack_services.kafka) as path:
        told = await storm.run(path, "1", events=150_000, changes=12)
    print(told)
    assert wrong(told) == NOTHING_WRONG
    assert told["joins"] >= 4
    assert told["leaves"] >= 4
    assert told["while_events_were_left"] >= 8, "a change after the last event proves nothing"
    assert told["ratio"] > RATIO_MIN


async def test_poison_at_load_is_parked_and_its_repair_gives_every_event_one_effect(
    stack_services: Servers, database: MakeDatabase
) -> None:
    renew_topics(stack_services.kafka)
    async with open_path(database, stack_services.kafka) as path:
        told = await poison.run(path, "1", events=10_000, turns=1)
    print(told)
    assert poison.wrong(told) == []
    assert told["hostile"] >= 100
    assert set(poison.KINDS) < set(told["parked"])


async def test_a_checker_that_saw_nothing_would_be_told(stack_services: Servers, database: MakeDatabase) -> None:
    """The judge of both: a lost, a doubled and an overtaken effect are each found."""
    renew_topics(stack_services.kafka)
    async with open_path(database, stack_services.kafka) as path:
        await path.say([1, 1, 1, 2, 2])
        async with path.reader.transaction() as tx:
            for citizen, turn in ((1, 1), (1, 3), (1, 2), (2, 1), (2, 1)):
                await tx.execute("INSERT INTO effect (citizen, turn) VALUES ($1, $2)", f"{citizen:032x}", turn)
        assert await path.findings() == {"lost": 1, "doubled": 1, "out_of_order": 1}


async def test_an_effect_of_no_event_makes_up_for_no_loss(stack_services: Servers, database: MakeDatabase) -> None:
    renew_topics(stack_services.kafka)
    async with open_path(database, stack_services.kafka) as path:
        await path.say([1, 1, 2])
        async with path.reader.transaction() as tx:
            for citizen, turn in ((1, 1), (1, 7), (3, 1)):
                await tx.execute("INSERT INTO effect (citizen, turn) VALUES ($1, $2)", f"{citizen:032x}", turn)
        assert await path.findings() == {"lost": 2, "doubled": 2, "out_of_order": 0}


def kept(told: dict[str, Any]) -> None:
    assert wrong(told) == NOTHING_WRONG
    assert told["topic"] == {"numbers": told["events"], "missing": 0, "two_events_one_number": 0}


async def test_the_only_broker_loses_its_disk_and_nothing_else_is_lost() -> None:
    told = await brokers.whole("1", 0, 1, brokers=1)
    print(told)
    kept(told)


@pytest.mark.slow
async def test_a_broker_and_then_all_brokers_lose_their_disks_and_nothing_else_is_lost() -> None:
    told = await brokers.whole("1", 1, 1)
    print(told)
    kept(told)
    assert min(told["applied_while_one_was_away"]) > 0, "two brokers of three go on"


@pytest.mark.parametrize(("brokers", "copies", "in_sync"), [(1, 1, 1), (3, 3, 2)])
def test_what_a_broker_is_told_of_copies(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, brokers: int, copies: int, in_sync: int
) -> None:
    layout = Layout.at(tmp_path)
    layout.create()
    monkeypatch.setattr(LocalKafka, "_format", lambda self, password: None)
    broker = LocalKafka(layout, Ports(20_000), (), Vault(layout), brokers, brokers)
    broker.prepare()
    told = (broker.folder / "server.properties").read_text().splitlines()
    assert f"default.replication.factor={copies}" in told
    assert f"min.insync.replicas={in_sync}" in told
    assert len(broker.cluster().servers.split(",")) == brokers
