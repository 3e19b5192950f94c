"""Reads a notebook and its store, and sorts the records: which cell each answers, which nothing asks any more, which are missing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..recording.codec import is_genuine
from ..recording.lookup import Siblings
from ..recording.store import Store
from ..responses import Record
from ..verify import kernels
from ..verify.kernels import NotebookError
from ..verify.stores import find_store
from .attribution import find_asking, find_prompts, find_python
from .cells import PROMPT_CELL, SavedCell, read_cells

TOOL, FILE = "tool", "file"
"""Kinds of records that no model has made: the result of a function, and what stood at a web address."""


@dataclass(frozen=True)
class FileFact:
    """A file by its name, its size in bytes and the sha256 of its bytes."""

    name: str
    size: int
    digest: str

    @classmethod
    def of(cls, path: Path) -> FileFact:
        """The facts of a file."""
        data = path.read_bytes()
        return cls(path.name, len(data), hashlib.sha256(data).hexdigest())


@dataclass(frozen=True)
class Use:
    """A record and the cell that it answers: ``why`` in words where no saved output says so."""

    record: Record
    cell: SavedCell
    store: str
    why: str = ""

    @property
    def is_answer(self) -> bool:
        """Whether a model made it."""
        return self.record.request.get("kind") not in (TOOL, FILE)


@dataclass(frozen=True)
class Evidence:
    """What notebook and store hold.

    ``links`` are the records that answer each cell; ``uses`` the same, each record once, with its first cell; ``unasked`` those
    of the own store that no cell seems to ask for; ``missing`` the keys that outputs name and no store holds, with their cells.
    ``stores`` are the files that hold what is used, the own one first; ``damaged`` counts its lines that are no records,
    ``forged`` the records whose key is not the digest of their request.
    """

    path: Path
    notebook: FileFact
    metadata: Mapping[str, Any]
    headings: tuple[tuple[str, str], ...]
    cells: tuple[SavedCell, ...]
    stores: tuple[FileFact, ...]
    header: Mapping[str, Any]
    links: tuple[Use, ...]
    uses: tuple[Use, ...]
    unasked: tuple[Record, ...]
    missing: tuple[tuple[SavedCell, str], ...]
    damaged: int = 0
    forged: int = 0

    @property
    def answers(self) -> tuple[Use, ...]:
        """The records that a model made and a cell asks for."""
        return tuple(use for use in self.uses if use.is_answer)

    def of_cell(self, cell: SavedCell) -> tuple[Use, ...]:
        """The records that answer one cell."""
        return self._by_cell.get(cell.number, ())

    @cached_property
    def _by_cell(self) -> Mapping[int, tuple[Use, ...]]:
        found: dict[int, list[Use]] = {}
        for use in self.links:
            found.setdefault(use.cell.number, []).append(use)
        return {number: tuple(uses) for number, uses in found.items()}

    @property
    def asks_from_python(self) -> tuple[SavedCell, ...]:
        """The cells that ask, or may ask, without an output that names their records."""
        return tuple(c for c in self.cells if c.kind and not c.lists_all and not (c.kind == PROMPT_CELL and c.fails))


def gather(path: Path) -> Evidence:
    """What a notebook and its store hold; nothing is run or asked.

    Raises ``NotebookError`` where there is no such notebook, ``StoreError`` where its store cannot be read.
    """
    notebook = kernels.read(path)
    language = kernels.language_of(notebook)
    if language != "python":
        raise NotebookError(f"{path.name} is written in {language}; only Python notebooks ask with this package")
    found = find_store(path.absolute())
    store = found.store
    cells = read_cells(notebook)
    siblings = list(Siblings(store.path).readable()) if found.has_siblings else []
    records = {record.key: record for record in store.records()}
    links, missing = _find_shown(cells, records, store, siblings)
    links += _find_by_words(links, records.values(), cells, store.path.name)
    links += _find_results(links, records.values(), store.path.name)
    links.sort(key=lambda use: use.cell.number)
    uses = {use.record.key: use for use in reversed(links)}  # the first cell of each
    used_stores = {use.store for use in links}
    files = [store, *(s for s in siblings if s.path.name in used_stores)]
    return Evidence(
        path=path,
        notebook=FileFact.of(path),
        metadata=notebook.metadata,
        headings=tuple(_headings(notebook)),
        cells=cells,
        stores=tuple(FileFact.of(s.path) for s in files if s.path.exists()),
        header=store.header,
        links=tuple(links),
        uses=tuple(sorted(uses.values(), key=lambda use: use.cell.number)),
        unasked=tuple(record for key, record in records.items() if key not in uses),
        missing=tuple(missing),
        damaged=len(store.check()),
        forged=sum(not is_genuine(use.record) for use in uses.values()),
    )


def _find_shown(
    cells: Iterable[SavedCell], records: Mapping[str, Record], store: Store, siblings: Iterable[Store]
) -> tuple[list[Use], list[tuple[SavedCell, str]]]:
    """The records that saved outputs name, each for the first cell that shows it, and the keys that no store holds."""
    uses: list[Use] = []
    missing: list[tuple[SavedCell, str]] = []
    for cell in cells:
        for key in cell.keys:
            if key in records:
                uses.append(Use(records[key], cell, store.path.name))
                continue
            elsewhere = [(r, s.path.name) for s in siblings if key in s and (r := s.get(key)) is not None]
            if elsewhere:
                record, name = max(elsewhere, key=lambda pair: pair[0].created)
                uses.append(Use(record, cell, name))
            else:
                missing.append((cell, key))
    return uses, missing


def _find_by_words(links: Iterable[Use], records: Iterable[Record], cells: Sequence[SavedCell], name: str) -> list[Use]:
    """The records that cells seem to have asked for whose outputs do not name them, by the words of their prompts."""
    shown = {use.record.key for use in links}
    prompts = find_prompts(cells)
    found = []
    for record in records:
        is_shown = record.key in shown
        asking = find_asking(record.request, prompts, surely=is_shown)
        if not asking and not is_shown:
            python = find_python(record.request, prompts, cells)
            asking = {} if python is None else {python[0].number: python}
        found += [Use(record, cell, name, why) for cell, why in asking.values() if record.key not in cell.keys]
    return found


def _find_results(uses: Iterable[Use], records: Iterable[Record], name: str) -> list[Use]:
    """The recorded results of the tools that the answers of cells called, and the files that their prompts fetched."""
    cells = {use.record.key: use.cell for use in uses}
    addresses = {address: use.cell for use in uses for address in _addresses(use.record.request)}
    found = []
    for record in records:
        if record.key in cells:
            continue
        params = record.request.get("params") or {}
        cell = cells.get(str(params.get("request"))) if record.request.get("kind") == TOOL else None
        cell = addresses.get(str(params.get("url"))) if record.request.get("kind") == FILE else cell
        if cell is not None:
            found.append(Use(record, cell, name))
    return found


def _addresses(value: Any) -> Iterable[str]:
    """The web addresses of the files in a recorded request."""
    if isinstance(value, Mapping):
        if "$sha256" in value and isinstance(value.get("url"), str):
            yield value["url"]
        for part in value.values():
            yield from _addresses(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _addresses(part)


def _headings(notebook: Any) -> Iterable[tuple[str, str]]:
    """The headings of the notebook's Markdown, each with the text up to the next."""
    for cell in notebook.cells:
        if cell.cell_type != "markdown":
            continue
        title, lines = "", list[str]()
        for line in cell.source.splitlines():
            if line.startswith("#") and line.lstrip("#").startswith(" "):
                if title:
                    yield title, "\n".join(lines).strip()
                title, lines = line.lstrip("# ").strip(), []
            else:
                lines.append(line)
        if title:
            yield title, "\n".join(lines).strip()
