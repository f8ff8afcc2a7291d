"""The live windows: a Faust application beside finance, `python -m services.finance.windows`.

It reads the topic of the money path in a group of its own and keeps its tables in memory, with changelogs in topics of
its own prefix. Its totals can be rebuilt at any time and nothing decides by them: an event that can not be read is
skipped and counted. One process is enough by far; a second one would take over half of the partitions and show half.

Two of Faust's habits do not fit here. It forgets windows by the clock of the machine, which may be years away from
programme time: the newest windows are kept by number instead. And a repeated record would count twice, because Kafka
delivers at least once: the number that the relay gave is kept beside the totals, and what is not newer is skipped.
"""

import asyncio
import os
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any, Final, cast

import faust
from aiohttp import web
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, for_code

from libs.events.codec import Poison, number_of, read_envelope, read_event
from libs.events.contracts import IncentivePaid, Payment
from libs.events.kafka import connection
from libs.events.settings import load_settings
from libs.events.topics import TOPIC_OF
from services.finance.domain.windows import WINDOWS_KEPT, counted, key_of, place_of, read, surplus
from services.finance.settings import WindowsSettings

NAME: Final = "gelombang.finance.windows"
TOPIC: Final = TOPIC_OF[IncentivePaid.TYPE]
TOPIC_EXISTS: Final = 36  # Kafka's error code
METADATA_SECONDS_MAX: Final = 30
BATCH_RECORDS_MAX: Final = 1000
BATCH_SECONDS: Final = 1.0  # a window is a minute; each batch writes every key it touches to the changelog once
LINGER_SECONDS: Final = 0.02  # the changelog goes out in few large requests instead of many small ones
NICE: Final = 19  # nothing decides by the windows: they yield to those who work


class OwnPartition(faust.Table[Any, Any]):
    """A table whose keys name the partition they belong to, so that a whole batch can be counted before it is kept."""

    def partition_for_key(self, key: Any) -> int:
        return int(str(key).partition("|")[0])


class Windows:
    """The tables, and what the stream and the page do with them."""

    def __init__(self, app: faust.App) -> None:
        self.app = app
        # Tables are partitioned as the topic is: each record writes to the changelog of its own partition.
        self.shares = app.Table("shares", default=dict, partitions=TOPIC.partitions)
        self.numbers = app.Table("numbers", default=int, partitions=TOPIC.partitions)
        self.skipped = 0
        self._keys: dict[int, dict[int, set[str]]] = {}

    async def follow(self, stream: Any) -> None:
        """Count every payment event once, and keep what a batch has changed: each key once, not once per event."""
        async for records in stream.take_events(BATCH_RECORDS_MAX, within=BATCH_SECONDS):
            shares: dict[str, Any] = {}
            numbers: dict[str, int] = {}
            for record in records:
                try:
                    self._take(record.message.partition, record.value, shares, numbers)
                except Poison:
                    self.skipped += 1
            self._keep(shares)
            self.numbers.update(numbers)

    def _take(self, partition: int, value: bytes, shares: dict[str, Any], numbers: dict[str, int]) -> None:
        """Add one record to what its batch changes."""
        envelope = read_envelope(value)
        number, lane = number_of(envelope), str(partition)
        if number is not None:
            if number <= numbers.get(lane, self.numbers[lane]):
                return
            numbers[lane] = number
        event = read_event(envelope, TOPIC.name)
        if isinstance(event, Payment):
            key = key_of(partition, event)
            shares[key] = counted(shares.get(key, self.shares[key]), event, event.amount_rupiah)

    def _keep(self, shares: dict[str, Any]) -> None:
        """Write the changed shares, and forget the windows that are too old by now."""
        for key, share in shares.items():
            partition, minute = place_of(key)
            known = self._known(partition)
            if minute not in known:
                known[minute] = set()
                for old in surplus(known):
                    for gone in known.pop(old):
                        del self.shares[gone]
            if minute in known:
                self.shares[key] = share
                known[minute].add(key)

    def _known(self, partition: int) -> dict[int, set[str]]:
        """The windows of a partition with their keys; after a start or a rebalance they are found in the table once."""
        if partition not in self._keys:
            found: dict[int, set[str]] = defaultdict(set)
            for key in self.shares:
                owner, minute = place_of(key)
                if owner == partition:
                    found[minute].add(key)
            self._keys[partition] = dict(found)
        return self._keys[partition]

    def changelogs(self) -> list[str]:
        """The topics that the tables are rebuilt from."""
        return [str(table.changelog_topic.get_topic_name()) for table in (self.shares, self.numbers)]

    def forget_places(self, *_: Any, **__: Any) -> None:
        """After a rebalance the tables may hold other partitions."""
        self._keys.clear()

    async def page(self, request: web.Request) -> web.Response:
        """`GET /windows?last=10`: the newest windows in which something happened."""
        asked = request.query.get("last", "10")
        last = min(max(int(asked), 1), WINDOWS_KEPT) if asked.isdecimal() else 10
        if self.app.rebalancing or self.app.in_recovery:
            return web.json_response({"rebuilding": True, "skipped": self.skipped, "windows": []})
        # A copy: the stream may open a window while the lines are added up.
        windows = read(list(self.shares.items()), last)
        return web.json_response({"rebuilding": False, "skipped": self.skipped, "windows": windows})


