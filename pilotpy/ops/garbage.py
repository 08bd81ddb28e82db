"""When a process that holds a mesh looks for garbage: seldom, and not among what it read when it started.

Answers and what they read drop each other without the cyclic collector's help; what needs it are ended connections and
tasks. Left as Python sets it, the collector takes 40 % of the time that compiling 10 000 services takes, and holds all
up for half a second at a time. Source: https://docs.python.org/3.11/library/gc.html
"""

from __future__ import annotations

import gc
from typing import Final

_NEW: Final = 50_000  # objects more than before, at which the young ones are looked through
_YOUNG: Final = 20  # of these looks until the middle-aged ones are, too


def look_seldom() -> None:
    """Look for garbage less often from now on. The old is looked through as ever: once a quarter of it is new."""
    gc.set_threshold(_NEW, _YOUNG)


def keep_all() -> None:
    """Take all that there is now for what stays, and never look through it again."""
    gc.collect()
    gc.freeze()
