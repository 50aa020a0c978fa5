"""Pauses of the garbage collector during imports, and objects kept out of it for forks and at the end."""

from __future__ import annotations

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["frozen", "paused", "skip_at_exit"]


@contextmanager
def paused() -> Iterator[None]:
    """Pause the collector inside the block.

    An import makes hundreds of thousands of objects and no garbage, and the collector looks at all of them again and again: of the 3.2 s
    in which a study's libraries are imported, it takes 1.0 s.

    Example:
        >>> with paused():
        ...     gc.isenabled()
        False
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def frozen() -> Iterator[None]:
    """Keep the objects of before the block out of collections inside it.

    A collection writes to the header of every object that it looks at, and so makes a copy of each page that forks share.

    Example:
        >>> with frozen():
        ...     gc.get_freeze_count() > 0
        True
    """
    is_frozen = gc.get_freeze_count() > 0  # by the caller, who will want it to stay
    if not is_frozen:
        gc.freeze()
    try:
        yield
    finally:
        if not is_frozen:
            gc.unfreeze()


def skip_at_exit() -> None:
    """Have the collector look at no object when the interpreter ends, which takes half a second after a study and frees nothing of use."""
    atexit.register(gc.freeze)
