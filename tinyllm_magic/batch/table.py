"""The ``Table`` of answered and failed rows, its ``BatchStats``, and the ``RunProgress`` of the run that fills it.

The first ``KEPT_RESPONSES`` rows keep their ``Response``. Beyond that, rows that a store has recorded keep text,
cost, tokens and key alone, and the response is read from the store when it is asked for.
"""

from __future__ import annotations

import csv
import importlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
from ..schemas.columns import polars_type, sort_set, to_series
from ..schemas.schema import Schema
from ..text_format import format_money

KEPT_RESPONSES = 1_000
RESULTS = ("answer", "error", "source", "cost")
CUT_ANSWERS = {"length": "cut: the answer reached its maximum of tokens", "content_filter": "cut by the provider's content filter"}
_EMPTY: Mapping[str, Any] = {}


class RowResult:
    """One row and what became of it: a response or an error, or neither yet.

    ``duration`` is the seconds that the live call took, ``cost`` US dollars; both are kept where the
    response itself is left to the store. ``call`` is who asked.
    """

    __slots__ = ("call", "cost", "duration", "error", "finish_reason", "key", "response", "row", "source", "text", "tokens")

    def __init__(self, row: Mapping[str, Any], call: Any = None) -> None:
        self.row = row
        self.call = call
        self.error: BaseException | None = None
        self.response: Response | None = None
        self.text: str | None = None
        self.source: str | None = None
        self.cost: float | None = None
        self.key: str | None = None
        self.finish_reason: str | None = None
        self.tokens: tuple[int, int] = (0, 0)
        self.duration = 0.0

    def set_outcome(self, outcome: Response | BaseException, *, keep: bool = True) -> None:
        """Keep the outcome, of an answer that does not fit its schema what it took; ``keep=False`` leaves the response to the store."""
        answered = outcome.response if isinstance(outcome, SchemaError) else outcome
        if isinstance(answered, Response):
            usage = answered.usage
            self.text, self.source, self.cost = answered.record.answer.text, answered.source, answered.cost
            self.tokens = (usage.prompt_tokens, usage.completion_tokens) if usage else (0, 0)
            self.duration, self.finish_reason = answered.duration, answered.finish_reason
        if isinstance(outcome, BaseException):
            self.error = outcome
            return
        asked, found = outcome.request.key, outcome.key  # they differ where an answer was recorded at another address
        self.key = asked if asked == found else found  # of equal ones the request's, which is in memory anyhow
        self.response = outcome if keep else None

    @property
    def answered(self) -> bool:
        """Whether there is an answer."""
        return self.key is not None

    @property
    def is_cut(self) -> bool:
        """Whether the answer ends before its end."""
        return self.answered and self.finish_reason in CUT_ANSWERS


@dataclass(frozen=True)
class RunProgress:
    """How far a map has come: rows by how they ended, tokens, US dollars spent, seconds.

    ``total`` is ``None`` where nobody knows how many rows there are. ``done`` counts all that ended:
    ``live``, ``recorded`` and ``failed``. ``unpriced`` counts live answers of unknown price.
    """

    total: int | None = None
    live: int = 0
    recorded: int = 0
    failed: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = 0.0
    unpriced: int = 0
    seconds: float = 0.0

    @property
    def done(self) -> int:
        """Rows that have ended, well or not."""
        return self.live + self.recorded + self.failed

    @property
    def left(self) -> float | None:
        """Seconds that the rest will take, by the pace of the live rows so far; ``None`` where nothing tells."""
        if self.total is None or not self.live:
            return None
        return (self.total - self.done) * self.seconds / max(self.done - self.recorded, 1)

    def add(self, entry: RowResult, seconds: float) -> RunProgress:
        """The tally after one more row."""
        failed, recorded = entry.error is not None, entry.source == "recorded"
        spent = (entry.cost or 0.0, entry.cost is None) if entry.source == "live" else (0.0, False)
        return RunProgress(
            self.total,
            self.live + (not failed and not recorded),
            self.recorded + (not failed and recorded),
            self.failed + failed,
            self.tokens_in + entry.tokens[0],
            self.tokens_out + entry.tokens[1],
            self.cost + spent[0],
            self.unpriced + spent[1],
            seconds,
        )

    @property
    def facts(self) -> tuple[str, ...]:
        """What there is to say, in words."""
        of = f"{self.done:,} of {self.total:,}" if self.total is not None and self.done < self.total else f"{self.done:,}"
        words = [f"{of} row{'' if of == '1' else 's'}"]
        words += [f"{n:,} {name}" for n, name in ((self.live, "live"), (self.recorded, "recorded"), (self.failed, "failed")) if n]
        words += [f"{self.tokens_in:,} in / {self.tokens_out:,} out tokens"] if self.tokens_in or self.tokens_out else []
        words += [format_money(self.cost, unpriced=self.unpriced)] if self.cost else []
        left = self.left if self.total is not None and self.done < self.total else None
        return (*words, f"{self.seconds:.1f} s", *([] if left is None else [f"≈ {left:.0f} s left"]))

    def __str__(self) -> str:
        return " · ".join(self.facts)


@dataclass(frozen=True, slots=True)
class BatchStats:
    """What the rows of a table come to: how many failed or were cut, where answers come from, and what their calls took.

    ``calls`` is how many calls the answers needed, whenever they were made: of rows that ask the same, one.
    ``cost`` is in US dollars, ``None`` where no call's price is known; ``unpriced`` counts those.
    """

    failed: int = 0
    errors: int = 0
    cut: int = 0
    sources: frozenset[str] = frozenset()
    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float | None = None
    unpriced: int = 0

    @classmethod
    def of(cls, entries: Iterable[RowResult]) -> BatchStats:
        """The sums of some rows."""
        stats, keys = cls(), set()
        for entry in entries:
            stats = stats.add(entry, repeats=entry.key in keys)
            keys.add(entry.key)
        return stats

    def add(self, entry: RowResult, *, repeats: bool = False) -> BatchStats:
        """The sums with one more row; ``repeats`` says that an earlier one asked the same."""
        failed, errors = self.failed + (not entry.answered), self.errors + (entry.error is not None)
        cut = self.cut + entry.is_cut
        sources = self.sources if entry.source is None or entry.source in self.sources else self.sources | {entry.source}
        if entry.source is None or repeats:
            return replace(self, failed=failed, errors=errors, cut=cut, sources=sources)
        cost = self.cost if entry.cost is None else (self.cost or 0.0) + entry.cost
        return BatchStats(
            failed,
            errors,
            cut,
            sources,
            self.calls + 1,
            self.tokens_in + entry.tokens[0],
            self.tokens_out + entry.tokens[1],
            cost,
            self.unpriced + (entry.cost is None),
        )


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
        progress = RunProgress(len(entries))
        for entry in entries:
            progress = progress.add(entry, 0.0) if entry.answered or entry.error is not None else progress
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
