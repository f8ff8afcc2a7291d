"""The servers that the runtime starts: who may do what, and what survives."""

from dataclasses import replace

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import TopicAuthorizationFailedError
from confluent_kafka import Consumer, KafkaException

from deploy.local import bus
from deploy.local.bus import Cluster
from libs.events.topics import TOPICS
from tests.conftest import MakeDatabase, MakeTopic, Servers

PASSWORD = "only-for-this-test"


@pytest.fixture(scope="module")
def guarded(stack_services: Servers) -> Cluster:
    """The cluster with topics, users and rights as topics.toml says."""
    if not stack_services.kafka.user:
        pytest.skip("this Kafka has no users")
    topics = TOPICS.values()
    if stack_services.stack is None:
        bus.create_topics(stack_services.kafka, topics)
        bus.grant(stack_services.kafka, topics)
    bus.set_passwords(stack_services.kafka, dict.fromkeys(bus.principals(topics), PASSWORD))
    return stack_services.kafka


def as_service(cluster: Cluster, service: str) -> Cluster:
    return Cluster(cluster.servers, service, PASSWORD)


async def test_a_service_writes_its_own_topic_and_no_other(guarded: Cluster) -> None:
    producer = AIOKafkaProducer(**as_service(guarded, "training").aiokafka(), acks="all", enable_idempotence=True)
    async with producer:
        await producer.send_and_wait("training-completed", b"{}", partition=0)
        with pytest.raises(TopicAuthorizationFailedError):
            await producer.send_and_wait("incentive-paid", b"{}", partition=0)


def test_a_service_reads_what_it_consumes_in_groups_of_its_own_name(guarded: Cluster) -> None:
    def polled(group: str, topic: str) -> str:
        settings = as_service(guarded, "finance").settings() | {"group.id": group, "auto.offset.reset": "earliest"}
        consumer = Consumer(settings)
        try:
            consumer.subscribe([topic])
            message = consumer.poll(15)
            error = message and message.error()
            return error.name() if error else "nothing wrong"
        except KafkaException as error:
            return str(error.args[0].name())
        finally:
            consumer.close()

    assert polled("gelombang.finance", "applied") == "TOPIC_AUTHORIZATION_FAILED"
    assert polled("gelombang.training", "incentive-paid") == "GROUP_AUTHORIZATION_FAILED"


def test_what_was_not_derived_from_the_page_is_taken_back(guarded: Cluster) -> None:
    too_much = bus.Right("finance", "topic", "applied", False, "write")
    admin = guarded.admin()
    for granted in admin.create_acls([too_much.binding()]).values():
        granted.result(10)
    topics = TOPICS.values()
    bus.grant(guarded, topics)
    held = bus.held(guarded, topics)
    assert too_much.binding() not in held
    assert held == {right.binding() for right in bus.rights(topics)}


def test_a_topic_with_other_settings_is_named(guarded: Cluster, topic: MakeTopic) -> None:
    name = topic(partitions=2, **{"retention.ms": "1000"})
    wanted = replace(TOPICS["waves"], name=name, partitions=3)
    differences = bus.compare(guarded, [wanted])
    assert f"{name} has 2 partitions instead of 3" in differences
    assert f"{name} has retention.ms=1000 instead of -1" in differences


async def test_the_app_role_owns_nothing_and_its_waits_are_limited(database: MakeDatabase) -> None:
    made = database("training")
    app = await asyncpg.connect(made.app_url)
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await app.execute("CREATE TABLE mine (id int)")
        assert await app.fetchval("SHOW idle_in_transaction_session_timeout") == "10s"
        assert await app.fetchval("SHOW statement_timeout") == "30s"
        assert await app.fetchval("SHOW synchronous_commit") == "on"
        assert await app.fetchval("SHOW fsync") == "on"
    finally:
        await app.close()


async def test_a_service_can_not_enter_the_database_of_another(database: MakeDatabase) -> None:
    training, finance = database("training"), database("finance")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await asyncpg.connect(training.app_url.replace(training.name, finance.name))


async def test_databases_of_one_service_are_apart(database: MakeDatabase) -> None:
    first, second = database("selection"), database("selection")
    owner = await asyncpg.connect(first.owner_url)
    await owner.execute("CREATE TABLE only_here (id int)")
    await owner.close()
    other = await asyncpg.connect(second.owner_url)
    assert await other.fetchval("SELECT to_regclass('only_here')") is None
    await other.close()
