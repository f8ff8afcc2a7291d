"""Kafka clients with the settings the guarantees need, and no others. Tests look at the effective settings."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from libs.events.settings import ServiceSettings

BATCH_BYTES: Final = 256 * 1024


def connection(settings: ServiceSettings) -> dict[str, Any]:
    """Where Kafka is and who we are."""
    known: dict[str, Any] = {"bootstrap_servers": settings.kafka_servers}
    if settings.kafka_user and settings.kafka_password:
        known |= {
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "SCRAM-SHA-256",
            "sasl_plain_username": settings.kafka_user,
            "sasl_plain_password": settings.kafka_password.get_secret_value(),
        }
    return known


def producer(settings: ServiceSettings, name: str) -> AIOKafkaProducer:
    """For the relay: acknowledged by all in-sync replicas, idempotent, whole batches."""
    return AIOKafkaProducer(
        **connection(settings),
        client_id=f"gelombang.{name}.relay",
        acks="all",
        enable_idempotence=True,
        max_batch_size=BATCH_BYTES,
        linger_ms=0,
        request_timeout_ms=20_000,
    )


def consumer(settings: ServiceSettings, name: str) -> AIOKafkaConsumer:
    """For a worker: nothing is committed by itself, and a position outside the log is an error, never a silent jump."""
    return AIOKafkaConsumer(
        **connection(settings),
        client_id=f"gelombang.{name}.worker",
        group_id=f"gelombang.{name}",
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level="read_uncommitted",
        session_timeout_ms=int(settings.kafka_session_seconds * 1000),
        # A member hears of a change of lanes by its heartbeat, and until all have, lanes stand still. With 3 s instead,
        # 200 changes during a million events left 0.3 of the steady rate, not 0.6 to 0.7.
        heartbeat_interval_ms=500,
        max_poll_interval_ms=300_000,
        max_partition_fetch_bytes=1024 * 1024,
        fetch_max_wait_ms=100,  # what arrives on a lane that was just emptied waits for the fetch under way to end
        metadata_max_age_ms=30_000,
    )


def reader(settings: ServiceSettings, name: str) -> AIOKafkaConsumer:
    """For looking at topics without being a member of a group."""
    return AIOKafkaConsumer(
        **connection(settings),
        client_id=f"gelombang.{name}.reader",
        group_id=None,
        enable_auto_commit=False,
    )


@asynccontextmanager
async def started(client: Any) -> AsyncIterator[None]:
    """A client from start to stop; also stopped when its start fails half-way."""
    try:
        await client.start()
        yield
    finally:
        try:
            await client.stop()
        except asyncio.CancelledError:
            # aiokafka 0.14: where a fetch waits to be tried again, stopping raises the end of that fetch, not ours.
            if (task := asyncio.current_task()) is None or task.cancelling():
                raise
