"""Reads the code cells of a saved notebook: how each asks a model, which records its outputs name, what scores they show."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..verify.cell_text import title_of
from ..verify.shown_answers import list_of, read_facts, read_keys

PROMPT_CELL, LINE, PYTHON = "prompt cell", "%llm in Python", "Python"
_LINE = re.compile(r"^\s*(?:[\w.\[\]]+\s*=\s*)?%llm\s+(.*)$", re.MULTILINE)
_MAGIC = re.compile(r"^(\s*)(?:[\w.\[\], ]+=\s*)?[%!].*$", re.MULTILINE)
_ASKING = frozenset(("ask", "call", "call_llm", "compare", "get_embedding", "map_rows", "send_message"))
"""Functions and methods of this package that ask a model."""


@dataclass(frozen=True)
class SavedCell:
    """A code cell as it was saved.

    ``number`` counts code cells from 1; ``kind`` is how it asks, "" where it does not. ``keys`` are the keys of the answers that
    its outputs show, in order, ``rows`` how many rows its tables have, ``unlisted`` how many of them without their keys.
    ``texts`` are prompts in its code: of lines, and the texts of a Python cell. ``scores`` are what its outputs say of quality;
    ``fails`` says that it was saved with an error.
    """

    number: int
    identity: str
    source: str
    kind: str = ""
    executed: bool = False
    keys: tuple[str, ...] = ()
    rows: int = 0
    unlisted: int = 0
    texts: tuple[str, ...] = ()
    scores: tuple[Mapping[str, Any], ...] = ()
    fails: bool = False

    @property
    def title(self) -> str:
        """The first line, and for a prompt cell the first of its prompt."""
        return title_of(self.source)

    @property
    def options(self) -> str:
        """The line of options of a prompt cell."""
        return self.source.lstrip().partition("\n")[0].removeprefix("%%llm").strip() if self.kind == PROMPT_CELL else ""

    @property
    def prompt(self) -> str:
        """The template of a prompt cell."""
        return self.source.lstrip().partition("\n")[2] if self.kind == PROMPT_CELL else ""

    @property
    def lists_all(self) -> bool:
        """Whether the saved outputs name every record that answered this cell: nobody need guess."""
        return self.kind == PROMPT_CELL and self.executed and bool(self.keys) and not self.unlisted


def read_cells(notebook: Any) -> tuple[SavedCell, ...]:
    """The code cells of a notebook."""
    codes = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return tuple(_read_cell(number, cell) for number, cell in enumerate(codes, 1))


def _read_cell(number: int, cell: Any) -> SavedCell:
    outputs = cell.get("outputs") or ()
    facts = read_facts(outputs)
    kind, texts = _find_prompts(cell.source)
    return SavedCell(
        number=number,
        identity=str(cell.get("id") or ""),
        source=cell.source,
        kind=kind,
        executed=cell.get("execution_count") is not None or bool(outputs),
        keys=tuple(dict.fromkeys(key for found in facts for key in read_keys(found))),
        rows=sum(_count_rows(found) for found in facts),
        unlisted=sum(_count_unlisted(found) for found in facts),
        texts=texts,
        scores=tuple(score for found in facts for score in list_of(found, "scores") if isinstance(score, Mapping)),
        fails=any(output.get("output_type") == "error" for output in outputs),
    )


def _count_rows(facts: Mapping[str, Any]) -> int:
    table = facts.get("table")
    rows = table.get("rows") if isinstance(table, Mapping) else None
    return rows if isinstance(rows, int) else 0


def _count_unlisted(facts: Mapping[str, Any]) -> int:
    table = facts.get("table")
    return max(0, _count_rows(facts) - len(list_of(table, "keys"))) if isinstance(table, Mapping) else 0


def _find_prompts(source: str) -> tuple[str, tuple[str, ...]]:
    """How a cell asks, and the prompts that stand in its code."""
    if re.match(r"\s*%%llm(?:\s|\Z)", source):
        return "" if "--dry-run" in source.lstrip().partition("\n")[0] else PROMPT_CELL, ()
    if source.lstrip().startswith("%%"):
        return "", ()
    lines = tuple(match[1] for match in _LINE.finditer(source))
    asks, texts = _read_python(source)
    if lines:
        return LINE, (*lines, *texts)
    return (PYTHON, texts) if asks else ("", ())


def _read_python(source: str) -> tuple[bool, tuple[str, ...]]:
    """Whether Python code may ask a model, and the texts in it that may be prompts."""
    try:
        tree = ast.parse(_MAGIC.sub(r"\1pass", source))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False, ()
    calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    names = {f.attr if isinstance(f, ast.Attribute) else f.id for f in calls if isinstance(f, (ast.Attribute, ast.Name))}
    texts = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str))
    return bool(names & _ASKING), tuple(text for text in texts if re.search(r"\s|\{\{", text.strip()))
