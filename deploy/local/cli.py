"""The commands of the local runtime, for people. What they do stands in `stack.py`; here is what they say."""

import argparse
import os
import shlex
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rich.console import Console
from rich.table import Table

from deploy.local import bus, logs
from deploy.local.bus import Cluster
from deploy.local.databases import Server
from deploy.local.problem import Problem
from deploy.local.stack import ClockPlan, Stack, Tell
from deploy.local.vault import Vault
from libs.events.topics import TOPICS

STATE_COLOURS = {"running": "green", "starting": "yellow", "stopped": "dim", "exited": "dim"}


def main(arguments: Sequence[str]) -> int:
    """Run one command; 0 when it did what it was asked, 1 with a sentence and its remedy when it could not."""
    told = _parser().parse_args(arguments)
    screen, complaints = Console(highlight=False), Console(stderr=True, highlight=False)
    try:
        told.command(told, screen)
    except Problem as problem:
        complaints.print(f"[bold red]{problem.what}[/]\n{problem.remedy}", markup=True, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        complaints.print("Stopped by you. What was started keeps running: `make down` ends it.")
        return 130
    return 0


def up(told: argparse.Namespace, screen: Console) -> None:
    began = time.monotonic()
    stack = Stack(told.var, step=lambda title: _shown(screen, title))
    if told.clock == "file" and told.at is None:
        raise Problem("A clock of its own needs a time to start from.", "Add --at 2020-04-01T00:00:00+07:00.")
    stack.up(
        **_servers(told),
        services=told.services,
        simulators=told.simulators,
        clock=ClockPlan(told.at, told.speed) if told.clock == "file" else None,
        apart=told.apart,
    )
    _table(stack, screen)
    screen.print(f"Ready after {time.monotonic() - began:.1f} s. `make down` ends it, `make logs` shows what it says.")


def prepare(told: argparse.Namespace, screen: Console) -> None:
    stack = Stack(told.var, step=lambda title: _shown(screen, title))
    stack.prepare(**_servers(told), host=told.host)
    screen.print(f"The settings of every process are in {stack.layout.environment}.", soft_wrap=True)


def _servers(told: argparse.Namespace) -> dict[str, Any]:
    return {
        "port_base": told.port_base,
        "postgres": Server.from_url(told.postgres) if told.postgres else None,
        "kafka": Cluster.from_url(told.kafka) if told.kafka else None,
    }


def down(told: argparse.Namespace, screen: Console) -> None:
    with _shown(screen, "Stopping"):
        Stack(told.var).down()


def stop(told: argparse.Namespace, screen: Console) -> None:
    stack = Stack(told.var)
    for name in stack.named(told.names):
        with _shown(screen, f"Stopping {name}"):
            stack.stop(name)


def start(told: argparse.Namespace, screen: Console) -> None:
    stack = Stack(told.var)
    names = stack.named(told.names)
    with _shown(screen, f"Starting {', '.join(names)}"):
        stack.start(*names)


def restart(told: argparse.Namespace, screen: Console) -> None:
    stop(told, screen)
    start(told, screen)


def status(told: argparse.Namespace, screen: Console) -> None:
    _table(Stack(told.var), screen)


def show_logs(told: argparse.Namespace, screen: Console) -> None:
    logs.show(Stack(told.var).layout.logs, told.service, lines=told.lines, follow=told.follow)


def environment(told: argparse.Namespace, screen: Console) -> None:
    """Lines for `eval`, that point the tests and other tools at this stack."""
    stack = Stack(told.var)
    facts = stack.facts()
    server, cluster = facts.server(), facts.cluster()
    user = f"{quote(cluster.user)}:{quote(cluster.password or '', safe='')}@" if cluster.user else ""
    for name, value in (
        ("GELOMBANG_STACK_FILE", str(stack.layout.stack)),
        ("GELOMBANG_TEST_POSTGRES", server.url("postgres")),
        ("GELOMBANG_TEST_KAFKA", f"kafka://{user}{cluster.servers}"),
    ):
        print(f"export {name}={shlex.quote(value)}")


def topics(told: argparse.Namespace, screen: Console) -> None:
    """Bring a Kafka that is there already to what topics.toml says, or show the rights it would be given."""
    if told.show:
        table = Table("service", "may", "what", "name", box=None)
        for right in sorted(bus.rights(TOPICS.values())):
            name = f"{right.name}*" if right.prefixed else right.name
            table.add_row(right.service, right.operation, right.kind, name)
        screen.print(table)
        return
    if not told.kafka:
        raise Problem("No Kafka was named.", "Add --kafka kafka://admin:password@host:port, or --show.")
    stack = Stack(told.var)
    stack.layout.create()
    vault = Vault(stack.layout)
    passwords = {user: vault.password(f"kafka-{user}") for user in bus.principals(TOPICS.values())}
    with _shown(screen, "Topics, users and rights"):
        bus.establish(Cluster.from_url(told.kafka), passwords)
    path = vault.keep("kafka-users.json", passwords)
    screen.print(f"The services' users and passwords are in {path}.", soft_wrap=True)


@contextmanager
def _shown(screen: Console, title: str) -> Iterator[Tell]:
    """One line per step: turning while it is under way, then how long it took."""
    began, words = time.monotonic(), ""
    with screen.status(f"{title} …") as line:

        def tell(text: str) -> None:
            nonlocal words
            words = text
            line.update(f"{title} … {text}")

        yield tell
    screen.print(f"[green]✓[/] {title} [dim]{words}  {time.monotonic() - began:.1f} s[/]")


def _table(stack: Stack, screen: Console) -> None:
    processes, facts = stack.running(), stack.facts()
    table = Table("process", "state", "since", "address", box=None, header_style="bold")
    for process in processes:
        colour = STATE_COLOURS.get(process.state, "red")
        table.add_row(
            process.name,
            f"[{colour}]{process.state}[/]",
            str(timedelta(seconds=process.since_seconds)),
            facts.programs.get(process.name) or facts.server_address(process.name),
        )
    screen.print(table)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.local", description=__doc__)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--var", type=Path, default=Path(os.environ.get("GELOMBANG_VAR", "var")), help="its folder")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    servers = argparse.ArgumentParser(add_help=False)
    servers.add_argument(
        "--port-base", type=int, default=os.environ.get("PORT_BASE") or None, help="first of 100 ports (or $PORT_BASE)"
    )
    servers.add_argument("--postgres", default=os.environ.get("GELOMBANG_POSTGRES"), metavar="URL", help="use this one")
    servers.add_argument("--kafka", default=os.environ.get("GELOMBANG_KAFKA"), metavar="URL", help="use this one")

    starting = commands.add_parser("up", parents=[common, servers], help="start what does not run yet")
    starting.set_defaults(command=up)
    starting.add_argument("--services", nargs="*", metavar="NAME", help="only these (default: all)")
    starting.add_argument("--simulators", nargs="*", metavar="NAME", help="only these (default: all)")
    starting.add_argument("--apart", action="store_true", help="one process per role of a service")
    starting.add_argument(
        "--clock", choices=("real", "file"), default="real", help="file: a programme clock of its own"
    )
    starting.add_argument("--at", type=_moment, metavar="TIME", help="where that clock starts")
    starting.add_argument("--speed", type=float, default=0.0, help="its seconds per real second; 0: it is stepped")

    preparing = commands.add_parser(
        "prepare", parents=[common, servers], help="settings, databases and topics for processes that others run"
    )
    preparing.set_defaults(command=prepare)
    preparing.add_argument("--host", default="127.0.0.1", help="where the services will listen")

    stopping = commands.add_parser("down", parents=[common], help="end what this stack started")
    stopping.set_defaults(command=down)

    for word, command, does in (
        ("stop", stop, "stop some of the processes; they stay down until started"),
        ("start", start, "start them again, and return when they are ready"),
        ("restart", restart, "both: stop, then start"),
    ):
        single = commands.add_parser(word, parents=[common], help=does)
        single.set_defaults(command=command)
        single.add_argument("names", nargs="+", metavar="NAME", help="a process, or a service with all its processes")

    looking = commands.add_parser("status", parents=[common], help="every process and its address")
    looking.set_defaults(command=status)

    reading = commands.add_parser("logs", parents=[common], help="what the processes say")
    reading.set_defaults(command=show_logs)
    reading.add_argument("service", nargs="?", metavar="SERVICE", help="one process (default: all)")
    reading.add_argument("--lines", type=int, default=20, help="how many of the last lines")
    reading.add_argument("--follow", "-f", action="store_true", help="go on until interrupted")

    printing = commands.add_parser("env", parents=[common], help="lines for eval that point tests at this stack")
    printing.set_defaults(command=environment)

    deriving = commands.add_parser("topics", parents=[common], help="topics, users and rights on a Kafka of yours")
    deriving.set_defaults(command=topics)
    deriving.add_argument("--kafka", default=os.environ.get("GELOMBANG_KAFKA"), metavar="URL")
    deriving.add_argument("--show", action="store_true", help="only show the rights")
    return parser


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text} names no zone: add +07:00")
    return moment
