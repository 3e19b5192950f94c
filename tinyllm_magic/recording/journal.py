"""Notes in a file which recorded answers are given, for who must know which records of a store are needed.

The file is the one that ``TINYLLM_ANSWERED`` named when the process started, whatever a cell does to the environment.
"""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "TINYLLM_ANSWERED"
_FILE = os.environ.get(VARIABLE)


def note_answered(key: str) -> None:
    """Note that the record of this key answered a request; nothing where no file was named."""
    if _FILE:
        with Path(_FILE).open("a", encoding="utf-8") as file:  # one short line at the end: processes may share the file
            file.write(f"{key}\n")


def read_answered(path: Path) -> frozenset[str]:
    """The keys that were noted."""
    return frozenset(path.read_text("utf-8").split()) if path.exists() else frozenset()
