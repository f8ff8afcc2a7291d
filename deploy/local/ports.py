"""Which port each process listens on: one block of neighbouring ports, remembered with the stack.

A block is chosen below the range from which the system takes ports for outgoing connections. Inside that range, a
process that is killed could find its own port taken by a neighbour's connection before it is back.
"""

import secrets
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import psutil

from deploy.local.problem import Problem

BLOCK: Final = 100
FIRST, LAST = 20_000, 31_900
ATTEMPTS_MAX: Final = 50

OFFSETS: Final = {
    "postgres": 0,
    "kafka": 1,
    "kafka-controller": 2,
    "kafka-2": 3,
    "kafka-controller-2": 4,
    "kafka-3": 5,
    "kafka-controller-3": 6,
    "simulator-oidc": 10,
    "simulator-civil-registry": 11,
    "simulator-messages": 12,
    "simulator-bank": 13,
    "simulator-ewallet": 14,
    "simulator-partner": 15,
    "simulator-beacon": 16,
    "registration": 30,
    "selection": 40,
    "training": 50,
    "disbursement": 60,
    "finance": 70,
    "finance-windows": 75,
}
"""By program. A service's roles apart stand behind it: its worker, relay and jobs at +1, +2, +3."""

ROLE_OFFSETS: Final = {"api": 0, "worker": 1, "relay": 2, "jobs": 3}


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of one stack, counted from `base`."""

    base: int

    def of(self, program: str) -> int:
        """The port of a program, `training` or `training-relay`."""
        if program in OFFSETS:
            return self.base + OFFSETS[program]
        service, _, role = program.rpartition("-")
        return self.base + OFFSETS[service] + ROLE_OFFSETS[role]


def is_free(port: int) -> bool:
    """Whether we could listen there now. SO_REUSEADDR: connections that just ended do not count."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_block() -> Ports:
    """A block of ports none of which is in use. Random, so that stacks that start at once rarely meet."""
    for _ in range(ATTEMPTS_MAX):
        base = FIRST + secrets.randbelow((LAST - FIRST) // BLOCK) * BLOCK
        if all(is_free(base + offset) for offset in range(BLOCK)):
            return Ports(base)
    raise Problem(
        f"No {BLOCK} neighbouring ports are free between {FIRST} and {LAST}.",
        "Stop what listens there, or give a place with --port-base PORT.",
    )


def choose(given: int | None, remembered: int | None) -> Ports:
    """The block that was given; else the remembered one while it is free; else a free one."""
    if given:
        if not 1024 <= given <= 65535 - BLOCK:
            raise Problem(f"--port-base {given} is out of range.", f"Give a number from 1024 to {65535 - BLOCK}.")
        return Ports(given)
    if remembered and all(is_free(remembered + offset) for offset in range(BLOCK)):
        return Ports(remembered)
    return free_block()


def require_free(ports: Ports, programs: Iterable[str]) -> None:
    """Raises Problem that names the first port in use, and by whom where the system tells."""
    for program in programs:
        port = ports.of(program)
        if not is_free(port):
            raise Problem(
                f"Port {port}, wanted for {program}, is taken{_holder(port)}.",
                "Stop it, or give another place with --port-base PORT.",
            )


def _holder(port: int) -> str:
    try:
        listening = (found for found in psutil.net_connections("tcp") if found.status == psutil.CONN_LISTEN)
        for found in listening:
            if found.pid and found.laddr and found.laddr[1] == port:
                return f" by {psutil.Process(found.pid).name()} (pid {found.pid})"
    except psutil.Error:
        pass
    return ""
