"""How often the garbage collector looks."""

import gc
from typing import Final

YOUNG_OBJECTS: Final = 100_000
"""More than two polls of a worker hold at once, which all die with them: with 20,000 each poll was looked through while
it was at work, which took 6 to 8 % of a worker's time and found nothing. Of what only the collector can free, so many
objects wait at most."""


def collect_seldom() -> None:
    """What was loaded stays until the end: the collector need not walk through it again and again."""
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)
