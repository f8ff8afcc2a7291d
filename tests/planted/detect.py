"""One detector on the tree it stands in: `python -m tests.planted.detect NAME --seeds N [--from S]`.

Runs seed after seed until something is found, and prints one line of JSON: `{"seed": 3, "sentence": "..."}`, or
`{"seed": null}` where the budget was spent in vain. The server is the one that GELOMBANG_TEST_POSTGRES names.
"""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Mapping
from typing import Final

from deploy.local.databases import Server
from libs.events import logs
from libs.events.clock import FixedClock
from tests.conftest import POSTGRES, Databases
from tests.planted import model
from tests.planted.focused import answers, clients, crossing, durable, older, remembered, zombie
from tests.planted.found import Found, Scenario
from tests.planted.rails import rails
from tests.planted.storm import storm
from tests.support import NOON

SCENARIOS: Final[Mapping[str, Scenario]] = {
    scenario.__name__: scenario
    for scenario in (storm, clients, durable, answers, crossing, older, remembered, rails, zombie)
}


async def scenario(name: str, seeds: range, databases: Databases) -> tuple[int, str] | None:
    """The first seed at which the scenario finds something, with its sentence."""
    for seed in seeds:
        with databases.fresh() as make:
            try:
                await SCENARIOS[name](seed, make)
            except Found as found:
                return seed, str(found)
            except Exception as error:
                return seed, f"{type(error).__name__} ended a process: {str(error).partition(chr(10))[0]}"
    return None


def detect(name: str, seeds: range) -> tuple[int, str] | None:
    """As `scenario`, or by the model, whose seeds need no server."""
    if name.startswith("model"):
        return model.search_for(name, seeds)
    databases = Databases(Server.from_url(os.environ[POSTGRES]))
    try:
        return asyncio.run(scenario(name, seeds, databases))
    finally:
        databases.close()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.planted.detect")
    parser.add_argument("name")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--from", type=int, default=0, dest="first")
    told = parser.parse_args()
    logs.configure("planted", "CRITICAL", FixedClock(NOON))  # crashes are meant here
    found = detect(told.name, range(told.first, told.first + told.seeds))
    json.dump({"seed": found[0], "sentence": found[1]} if found else {"seed": None}, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
