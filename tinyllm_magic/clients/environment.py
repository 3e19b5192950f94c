"""Where this process runs: the IPython shell and the cell that it runs, the notebook's path, the package's version."""

from __future__ import annotations

import functools
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@functools.cache
def version() -> str:
    """This package's version, as its installation tells it."""
    from importlib import metadata  # it costs more than loading the extension

    try:
        return metadata.version("tinyllm-magic")
    except metadata.PackageNotFoundError:
        return "not installed"


def shell() -> Any:
    """The IPython shell of this process, or ``None`` in a plain script; IPython is not imported for it."""
    ipython = sys.modules.get("IPython.core.getipython") or sys.modules.get("IPython")
    find = getattr(ipython, "get_ipython", None)
    return None if find is None else find()


@dataclass(frozen=True)
class RunningCell:
    """A cell as it is executed: its id, empty where the front end sends none, and what tells this execution from others.

    ``asks_again``: the front end was told to ask again, whatever the cell says and is recorded.
    """

    id: str = ""
    execution: str = ""
    asks_again: bool = False


def running_cell() -> RunningCell:
    """The cell that the kernel runs, by the request that the front end sent for it."""
    request: dict[str, Any] = getattr(shell(), "get_parent", dict)() or {}
    metadata = request.get("metadata") or {}
    cell, execution = str(metadata.get("cellId") or ""), str((request.get("header") or {}).get("msg_id", ""))
    return RunningCell(cell, execution, bool(metadata.get("tinyllm_magic_ask_again"))) if cell else RunningCell()


_renamed: dict[Path, Path] = {}


def notebook_path() -> Path | None:
    """The notebook that this kernel runs, where the front end tells it (Jupyter Server, VS Code), under its latest name."""
    path = _told_path()
    while path in _renamed:
        path = _renamed[path]
    return path


def rename_notebook(old: Path, new: Path) -> None:
    """Know the notebook under a new name from now on: what the front end told at the start of the kernel stays as it was."""
    _renamed.pop(new, None)
    _renamed[old] = new


def _told_path() -> Path | None:
    running = shell()
    told = running.user_ns.get("__vsc_ipynb_file__") if running is not None else None
    told = told or os.environ.get("JPY_SESSION_NAME")
    if not told or not str(told).endswith(".ipynb"):
        return None
    path, folder = _read_path(str(told))
    return path if folder and os.path.isdir(folder) else Path.cwd() / path.name  # noqa: PTH112  # for each cell; Path costs more


@functools.lru_cache(maxsize=16)
def _read_path(told: str) -> tuple[Path, str]:
    """A notebook's path, and the folder that it lies in; empty where that is not told."""
    path = Path(told)
    return path, str(path.parent) if path.is_absolute() else ""
