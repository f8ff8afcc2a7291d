"""`python -m tests.planted`: plant every bug, let its detector look for it, and write docs/planted-bugs.md.

A part of `make chaos`. Exit code 1: some bug was not found within its seeds, or a detector found something in the code
as it is.
"""

import argparse
import os
import sys
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from tests.conftest import POSTGRES, stack_folder
from tests.planted import bugs, table
from tests.planted.hunt import Hunted, control, hunt


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.planted", description="See that planted bugs are found.")
    parser.add_argument("--only", action="append", help="the name of a bug; may be given again")
    parser.add_argument("--table", type=Path, default=table.PAGE, help="where the table is written")
    told = parser.parse_args()
    screen = Console(highlight=False, markup=False, soft_wrap=True)
    chosen = [bug for bug in bugs.load() if not told.only or bug.name in told.only]
    with ExitStack() as stack:
        if POSTGRES not in os.environ:
            os.environ[POSTGRES] = _server(stack)
        false = control({bug.detector: 0 for bug in chosen}, lambda words: screen.print(f"· {words}"))
        hunted = [_show(screen, hunt(bug)) for bug in chosen]
    if not told.only:
        told.table.write_text(table.page(hunted))
        screen.print(f"{told.table} written")
    return int(bool(false) or any(one.seed is None for one in hunted))


def _server(stack: ExitStack) -> str:
    """A PostgreSQL of our own, stopped in the end."""
    from deploy.local.stack import Stack

    servers = Stack(stack.enter_context(stack_folder()))
    stack.callback(servers.down)
    servers.up(services=[], simulators=[])
    return servers.facts().server().url("postgres")


def _show(screen: Console, one: Hunted) -> Hunted:
    found = f"seed {one.seed}: {one.sentence}" if one.seed is not None else f"NOT FOUND in {one.bug.seeds} seeds"
    screen.print(f"{one.bug.name} ({one.bug.detector}, {one.seconds:.1f} s): {found}")
    return one


if __name__ == "__main__":
    sys.exit(main())
