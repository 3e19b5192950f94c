"""Lists the template files that a prompt may name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ..prompts.loader import TEMPLATE_SUFFIXES

_SUFFIXES = (*TEMPLATE_SUFFIXES, ".txt", ".md")


def list_template_files(folders: Sequence[Path]) -> dict[str, str]:
    """Template files by the name that finds them, each with the folder it lies in."""
    found: dict[str, str] = {}
    for folder in folders:
        try:
            with os.scandir(folder) as entries:
                names = sorted(e.name for e in entries if e.name.endswith(_SUFFIXES) and not e.name.startswith(".") and e.is_file())
        except OSError:
            continue
        for name in names:
            found.setdefault(name, "beside the notebook" if folder.name != "prompts" else "in prompts/")
    return found
