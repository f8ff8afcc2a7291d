"""One turn of one contestant, in a process of its own: `python -m tests.bench module:function < options.json`."""

import importlib
import json
import sys

import uvloop

from libs.events.collector import collect_seldom
from tests.bench.world import Where


def main() -> None:
    """Run the function named on the command line with the options on stdin; print its answer as the last line."""
    module, _, function = sys.argv[1].partition(":")
    options = json.load(sys.stdin)
    where = Where(**options.pop("where"))
    contestant = getattr(importlib.import_module(module), function)
    collect_seldom()  # as our services do; rivals gain as much
    answer = uvloop.run(contestant(where, **options))
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
