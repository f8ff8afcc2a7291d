"""Runs a service so that its fault points can be armed while it works: `python -m tests.fault.armed MODULE [ROLE ...]`.

The file that GELOMBANG_CHAOS_ARMED names is watched: what it says (`relay.sent:3`) is armed and the file goes away, so
that the process which comes after the one that died is not armed. Nothing else differs from production but settings.
"""

import os
import runpy
import sys
import threading
import time
from pathlib import Path
from typing import Final

from libs.events import faults

LOOK_SECONDS: Final = 0.05
ARMED: Final = "GELOMBANG_CHAOS_ARMED"


def arm(path: Path) -> bool:
    """Arm what the file says, in place of what was armed, and remove the file. False where there is none."""
    try:
        text = path.read_text()
    except FileNotFoundError:
        return False
    table = faults.parse(text.strip())
    path.unlink()
    faults._armed.clear()
    faults._armed.update(table)
    return True


def watch(path: Path) -> None:
    while True:
        arm(path)
        time.sleep(LOOK_SECONDS)


def main() -> None:
    module, *arguments = sys.argv[1:]
    threading.Thread(target=watch, args=[Path(os.environ[ARMED])], daemon=True).start()
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
