"""A notebook in, the executed notebook out: runs every cell in a fresh kernel of this Python.

Knows nbclient, nbformat and nbconvert, and how a kernel's environment is set.
Does not know sessions, stores, or what the answers mean.
"""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .errors import MissingExtraError, TinyLLMError

_ANSI = re.compile(r"\x1b\[[0-9;]*m")


class NotebookError(TinyLLMError):
    """A notebook that cannot be read, or a cell of it that failed; ``cell`` counts code cells from 1."""

    cell: int | None = None


def read(path: Path) -> Any:
    """The notebook of a file, in format 4; raises ``NotebookError`` where it is none."""
    nbformat = _library("nbformat")
    try:
        return nbformat.read(path, as_version=4)
    except FileNotFoundError:
        raise NotebookError(f"there is no notebook {path}") from None
    except (nbformat.reader.NotJSONError, nbformat.ValidationError, UnicodeDecodeError, KeyError, AttributeError) as error:
        raise NotebookError(f"{path.name} is no notebook: {error}") from error


def write(notebook: Any, path: Path) -> None:
    """Write a notebook."""
    _library("nbformat").write(notebook, path)


def execute(
    notebook: Any,
    folder: Path,
    environ: Mapping[str, str],
    *,
    timeout: float = 600,
    started: Callable[[int, Any], None] | None = None,
    finished: Callable[[int, Any], None] | None = None,
) -> Any:
    """Run all code cells in ``folder``, in place; ``timeout`` is in seconds for each cell.

    ``started`` and ``finished`` are told the index of the cell and the cell. Raises
    ``NotebookError`` for a failed or hung cell; the outputs so far are kept in the notebook.
    """
    nbclient = _library("nbclient")
    client = nbclient.NotebookClient(
        notebook,
        timeout=timeout,
        kernel_name="python3",
        store_widget_state=False,
        resources={"metadata": {"path": str(folder)}},
        on_cell_execute=lambda cell, cell_index: started(cell_index, cell) if started and cell.cell_type == "code" else None,
        on_cell_executed=lambda cell, cell_index, execute_reply: finished(cell_index, cell) if finished else None,  # noqa: ARG005
    )
    try:
        return client.execute(env={**os.environ, **environ}, extra_arguments=["--HistoryManager.enabled=False"])
    except nbclient.exceptions.CellExecutionError as error:
        raise NotebookError(_told(error), hint="The notebook shows the whole error.") from error
    except nbclient.exceptions.CellTimeoutError as error:
        raise NotebookError(f"a cell was not finished after {timeout:g} s") from error
    except nbclient.exceptions.DeadKernelError as error:
        raise NotebookError("the kernel died") from error


def _told(error: Any) -> str:
    lines = [line for line in _ANSI.sub("", str(error.traceback)).splitlines() if line.strip()]
    return f"a cell failed: {' '.join(lines[:2]) or error.ename}"


def to_html(notebook: Any) -> str:
    """The notebook as one HTML page."""
    nbconvert = _library("nbconvert")
    page, _ = nbconvert.HTMLExporter(embed_images=True).from_notebook_node(notebook)
    return str(page)


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtraError(
            f"running notebooks needs the package {name}", hint='pip install "tinyllm-magic[verify]"', extra="verify"
        ) from error
