"""`python -m deploy.demo`: replay the 2020 programme at 1:SCALE, check everything, and leave a report."""

import argparse
import asyncio
import os
import sys
from pathlib import Path

import uvloop
from rich.console import Console

from deploy.demo import report
from deploy.demo.client import Unexpected, Unreachable
from deploy.demo.run import Options, Outcome, run
from deploy.demo.screen import Screen
from deploy.demo.world import NotQuiet
from deploy.local.problem import Problem

TROUBLE = (Problem, Unexpected, Unreachable, NotQuiet, LookupError)


def options_of(arguments: list[str]) -> Options:
    """Read the command line; SCALE may also come from the environment."""
    parser = argparse.ArgumentParser(prog="python -m deploy.demo", description=__doc__)
    parser.add_argument("--scale", type=_scale, default=os.environ.get("SCALE", "1000"), help="1:SCALE (default 1000)")
    parser.add_argument("--seed", default="2020", help="another seed makes other people and other faults")
    parser.add_argument("--keep-up", action="store_true", help="leave the stack running afterwards")
    parser.add_argument(
        "--kill", action="append", default=[], metavar="NAME", help="kill -9 this process in mid-run; or `random`"
    )
    told = parser.parse_args(arguments)
    return Options(told.scale, told.seed, Path("var/demo"), told.keep_up, tuple(told.kill))


def _scale(text: str) -> int:
    scale = int(text)
    if not 1 <= scale <= 10_000:
        raise argparse.ArgumentTypeError("give a scale from 1 to 10000: 1000 makes 40,000 people of 40 million")
    return scale


def main(arguments: list[str]) -> int:
    """0 when every check holds, 1 when one fails or the replay breaks off."""
    options = options_of(arguments)
    console = Console(stderr=False)
    outcome: Outcome | None = None
    try:
        with Screen(console) as screen, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            outcome = runner.run(run(options, screen))
    except* TROUBLE as group:
        for words in dict.fromkeys(map(str, _leaves(group))):  # many may have met the same
            console.print(f"[bold red]The replay broke off.[/bold red] {words}", soft_wrap=True)
        console.print(f"Look into {options.var}/logs; the acknowledgements are in {options.var}/acknowledged.jsonl.")
    if outcome is None:
        return 1
    report.write(outcome, options.var)
    report.show(outcome, options.var, console)
    return 0 if outcome.ok else 1


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    return [
        leaf
        for error in group.exceptions
        for leaf in (_leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