def create_app(settings: WindowsSettings, datadir: Path, source: str) -> tuple[faust.App, Windows]:
    """The Faust application; it makes no topics itself, and commits for a group of its own name."""
    credentials = None
    if settings.kafka_user and settings.kafka_password:
        credentials = faust.SASLCredentials(
            username=settings.kafka_user,
            password=settings.kafka_password.get_secret_value(),
            mechanism="SCRAM-SHA-256",
        )
    app = faust.App(
        NAME,
        version=settings.windows_generation,
        broker=[f"kafka://{server}" for server in settings.kafka_servers.split(",")],
        broker_credentials=credentials,
        broker_session_timeout=10,  # a killed process is replaced after as long, not after a minute
        broker_heartbeat_interval=3,
        consumer_auto_offset_reset="earliest",
        producer_linger=LINGER_SECONDS,
        store="memory://",
        Table=OwnPartition,
        datadir=datadir,
        topic_partitions=TOPIC.partitions,
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_bind=settings.http_host,
        web_host=settings.http_host,
        web_port=settings.windows_port,
        web_router_enabled=False,
        web_tables_enabled=False,
        web_stats_enabled=False,
        web_graph_enabled=False,
    )
    topic = app.topic(
        source,
        key_type=bytes,
        value_type=bytes,
        key_serializer="raw",
        value_serializer="raw",
        partitions=TOPIC.partitions,
        internal=False,
    )
    windows = Windows(app)
    app.agent(topic, name="follow")(windows.follow)
    app.page("/windows")(_view(windows))
    app.on_partitions_assigned.connect(windows.forget_places)
    return app, windows


def _view(windows: Windows) -> Any:
    async def view(_: Any, request: Any) -> Any:
        return await windows.page(cast(web.Request, request))

    return view


async def make_changelogs(settings: WindowsSettings, names: list[str], source: str) -> None:
    """Make the tables' changelog topics where they are missing, and wait until Kafka shows all their partitions.

    Faust would make them itself, but starts to read before the new ones are known everywhere, and then fails. Raises
    the Kafka error when the account may not, or RuntimeError when they do not show up.
    """
    admin = AIOKafkaAdminClient(**connection(settings))
    await admin.start()
    try:
        told = (await admin.describe_topics([source]))[0]
        if told["error_code"]:
            raise for_code(told["error_code"])(source)
        replicas = len(told["partitions"][0]["replicas"])
        compact = {"cleanup.policy": "compact"}
        wanted = [NewTopic(name, TOPIC.partitions, replicas, topic_configs=compact) for name in names]
        for name, code, *_ in (await admin.create_topics(wanted)).topic_errors:
            if code not in (0, TOPIC_EXISTS):
                raise for_code(code)(name)
        for _ in range(METADATA_SECONDS_MAX * 10):
            shown = {topic["topic"]: len(topic["partitions"]) for topic in await admin.describe_topics(names)}
            if shown == dict.fromkeys(names, TOPIC.partitions):
                return
            await asyncio.sleep(0.1)
    finally:
        await admin.close()
    raise RuntimeError(
        f"the topics {', '.join(names)} do not have {TOPIC.partitions} partitions each; remove them and start again"
    )


def main(source: str = TOPIC.name) -> None:
    """Run until told to stop. `source` is the topic to read; tests give one of their own."""
    os.nice(NICE)
    settings = load_settings(WindowsSettings)
    with tempfile.TemporaryDirectory(prefix="gelombang-windows-") as datadir:
        app, windows = create_app(settings, Path(datadir), source)
        try:
            asyncio.run(make_changelogs(settings, windows.changelogs(), source))
        except KafkaError as error:
            sys.exit(
                f"Kafka at {settings.kafka_servers} can not be used for the live windows ({type(error).__name__}). "
                f"Check that it runs, GELOMBANG_KAFKA_USER and _PASSWORD, and the rights on topics named {NAME}*."
            )
        faust.Worker(app, loglevel=settings.log_level, redirect_stdouts=False).execute_from_commandline()


if __name__ == "__main__":
    main()
