"""Real servers for the tests, once per run, and fresh databases and topics from them, cheaply.

Where they come from: the addresses in GELOMBANG_TEST_POSTGRES (postgresql://admin:password@host:port) and
GELOMBANG_TEST_KAFKA (kafka://admin:password@host:port), as `python -m deploy.local env` prints them; else containers
where a Docker engine answers; else the local runtime in a folder of its own. A test asks for:

    database("training")   a migrated, empty database of that service: .owner_url, .app_url
    kafka                  the cluster as its administrator: .aiokafka(), .admin(), .servers
    topic(partitions=3)    the name of a new topic, gone after the test
"""

import hashlib
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import NewTopic
from hypothesis import settings

from deploy.local import migrations
from deploy.local.bus import Cluster
from deploy.local.databases import Server, ServiceDatabase, drop_database, ensure_database, ensure_roles
from deploy.local.stack import Stack

POSTGRES, KAFKA = "GELOMBANG_TEST_POSTGRES", "GELOMBANG_TEST_KAFKA"
ANSWER_SECONDS_MAX = 30

settings.register_profile("untimed", deadline=None)  # a slow machine is no failure
settings.load_profile("untimed")

MakeDatabase = Callable[[str], ServiceDatabase]
MakeTopic = Callable[..., str]


@dataclass(frozen=True, slots=True)
class Servers:
    """The servers of this run, as their administrator. `stack` is there where the local runtime runs them."""

    postgres: Server
    kafka: Cluster
    stack: Stack | None = None


@contextmanager
def stack_folder() -> Iterator[Path]:
    """A folder for a stack of a test's own.

    Not pytest's: every run of pytest closes their common parent to others, and as root, PostgreSQL is another user.
    """
    with TemporaryDirectory(prefix="gelombang-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def stack_services() -> Iterator[Servers]:
    if POSTGRES in os.environ and KAFKA in os.environ:
        yield Servers(Server.from_url(os.environ[POSTGRES]), Cluster.from_url(os.environ[KAFKA]))
    elif _docker_answers():
        with _containers() as servers:
            yield servers
    else:
        with stack_folder() as folder:
            stack = Stack(folder)
            try:
                stack.up(services=[], simulators=[])
                yield Servers(stack.facts().server(), stack.facts().cluster(), stack)
            finally:
                stack.down()


class Databases:
    """Makes databases from one migrated template per service."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._run = secrets.token_hex(4)
        self._templates: dict[str, str] = {}

    @contextmanager
    def fresh(self) -> Iterator[MakeDatabase]:
        """Gives a function that makes databases; all of them are dropped at the end."""
        made: list[str] = []

        def make(service: str) -> ServiceDatabase:
            template = self._template(service)
            name = f"test_{service}_{self._run}_{secrets.token_hex(4)}"
            ensure_database(self._server, service, name, template=template)
            made.append(name)
            return self._address(service, name)

        try:
            yield make
        finally:
            for name in made:
                drop_database(self._server, name)

    def close(self) -> None:
        for template in self._templates.values():
            drop_database(self._server, template)

    def _template(self, service: str) -> str:
        if service not in self._templates:
            name = f"template_{service}_{self._run}"
            ensure_roles(self._server, service, self._password(service, "owner"), self._password(service, "app"))
            ensure_database(self._server, service, name)
            self._templates[service] = name
            migrations.migrate(service, self._address(service, name).owner_url)
        return self._templates[service]

    def _address(self, service: str, database: str) -> ServiceDatabase:
        return ServiceDatabase(
            database,
            self._server.url(database, f"{service}_owner", self._password(service, "owner")),
            self._server.url(database, f"{service}_app", self._password(service, "app")),
        )

    def _password(self, service: str, role: str) -> str:
        """The same in every run against one server, since roles belong to the server and runs may share it."""
        return hashlib.sha256(f"{self._server.password}/{service}/{role}".encode()).hexdigest()


@pytest.fixture(scope="session")
def databases(stack_services: Servers) -> Iterator[Databases]:
    made = Databases(stack_services.postgres)
    yield made
    made.close()


@pytest.fixture
def database(databases: Databases) -> Iterator[MakeDatabase]:
    """`database("training")`: a migrated, empty database for this test alone."""
    with databases.fresh() as make:
        yield make


@pytest.fixture(scope="module")
def module_database(databases: Databases) -> Iterator[MakeDatabase]:
    """As `database`, shared by the tests of one module."""
    with databases.fresh() as make:
        yield make


@pytest.fixture(scope="session")
def kafka(stack_services: Servers) -> Cluster:
    return stack_services.kafka


@pytest.fixture
def topic(kafka: Cluster) -> Iterator[MakeTopic]:
    """`topic(partitions=3)`: the name of a new, empty topic."""
    admin, made = kafka.admin(), list[str]()

    def make(partitions: int = 1, **settings: str) -> str:
        name = f"test-{secrets.token_hex(6)}"
        created = admin.create_topics([NewTopic(name, partitions, 1, config=settings)])
        created[name].result(ANSWER_SECONDS_MAX)
        made.append(name)
        return name

    yield make
    if made:
        for deleted in admin.delete_topics(made).values():
            with suppress(KafkaException):
                deleted.result(ANSWER_SECONDS_MAX)


def _docker_answers() -> bool:
    try:
        import docker

        docker.from_env(timeout=2).ping()
    except Exception:  # no engine, no rights, or no package: each means that there are no containers here
        return False
    return True


@contextmanager
def _containers() -> Iterator[Servers]:
    """PostgreSQL and Kafka in containers. This Kafka asks nobody for a password; tests of rights skip on it."""
    from testcontainers.kafka import KafkaContainer
    from testcontainers.postgres import PostgresContainer

    with ExitStack() as started:
        postgres = started.enter_context(PostgresContainer("postgres:18", username="admin", password="admin"))
        kafka = started.enter_context(KafkaContainer().with_kraft())
        host, port = postgres.get_container_host_ip(), int(postgres.get_exposed_port(5432))
        yield Servers(Server(host, port, "admin", "admin"), Cluster(kafka.get_bootstrap_server()))
