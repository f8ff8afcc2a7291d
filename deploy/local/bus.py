"""Topics, users and access rules of the bus, derived from `libs/events/topics.toml`, on any Kafka.

A service may write its own topics and no other, read what it consumes (and what it writes: its relay compares its
cursor with the tail of its topics), and use groups of its own name. Whatever else its user was granted is taken back.
"""

import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ConfigResource,
    NewTopic,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialUpsertion,
)

from deploy.local.problem import Problem
from libs.events.topics import TOPICS, Topic

GROUP_PREFIX: Final = "gelombang"
ANSWER_SECONDS_MAX: Final = 30
SCRAM_ITERATIONS: Final = 8192
MILLISECONDS_PER_DAY: Final = 86_400_000

OWN_TOPICS: Final = {"finance": f"{GROUP_PREFIX}.finance.windows"}
"""Services that keep a rebuildable projection in Kafka itself: the prefix of the topics they may make for it."""

Topics = Collection[Topic]


def settings(topic: Topic, replicas: int) -> dict[str, str]:
    """Every setting that decides whether an event is kept, and in which order it is read."""
    days = topic.retention_days
    return {
        "cleanup.policy": "delete",
        "retention.ms": "-1" if days is None else str(days * MILLISECONDS_PER_DAY),
        "retention.bytes": "-1",
        # Records carry programme time, which may lie years away from the broker's own.
        "message.timestamp.type": "CreateTime",
        "message.timestamp.before.max.ms": str(2**63 - 1),
        "message.timestamp.after.max.ms": str(2**63 - 1),
        "min.insync.replicas": str(max(1, replicas - 1)),
        "unclean.leader.election.enable": "false",
    }


def principals(topics: Topics) -> list[str]:
    """Every service that writes or reads: one user each, named after it."""
    return sorted({name for topic in topics for name in (topic.producer, *topic.consumers)})


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """One thing one service may do."""

    service: str
    kind: str  # topic or group
    name: str
    prefixed: bool
    operation: str

    def binding(self) -> AclBinding:
        return AclBinding(
            ResourceType[self.kind.upper()],
            self.name,
            ResourcePatternType.PREFIXED if self.prefixed else ResourcePatternType.LITERAL,
            f"User:{self.service}",
            "*",
            AclOperation[self.operation.upper()],
            AclPermissionType.ALLOW,
        )


def rights(topics: Topics) -> frozenset[Right]:
    """All rights of all services, and nothing more. DESCRIBE_CONFIGS: who starts checks the topic's settings."""
    granted = set()
    for topic in topics:
        for operation in ("write", "read", "describe", "describe_configs"):
            granted.add(Right(topic.producer, "topic", topic.name, False, operation))
        for consumer in topic.consumers:
            for operation in ("read", "describe", "describe_configs"):
                granted.add(Right(consumer, "topic", topic.name, False, operation))
            for operation in ("read", "describe"):
                granted.add(Right(consumer, "group", f"{GROUP_PREFIX}.{consumer}", True, operation))
    for service, prefix in OWN_TOPICS.items():
        for operation in ("create", "delete", "write", "read", "describe", "describe_configs", "alter_configs"):
            granted.add(Right(service, "topic", prefix, True, operation))
    return frozenset(granted)


@dataclass(frozen=True, slots=True)
class Cluster:
    """A Kafka and the account that may administer it; without a user, one that asks for none (a test container)."""

    servers: str
    user: str | None = None
    password: str | None = None

    @classmethod
    def from_url(cls, url: str) -> "Cluster":
        """Read `kafka://user:password@host:port` (user and password may be left out)."""
        parts = urlsplit(url)
        if not parts.hostname or not parts.port:
            raise Problem("The Kafka address is not complete.", "Give it as kafka://user:password@host:port.")
        user = unquote(parts.username) if parts.username else None
        return cls(f"{parts.hostname}:{parts.port}", user, unquote(parts.password) if parts.password else None)

    def settings(self) -> dict[str, Any]:
        """Client settings as confluent-kafka spells them."""
        told: dict[str, Any] = {"bootstrap.servers": self.servers, "log_level": 0}
        if self.user:
            told |= {
                "security.protocol": "SASL_PLAINTEXT",
                "sasl.mechanisms": "SCRAM-SHA-256",
                "sasl.username": self.user,
                "sasl.password": self.password,
            }
        return told

    def aiokafka(self) -> dict[str, Any]:
        """The same as aiokafka spells them."""
        told: dict[str, Any] = {"bootstrap_servers": self.servers}
        if self.user:
            told |= {
                "security_protocol": "SASL_PLAINTEXT",
                "sasl_mechanism": "SCRAM-SHA-256",
                "sasl_plain_username": self.user,
                "sasl_plain_password": self.password,
            }
        return told

    def admin(self) -> AdminClient:
        settings: dict[str, Any] = {**self.settings(), "error_cb": _unheard}
        return AdminClient(settings)

    def answers(self) -> bool:
        """Whether it knows us and a broker is there. Waits up to a second."""
        try:
            return bool(self.admin().list_topics(timeout=1).brokers)
        except KafkaException:
            return False


def _unheard(error: KafkaError) -> None:
    """Without a place for them, the client reports its attempts to connect on stderr."""


