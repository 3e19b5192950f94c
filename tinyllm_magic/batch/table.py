"""The ``Table`` of answered and failed rows.

The first ``KEPT_RESPONSES`` rows keep their ``Response``. Beyond that, rows that a store has recorded keep text,
cost, tokens and key alone, and the response is read from the store when it is asked for.
"""

from __future__ import annotations

import csv
import importlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any, overload

from ..clients.environment import notebook_path, version
from ..errors import MissingExtraError, NotAsked, SchemaError, StoreError
from ..evaluation.evaluable import Evaluable
from ..json_schema import FieldType
from ..messages import read_request
from ..recording.names import ratings_beside
from ..responses import Record, Response
from ..row_results import CUT_ANSWERS, BatchStats, RowResult, RunProgress, Tally
from ..schemas.columns import polars_type, sort_set, to_series
from ..schemas.schema import Schema

KEPT_RESPONSES = 1_000
RESULTS = ("answer", "error", "source", "cost")


@dataclass(frozen=True, eq=False, repr=False)
class Table(Evaluable):
    """Rows in order, each with its answer or its error.

    Iterating and indexing give each row's ``Response``, or the error where it failed;
    ``table["answer"]`` is a column, a slice a table. ``failed`` is the table of the failed rows, which
    ``map_rows(call, table.failed)`` asks again. ``columns`` are the row's own (``compare``: ``model``
    and the grid's), then ``answer``, ``error`` (``None`` or text), ``source`` and ``cost`` (US dollars
    of the live call); a row's column of one of these names is kept as ``row_NAME``. An answer that was
    cut (its maximum of tokens, a content filter) stays an answer, and ``error`` says so. ``progress`` sums up.

    Where a ``schema`` was asked for, the fields of the checked values are columns between both, of a value that is no
    object the column ``value``, with their own types in data frames; a field named as one of the results is kept as
    ``parsed_NAME``. An answer that does not fit stays in ``answer``, and ``error`` says why.

    Where each row was asked of several models, parameters or samples, ``axes`` names the columns that say which. ``expect`` is the
    column of the right answers; ``score``, ``against``, ``agreement`` and ``rate`` say how good the answers are.
    """

    entries: Sequence[RowResult]
    progress: RunProgress = field(default_factory=RunProgress)
    kind: str = "map"
    index: Any = None
    fetch: Callable[[str], Record | None] | None = None
    known_stats: BatchStats | None = None
    dtypes: Mapping[str, Any] | None = None
    schema: Schema | None = None
    axes: tuple[str, ...] = ()
    expect: str | None = None

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The rows' own columns, in the order in which they come up."""
        known = getattr(self.entries, "names", None)
        return tuple(dict.fromkeys(name for e in self.entries for name in e.row) if known is None else known)

    @cached_property
    def stats(self) -> BatchStats:
        """What the rows come to."""
        return self.known_stats or BatchStats.of(self.entries)

    @cached_property
    def own_columns(self) -> dict[str, str]:
        """The rows' own columns by the names that they have beside the results."""
        kept: dict[str, str] = {}
        for name in self.names:
            free = name
            while free in RESULTS or free in self.typed_columns or free in kept or (free != name and free in self.names):
                free = f"row_{free}"
            kept[free] = name
        return kept

    @cached_property
    def typed_columns(self) -> dict[str, str]:
        """The fields of the checked values by the names that they have as columns; none without a schema."""
        fields = () if self.schema is None else self.schema.fields
        return {f"parsed_{name}" if name in RESULTS else name: name for name in fields}

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns: the rows' own, those of typed answers, the results."""
        return (*self.own_columns, *self.typed_columns, *RESULTS)

    @property
    def rows(self) -> list[Mapping[str, Any]]:
        """The rows as they came in."""
        return [e.row for e in self.entries]

    @property
    def responses(self) -> list[Response | None]:
        """The responses in the order of the rows, ``None`` where a row failed."""
        return [self._response(e) if e.answered else None for e in self.entries]

    @property
    def errors(self) -> list[BaseException | None]:
        """The errors in the order of the rows, ``None`` where a row was answered."""
        return [e.error for e in self.entries]

    @property
    def failed(self) -> Table:
        """The rows that have no answer, as a table that can be asked again."""
        return self.select([i for i, e in enumerate(self.entries) if not e.answered])

    @property
    def cost(self) -> float:
        """US dollars that the live answers cost, as far as their prices are known."""
        return sum(e.cost or 0.0 for e in self.entries if e.source == "live")

    def to_dicts(self) -> list[dict[str, Any]]:
        """One dict for each row, all with all columns."""
        return list(self.iter_dicts())

    def iter_dicts(self) -> Iterator[dict[str, Any]]:
        """The rows of ``to_dicts``, one after the other."""
        return (self._dict(e) for e in self.entries)

    def to_pandas(self) -> Any:
        """The table as a pandas frame, with the index and, where its values still fit, the types of the frame it was made from.

        Typed answers have the nullable types of pandas, enumerations of texts are categories.
        """
        pandas = _import_library("pandas")
        rows = self.to_dicts()
        frame = pandas.DataFrame(rows, columns=list(self.columns), index=self.index).astype({"cost": float})
        for kept, kind in self._column_types():
            frame[kept] = to_series(pandas, [row[kept] for row in rows], kind, frame.index)
        dtypes = self.dtypes or {}
        for kept, name in self.own_columns.items():
            with suppress(TypeError, ValueError, KeyError):
                frame[kept] = frame[kept].astype(dtypes[name])
        return frame

    def to_polars(self) -> Any:
        """The table as a polars frame."""
        polars = _import_library("polars")
        rows = self.to_dicts()
        columns = {name: [sort_set(row[name]) for row in rows] for name in self.columns}
        typed = {"answer": polars.String, "error": polars.String, "source": polars.String, "cost": polars.Float64}
        found = ((kept, polars_type(polars, columns[kept], kind)) for kept, kind in self._column_types())
        typed |= {kept: kind for kept, kind in found if kind is not None}
        return polars.DataFrame(columns, schema_overrides=typed, strict=False)

    def to_csv(self, path: str | PathLike[str]) -> None:
        """Write the table as a UTF-8 CSV file; what is ``None`` is an empty cell."""
        with Path(path).expanduser().open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, self.columns)
            writer.writeheader()
            writer.writerows({name: _csv_value(value) for name, value in row.items()} for row in self.iter_dicts())

    def to_inspect(self, path: str | PathLike[str]) -> list[Path]:
        """Write the table as a log of Inspect (``.eval``), one for each combination of model and parameters; returns the paths.

        A row is a sample, a draw of its answer an epoch; where the right answers are known, they are its target and its score.
        Raises ``OptionError`` where the name does not end in ``.eval``, ``MissingExtraError`` without the extra ``inspect``.
        """
        from ..inspect_log import write_logs  # it reads tables, and wants a large library

        table = replace(self, axes=self.names) if self.kind == "compare" else self  # its columns are all of them axes
        return write_logs(table, Path(path).expanduser(), version())

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Any]:
        return (self._value(e) for e in self.entries)

    @overload
    def __getitem__(self, at: slice) -> Table: ...

    @overload
    def __getitem__(self, at: int) -> Any: ...

    @overload
    def __getitem__(self, at: str) -> list[Any]: ...

    def __getitem__(self, at: int | slice | str) -> Any:
        if isinstance(at, slice):
            return self.select(range(len(self.entries))[at])
        if isinstance(at, str):
            return self._column(at)
        return self._value(self.entries[at])

    def __repr__(self) -> str:
        failed = self.stats.failed
        return f"Table({len(self):,} row{'' if len(self) == 1 else 's'}{f', {failed:,} failed' if failed else ''})"

    def _column(self, name: str) -> list[Any]:
        if name in RESULTS:
            return [result_columns(e)[name] for e in self.entries]
        if name in self.typed_columns:
            return [self.read_typed(e)[name] for e in self.entries]
        if name not in self.own_columns:
            raise KeyError(name)
        return [e.row.get(self.own_columns[name]) for e in self.entries]

    def _dict(self, entry: RowResult) -> dict[str, Any]:
        own = {kept: entry.row.get(name) for kept, name in self.own_columns.items()}
        return {**own, **self.read_typed(entry), **result_columns(entry)}

    def read_typed(self, entry: RowResult) -> dict[str, Any]:
        """The columns of a row's checked value, all missing where there is none."""
        if self.schema is None or not entry.answered:
            return dict.fromkeys(self.typed_columns)
        value = self.schema.parse(entry.text or "") if entry.response is None else entry.response.parsed
        found = self.schema.to_columns(value) if value is not None or entry.text else {}
        return {kept: found.get(name) for kept, name in self.typed_columns.items()}

    def _column_types(self) -> list[tuple[str, FieldType]]:
        """The columns of typed answers with the types of their fields."""
        return [] if self.schema is None else [(kept, self.schema.fields[name]) for kept, name in self.typed_columns.items()]

    def _value(self, entry: RowResult) -> Response | BaseException:
        if entry.answered:
            return self._response(entry)
        return entry.error or NotAsked("this row was not asked")

    def _response(self, entry: RowResult) -> Response:
        if entry.response is not None:
            return entry.response
        record = self.fetch(entry.key or "") if self.fetch is not None else None
        if record is None or record.answer.text != entry.text:
            raise StoreError("the store no longer holds this row's response; its text is in the column `answer`")
        response = Response(read_request(record.request), record, entry.source or "recorded", call=entry.call)
        return response if self.schema is None else self.schema.read(response)

    def select(self, places: Sequence[int]) -> Table:
        """Some rows, by their places, as a table."""
        entries = EntrySelection(self.entries, places)
        tally = Tally()
        for entry in entries:
            if entry.answered or entry.error is not None:
                tally.count_end(entry)
        progress = tally.progress(len(entries))
        index = None if self.index is None else self.index.take(list(places))
        return replace(self, entries=entries, progress=progress, index=index, known_stats=None)

    def ratings_path(self) -> Path:
        """The file beside the notebook that keeps blind ratings: ``NAME.ratings.json``; ``session.ratings.json`` where no name is known."""
        notebook = notebook_path()
        return Path.cwd() / "session.ratings.json" if notebook is None else ratings_beside(notebook)


