"""Collects what became of each row of a run, and builds the table of it as it stands."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..clients.call import LLMCall
from ..errors import NotAsked
from ..frozen import copy_with
from ..recording.store import Store
from ..responses import Record, Response
from ..row_results import RowResult, Tally
from ..schemas.schema import Schema
from .rows import Rows
from .spill import SpilledEntries
from .table import KEPT_RESPONSES, Table

_COPIED = ("text", "cost", "key", "tokens", "duration", "finish_reason", "error")


class ResultBuilder:
    """The results that have come in so far. A row is opened, settled once, and read only from then on."""

    def __init__(
        self, rows: Rows, kind: str, schema: Schema | None = None, *, axes: tuple[str, ...] = (), expect: str | None = None
    ) -> None:
        self._axes, self._expect = axes, expect
        self.entries = SpilledEntries(in_memory=rows.in_memory, keep=KEPT_RESPONSES)
        self._total, self._tally = rows.count, Tally()
        self._rows, self._kind = rows, kind
        self._stores: dict[Path, Store] = {}
        self._last_store: Store | None = None
        self._reading = ExitStack()
        self._schema = schema  # of all rows, where there is none too; a grid over schemas has none in common
        self._began = time.monotonic()

    def start_clock(self) -> None:
        """Count the seconds of the run from now on."""
        self._began = time.monotonic()

    def open(self, row: Mapping[str, Any], call: LLMCall) -> int:
        """Make room for one more row and its call; returns its place."""
        schema = call.model_params.get("schema")
        if schema is not self._schema:
            self._schema = None if len(self.entries) else schema
        return self.entries.append(row, call)

    def use_store(self, store: Store | None) -> None:
        """Read responses from this store too, many in a short time; a client may have one of its own."""
        if store is not None and store is not self._last_store and self._stores.setdefault(store.path, store) is store:
            self._last_store = store
            self._reading.enter_context(store.reading_many())

    def close(self) -> None:
        """No more rows come: the stores are read one record at a time again."""
        self._reading.close()
        self.entries.put_away()

    def settle(self, place: int, outcome: Response | BaseException, key: str | None = None, store: Store | None = None) -> None:
        """Keep the outcome of a row that asked for a key; beyond the first ones, a response that the store has is left there."""
        entry = self.entries.unsettled_at(place)
        if isinstance(outcome, Response):
            keep = place < KEPT_RESPONSES or bool(outcome.steps) or store is None or outcome.key not in store
            entry.set_outcome(copy_with(outcome, call=entry.call) if keep else outcome, keep=keep)
        else:
            entry.set_outcome(outcome)
        self._count(place, entry, key)

    def copy_answer(self, place: int, first: int) -> None:
        """Answer a row with what an earlier one that asks the same was answered."""
        entry, earlier = self.entries.unsettled_at(place), self.entries[first]
        for name in _COPIED:
            setattr(entry, name, getattr(earlier, name))
        entry.source = "recorded"
        entry.response = None if earlier.response is None else replace(earlier.response, source="recorded")
        self._count(place, entry, repeats=True)

    def abandon(self, place: int) -> None:
        """Keep a row that a stop did not reach as a failed one."""
        entry = self.entries.unsettled_at(place)
        entry.error = NotAsked("stopped before this row was answered")
        self._tally.count_result(entry)
        self.entries.settle(place)

    def is_open(self, place: int) -> bool:
        """Whether nothing has become of a row yet."""
        entry = self.entries[place]
        return entry.error is None and not entry.answered

    @property
    def has_ended(self) -> bool:
        """Whether any row has ended."""
        return self._tally.done > 0

    def complete(self) -> None:
        """Take the rows that there are as all of them."""
        self._total = len(self.entries)

    def table(self) -> Table:
        """The table as it stands; it grows with this builder."""
        index = None if self._rows.index is None else self._rows.index[: len(self.entries)]
        progress, stats = self._tally.progress(self._total, time.monotonic() - self._began), self._tally.stats()
        rest = self._rows.dtypes, self._schema, self._axes, self._expect
        return Table(self.entries, progress, self._kind, index, self._fetch, stats, *rest)

    def flush(self) -> None:
        """Write down what has been recorded."""
        for store in self._stores.values():
            store.flush()

    def _count(self, place: int, entry: RowResult, key: str | None = None, *, repeats: bool = False) -> None:
        self._tally.count_end(entry)
        self._tally.count_result(entry, repeats=repeats)
        self.entries.settle(place, key)

    def _fetch(self, key: str) -> Record | None:
        found = (store.get(key) for store in self._stores.values())
        return next((record for record in found if record is not None), None)
