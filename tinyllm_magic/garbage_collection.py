"""Lets Python's garbage collector wait while nothing becomes garbage."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def pause_garbage_collection() -> Iterator[None]:
    """Collect no garbage until the block is through.

    An import makes many objects that all stay. The collector looks at the whole kernel again and again meanwhile: a third of the
    processor time of the first cell's imports, more where a notebook holds much.
    """
    ran = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if ran:
            gc.enable()