@dataclass(frozen=True)
class EntrySelection(Sequence[RowResult]):
    """Some entries of others, by their places; none is copied."""

    entries: Sequence[RowResult]
    places: Sequence[int]

    def __len__(self) -> int:
        return len(self.places)

    def __iter__(self) -> Iterator[RowResult]:
        return (self.entries[place] for place in self.places)

    @overload
    def __getitem__(self, at: int) -> RowResult: ...

    @overload
    def __getitem__(self, at: slice) -> EntrySelection: ...

    def __getitem__(self, at: int | slice) -> RowResult | EntrySelection:
        return EntrySelection(self.entries, self.places[at]) if isinstance(at, slice) else self.entries[self.places[at]]


def result_columns(entry: RowResult) -> dict[str, Any]:
    """The result columns of one row."""
    error = entry.error
    if entry.answered:
        fault = CUT_ANSWERS.get(entry.finish_reason or "")
    else:
        fault = "not asked" if error is None else f"{type(error).__name__}: {getattr(error, 'message', error)}"
    text = (entry.text or "") if entry.answered or isinstance(error, SchemaError) else None
    return {"answer": text, "error": fault, "source": entry.source, "cost": entry.cost}


def _csv_value(value: Any) -> Any:
    """A value as a cell of a CSV file: what is no single value is JSON."""
    value = sort_set(value)
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, (dict, list, tuple)) else value


def _import_library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtraError(f"{name} is not installed", hint=f"pip install {name}, or use .to_dicts().", extra=name) from error
