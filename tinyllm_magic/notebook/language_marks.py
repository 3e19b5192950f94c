"""Marks prompt cells in notebook files as Markdown for VS Code, which no extension of ours colours.

JupyterLab's extension writes the same marks on saving where its setting says so; a mark stands in a cell's metadata and changes no answer.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from ..files import replace_whole
from ..verify.kernels import NotebookError

LANGUAGE = "markdown"
_PROMPT = re.compile(r"\s*%%llm(?!\S)")
_OTHER_MAGIC = re.compile(r"\s*%%")


def mark_notebook(path: Path, *, remove: bool = False) -> int:
    """Write ``vscode.languageId`` into the prompt cells of a notebook, or take it out; returns how many cells that changed.

    A marked cell that has become Python loses its mark. All else in the file stays as it is. Raises ``NotebookError``.
    """
    try:
        notebook = json.loads(path.read_text("utf-8"))
        changed = sum(_mark_cell(cell, remove=remove) for cell in notebook["cells"] if cell["cell_type"] == "code")
    except OSError as error:
        raise NotebookError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise NotebookError(f"{path} is no notebook of format 4", hint="Open it in Jupyter and save it.") from error
    if changed:
        try:
            replace_whole(path, [f"{json.dumps(notebook, indent=1, ensure_ascii=False)}\n".encode()])
        except OSError as error:
            raise NotebookError(f"{path} cannot be written: {error.strerror}") from error
    return changed


def _mark_cell(cell: dict[str, Any], *, remove: bool) -> bool:
    """Write or remove the mark of a code cell; returns whether that changed anything."""
    source = "".join(cell["source"])
    own = cell["metadata"].get("vscode", {})
    marked = own.get("languageId") == LANGUAGE
    if _PROMPT.match(source) and not remove:
        cell["metadata"]["vscode"] = {**own, "languageId": LANGUAGE}
        return not marked
    if not marked or (_OTHER_MAGIC.match(source) and not _PROMPT.match(source)):  # VS Code marks `%%markdown` cells itself
        return False
    kept = {name: value for name, value in own.items() if name != "languageId"}
    cell["metadata"] = {name: value for name, value in cell["metadata"].items() if name != "vscode"} | ({"vscode": kept} if kept else {})
    return True