def set_passwords(cluster: Cluster, passwords: dict[str, str]) -> None:
    """Create or correct the services' SCRAM users, and return once each can sign in, which takes a moment."""
    information = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, SCRAM_ITERATIONS)
    wanted: list[UserScramCredentialAlteration] = [
        UserScramCredentialUpsertion(user, information, word.encode()) for user, word in passwords.items()
    ]
    admin = cluster.admin()  # held until the answer is there: its collection would end the call
    _settle(admin.alter_user_scram_credentials(wanted), "The users of the services could not be set")
    deadline = time.monotonic() + ANSWER_SECONDS_MAX
    for user, word in passwords.items():
        while not Cluster(cluster.servers, user, word).answers():
            if time.monotonic() > deadline:
                raise Problem(f"Kafka does not let {user} in.", "Check that its listener offers SCRAM-SHA-256.")


def create_topics(cluster: Cluster, topics: Topics) -> None:
    """Create the topics that are missing, then check all of them. Raises Problem where one differs."""
    admin = cluster.admin()
    metadata = admin.list_topics(timeout=ANSWER_SECONDS_MAX)
    replicas = min(3, len(metadata.brokers))
    missing = [
        NewTopic(topic.name, topic.partitions, replicas, config=settings(topic, replicas))
        for topic in topics
        if topic.name not in metadata.topics
    ]
    if missing:
        _settle(admin.create_topics(missing), "The topics could not be created")
    differences = _compare_soon(cluster, topics)
    if differences:
        raise Problem(
            f"Kafka at {cluster.servers} disagrees with topics.toml: {'; '.join(differences)}.",
            "Correct the topic's settings in Kafka. The number of partitions never changes: it would move keys.",
        )


def _compare_soon(cluster: Cluster, topics: Topics) -> list[str]:
    """As `compare`; every broker learns of a new topic a moment after it was made, and not all at once."""
    deadline = time.monotonic() + ANSWER_SECONDS_MAX
    while True:
        try:
            differences = compare(cluster, topics)
        except Problem:
            if time.monotonic() > deadline:
                raise
        else:
            if time.monotonic() > deadline or not any(found.endswith(" is missing") for found in differences):
                return differences
        time.sleep(0.05)


def compare(cluster: Cluster, topics: Topics) -> list[str]:
    """Every difference between the topics as they are and as they should be, in words."""
    admin = cluster.admin()
    metadata = admin.list_topics(timeout=ANSWER_SECONDS_MAX).topics
    present = [topic for topic in topics if topic.name in metadata]
    differences = [f"{topic.name} is missing" for topic in topics if topic.name not in metadata]
    if not present:
        return differences
    resources = [ConfigResource(ConfigResource.Type.TOPIC, topic.name) for topic in present]
    answers = _settle(admin.describe_configs(resources), "The settings of the topics could not be read")
    found = {resource.name: answer for resource, answer in answers.items()}
    for topic in present:
        partitions = metadata[topic.name].partitions
        if len(partitions) != topic.partitions:
            differences.append(f"{topic.name} has {len(partitions)} partitions instead of {topic.partitions}")
        replicas = len(next(iter(partitions.values())).replicas)
        for setting, wanted in settings(topic, replicas).items():
            value = found[topic.name][setting].value
            if value != wanted:
                differences.append(f"{topic.name} has {setting}={value} instead of {wanted}")
    return differences


def held(cluster: Cluster, topics: Topics) -> set[AclBinding]:
    """Everything that the users of the services are granted now."""
    admin = cluster.admin()
    users = {f"User:{service}" for service in principals(topics)}
    anything: Any = None
    every = AclBindingFilter(
        ResourceType.ANY,
        anything,
        ResourcePatternType.ANY,
        anything,
        anything,
        AclOperation.ANY,
        AclPermissionType.ANY,
    )
    described = admin.describe_acls(every).result(ANSWER_SECONDS_MAX)
    return {binding for binding in described if binding.principal in users}


def grant(cluster: Cluster, topics: Topics) -> None:
    """Give every service its rights, and take back whatever else its user was granted."""
    admin = cluster.admin()
    wanted, present = {right.binding() for right in rights(topics)}, held(cluster, topics)
    if missing := wanted - present:
        _settle(admin.create_acls(list(missing)), "The rights of the services could not be granted")
    if extra := present - wanted:
        exact = [
            AclBindingFilter(
                binding.restype,
                binding.name,
                binding.resource_pattern_type,
                binding.principal,
                binding.host,
                binding.operation,
                binding.permission_type,
            )
            for binding in extra
        ]
        _settle(admin.delete_acls(exact), "Rights that the services should not have could not be taken back")


def establish(cluster: Cluster, passwords: dict[str, str]) -> None:
    """Topics, users and rights, as topics.toml says. Safe to repeat. A Kafka without users gets the topics alone."""
    topics = TOPICS.values()
    create_topics(cluster, topics)
    if cluster.user:
        grant(cluster, topics)
        set_passwords(cluster, {service: passwords[service] for service in principals(topics)})


def _settle(futures: dict[Any, Any], what: str) -> dict[Any, Any]:
    """Wait for every answer of an admin call. Raises Problem with the broker's reason."""
    try:
        return {key: future.result(ANSWER_SECONDS_MAX) for key, future in futures.items()}
    except KafkaException as error:
        raise Problem(
            f"{what}: {error.args[0].str()}.",
            "Check that the account given may administer this Kafka, and that an authorizer is configured.",
        ) from None
