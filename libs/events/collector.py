"""How often the garbage collector looks."""

import gc
from typing import Final

YOUNG_OBJECTS: Final = 20_000  # a batch makes thousands of objects that all die with it: not worth a look each time


def collect_seldom() -> None:
    """What was loaded stays until the end: the collector need not walk through it again and again."""
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)
