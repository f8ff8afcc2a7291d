"""FastStream and Faust on the same records, with the same pydantic model and the same handler.

Each is spared what can be spared: the record goes straight to pydantic (no JSON in between, no injection of arguments),
offsets are committed in the background, nothing is logged, uvloop runs the loop, buffers are large.
"""

import asyncio
import secrets
import tempfile
from collections.abc import Sequence
from typing import Any

from libs.events.contracts import Applied
from tests.bench.consumers import TOPIC
from tests.bench.records import Meter, Told
from tests.bench.world import Where


async def faststream(where: Where, count: int) -> dict[str, Any]:
    """FastStream, one call of the handler per message."""
    broker, full, meter = _broker(where), asyncio.Event(), Meter(count)

    async def decode(message: Any) -> Applied:
        return Told.model_validate_json(message.body).data

    @broker.subscriber(TOPIC, decoder=decode, **_subscription())  # type: ignore[untyped-decorator,unused-ignore]
    async def handle(event) -> None:  # type: ignore[no-untyped-def]
        if meter.see((event,)):
            full.set()

    return await _run(broker, full, meter)


async def faststream_batch(where: Where, count: int) -> dict[str, Any]:
    """FastStream in its batch mode, batches as large as ours."""
    broker, full, meter = _broker(where), asyncio.Event(), Meter(count)

    async def decode(message: Any) -> list[Applied]:
        return [Told.model_validate_json(body).data for body in message.body]

    @broker.subscriber(  # type: ignore[untyped-decorator,unused-ignore]
        TOPIC, batch=True, max_records=5_000, decoder=decode, **_subscription()
    )
    async def handle(events) -> None:  # type: ignore[no-untyped-def]
        if meter.see(events):
            full.set()

    return await _run(broker, full, meter)


def _broker(where: Where) -> Any:
    from faststream.kafka import KafkaBroker  # type: ignore[import-not-found,unused-ignore]
    from faststream.security import SASLScram256  # type: ignore[import-not-found,unused-ignore]

    security = None
    if where.kafka_user and where.kafka_password:
        security = SASLScram256(where.kafka_user, where.kafka_password, use_ssl=False)
    return KafkaBroker(where.kafka_servers, security=security, logger=None, apply_types=False)


def _subscription() -> dict[str, Any]:
    from faststream import AckPolicy  # type: ignore[import-not-found,unused-ignore]

    # ACK_FIRST: commits happen in the background and no handler waits for them. Fast; it may lose what it was given.
    return {
        "group_id": f"gelombang.bench.{secrets.token_hex(6)}",
        "auto_offset_reset": "earliest",
        "ack_policy": AckPolicy.ACK_FIRST,
    }


async def _run(broker: Any, full: asyncio.Event, meter: Meter) -> dict[str, Any]:
    await broker.start()
    await full.wait()
    rate = meter.rate()
    await broker.stop()
    return {"rate": rate}


async def faust(where: Where, count: int) -> dict[str, Any]:
    """Faust, one agent over the stream; raw bytes and pydantic, which is faster than its own records."""
    import faust as library

    credentials = None
    if where.kafka_user and where.kafka_password:
        credentials = library.SASLCredentials(
            username=where.kafka_user, password=where.kafka_password, mechanism="SCRAM-SHA-256"
        )
    meter, full = Meter(count), asyncio.Event()
    with tempfile.TemporaryDirectory(prefix="gelombang-bench-") as datadir:
        app = library.App(
            f"gelombang.bench.{secrets.token_hex(6)}",
            broker=[f"kafka://{server}" for server in where.kafka_servers.split(",")],
            broker_credentials=credentials,
            consumer_auto_offset_reset="earliest",
            stream_buffer_maxsize=16_384,
            store="memory://",
            datadir=datadir,
            topic_allow_declare=False,
            topic_disable_leader=True,
            web_enabled=False,
        )
        topic = app.topic(
            TOPIC, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw", internal=False
        )

        @app.agent(topic)  # type: ignore[untyped-decorator,unused-ignore]
        async def follow(stream: Any) -> None:
            async for value in stream:
                if meter.see((Told.model_validate_json(value).data,)):
                    full.set()

        await app.start()
        await full.wait()
        rate = meter.rate()
        await app.stop()
    return {"rate": rate}


def names() -> Sequence[str]:
    """The rivals of the consumer, in the order of their turns."""
    return ("faststream", "faust", "faststream_batch")
