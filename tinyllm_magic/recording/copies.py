"""Copies of stores for a process that must change none, whatever its notebook says.

The copies lie in the folder that ``TINYLLM_STORE_COPIES`` named when the process started, whatever a cell does to the environment.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

VARIABLE = "TINYLLM_STORE_COPIES"
_FOLDER = os.environ.get(VARIABLE)


def copy_of(path: Path) -> Path:
    """The copy of a store, made when it is first asked for; the path itself where no folder was named, or where it lies in it."""
    if not _FOLDER or path.is_relative_to(_FOLDER):
        return path
    folder = Path(_FOLDER) / hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    if not folder.exists():
        folder.mkdir(parents=True)
        if path.is_file():
            shutil.copyfile(path, folder / path.name)
    return folder / path.name
