"""Reads a notebook with its store, nothing run: its code cells, the records that their outputs show, and the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ..errors import StoreError
from ..recording.lookup import Siblings
from ..recording.store import Store
from ..responses import Record
from ..verify import kernels
from ..verify.cell_text import is_prompt, title_of
from ..verify.kernels import NotebookError
from ..verify.shown_answers import read_facts, read_keys
from ..verify.stores import FoundStore, find_store


@dataclass(frozen=True)
class RecordedCell:
    """One code cell as it is saved.

    ``number`` counts code cells from 1; ``facts`` are what its outputs tell of the answers that they show; ``keys`` those of the
    records behind these, steps on the way to an answer included, in the order in which they were asked.
    """

    number: int
    id: str
    source: str
    facts: tuple[Mapping[str, Any], ...] = ()

    @property
    def title(self) -> str:
        """The first line of the cell, and for a prompt cell the first of its prompt."""
        return title_of(self.source)

    @property
    def is_prompt(self) -> bool:
        """Whether the cell itself says that it asks a model."""
        return is_prompt(self.source)

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The keys of the records that the outputs show."""
        return tuple(dict.fromkeys(key for facts in self.facts for key in read_keys(facts)))


@dataclass(frozen=True)
class RecordedNotebook:
    """A notebook with what is recorded for it: ``records`` by key, those of its own store first; ``problems`` for the reader."""

    path: Path
    store: Path
    cells: tuple[RecordedCell, ...]
    records: Mapping[str, Record] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    @cached_property
    def cell_of(self) -> Mapping[str, RecordedCell]:
        """The first cell that shows a record, by key; records that no output shows are not in it."""
        found: dict[str, RecordedCell] = {}
        for cell in self.cells:
            for key in cell.keys:
                found.setdefault(key, cell)
        return found


def read_recorded(path: Path, found: FoundStore | None = None) -> RecordedNotebook:
    """A notebook and its store (``found``, else the one that its kernel would use); a missing store is an empty one.

    What its outputs show and the store lacks is looked for in the stores beside it. Raises ``NotebookError`` and ``StoreError``.
    """
    try:
        notebook = kernels.read(path)
    except OSError as error:
        raise NotebookError(f"{path} cannot be read: {error.strerror}") from error
    found = find_store(path.absolute()) if found is None else found
    code = (cell for cell in notebook.cells if cell.cell_type == "code")
    cells = tuple(_read_cell(number, cell) for number, cell in enumerate(code, 1))
    records = {record.key: record for record in found.store.records()}
    lacking = [key for cell in cells for key in cell.keys if key not in records]
    if lacking and found.has_siblings:
        records |= _find_in_siblings(found.store, lacking)
    problems = tuple(f"{found.store.path.name}, line {line}: {what}" for line, what in found.store.check())
    return RecordedNotebook(path, found.store.path, cells, records, problems)


def _find_in_siblings(own: Store, keys: Sequence[str]) -> dict[str, Record]:
    """The latest record of each key in the stores beside one."""
    found: dict[str, Record] = {}
    for store in Siblings(own.path).readable():
        for key in keys:
            try:
                record = store.get(key)
            except StoreError:
                break
            if record is not None and (key not in found or record.created > found[key].created):
                found[key] = record
    return found


def _read_cell(number: int, cell: Any) -> RecordedCell:
    return RecordedCell(number, str(cell.get("id", "")), str(cell.source), read_facts(cell.get("outputs", ())))
