"""Answered and failed rows in, one value out: ``Table``, and the ``Tally`` of how far it has come.

Knows rows, their columns, what became of each, and how they read as dicts, frames and sums.
Does not know how a row is answered, drawn, read from a frame or recorded.

The first ``WHOLE`` rows keep their ``Response``. Beyond that, rows that a store has recorded keep text,
cost, tokens and key alone, and the response is read from the store when it is asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, overload

from .answers import Record, Response
from .errors import MissingExtraError, NotAsked, StoreError
from .messages import Message, Request

WHOLE = 1_000
RESULTS = ("answer", "error", "source", "cost")
_EMPTY: Mapping[str, Any] = {}


class Entry:
    """One row and what became of it: a response or an error, or neither yet.

    ``waited`` is the seconds that the live call took, ``cost`` US dollars; both are kept where the
    response itself is left to the store. ``call`` is who asked.
    """

    __slots__ = ("call", "cost", "error", "key", "row", "source", "text", "tokens", "waited", "whole")

    def __init__(self, row: Mapping[str, Any], call: Any = None) -> None:
        self.row = row
        self.call = call
        self.error: BaseException | None = None
        self.whole: Response | None = None
        self.text: str | None = None
        self.source: str | None = None
        self.cost: float | None = None
        self.key: str | None = None
        self.tokens: tuple[int, int] = (0, 0)
        self.waited = 0.0

    def take(self, outcome: Response | BaseException, *, whole: bool = True) -> None:
        """Keep the outcome; ``whole=False`` leaves the response to the store."""
        if isinstance(outcome, BaseException):
            self.error = outcome
            return
        usage = outcome.usage
        self.text, self.source, self.cost = outcome.record.answer.text, outcome.source, outcome.cost
        self.key = outcome.request.key  # the record's own would be a second copy of it
        self.tokens = (usage.prompt_tokens, usage.completion_tokens) if usage else (0, 0)
        self.waited = outcome.duration
        self.whole = outcome if whole else None

    @property
    def answered(self) -> bool:
        """Whether there is an answer."""
        return self.key is not None


@dataclass(frozen=True)
class Tally:
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

    def plus(self, entry: Entry, seconds: float) -> Tally:
        """The tally after one more row."""
        if entry.error is not None:
            return replace(self, failed=self.failed + 1, seconds=seconds)
        tokens_in, tokens_out = self.tokens_in + entry.tokens[0], self.tokens_out + entry.tokens[1]
        counted = replace(self, tokens_in=tokens_in, tokens_out=tokens_out, seconds=seconds)
        if entry.source == "recorded":
            return replace(counted, recorded=self.recorded + 1)
        unpriced = self.unpriced + (entry.cost is None)
        return replace(counted, live=self.live + 1, cost=self.cost + (entry.cost or 0.0), unpriced=unpriced)

    @property
    def facts(self) -> tuple[str, ...]:
        """What there is to say, in words."""
        of = f"{self.done:,} of {self.total:,}" if self.total is not None and self.done < self.total else f"{self.done:,}"
        words = [f"{of} row{'' if of == '1' else 's'}"]
        words += [f"{n:,} {name}" for n, name in ((self.live, "live"), (self.recorded, "recorded"), (self.failed, "failed")) if n]
        words += [f"{self.tokens_in:,} in / {self.tokens_out:,} out tokens"] if self.tokens_in or self.tokens_out else []
        words += ["< $0.0001" if self.cost < 0.0001 else f"${self.cost:.4f}"] if self.cost else []  # as few digits as tell
        words += [f"{self.unpriced:,} of unknown price"] if self.cost and self.unpriced else []
        left = self.left if self.total is not None and self.done < self.total else None
        return (*words, f"{self.seconds:.1f} s", *([] if left is None else [f"≈ {left:.0f} s left"]))

    def __str__(self) -> str:
        return " · ".join(self.facts)


@dataclass(frozen=True, slots=True)
class Sums:
    """What the rows of a table come to: how many failed, where answers come from, and what their calls took.

    ``calls`` is how many calls the answers needed, whenever they were made: of rows that ask the same, one.
    ``cost`` is in US dollars, ``None`` where no call's price is known; ``unpriced`` counts those.
    """

    failed: int = 0
    errors: int = 0
    sources: frozenset[str] = frozenset()
    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float | None = None
    unpriced: int = 0

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Sums:
        """The sums of some rows."""
        sums, keys = cls(), set()
        for entry in entries:
            sums = sums.plus(entry, repeats=entry.key in keys)
            keys.add(entry.key)
        return sums

    def plus(self, entry: Entry, *, repeats: bool = False) -> Sums:
        """The sums with one more row; ``repeats`` says that an earlier one asked the same."""
        failed, errors = self.failed + (not entry.answered), self.errors + (entry.error is not None)
        sources = self.sources if entry.source is None or entry.source in self.sources else self.sources | {entry.source}
        if not entry.answered or repeats:
            return replace(self, failed=failed, errors=errors, sources=sources)
        cost = self.cost if entry.cost is None else (self.cost or 0.0) + entry.cost
        return Sums(
            failed,
            errors,
            sources,
            self.calls + 1,
            self.tokens_in + entry.tokens[0],
            self.tokens_out + entry.tokens[1],
            cost,
            self.unpriced + (entry.cost is None),
        )


@dataclass(frozen=True, eq=False, repr=False)
class Table:
    """Rows in order, each with its answer or its error.

    Iterating and indexing give each row's ``Response``, or the error where it failed;
    ``table["answer"]`` is a column, a slice a table. ``failed`` is the table of the failed rows, which
    ``map_rows(call, table.failed)`` asks again. ``columns`` are the row's own (``compare``: ``model``
    and the grid's), then ``answer``, ``error`` (``None`` or text), ``source`` and ``cost`` (US dollars
    of the live call); a row's column of one of these names is kept as ``row_NAME``. ``tally`` sums up.
    """

    entries: Sequence[Entry]
    tally: Tally = field(default_factory=Tally)
    kind: str = "map"
    index: Any = None
    fetch: Callable[[str], Record | None] | None = None
    known: Sums | None = None

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The rows' own columns, in the order in which they come up."""
        known = getattr(self.entries, "names", None)
        return tuple(dict.fromkeys(name for e in self.entries for name in e.row) if known is None else known)

    @cached_property
    def sums(self) -> Sums:
        """What the rows come to."""
        return self.known or Sums.of(self.entries)

    @cached_property
    def _kept(self) -> dict[str, str]:
        """The rows' own columns by the names that they have beside the results."""
        kept: dict[str, str] = {}
        for name in self.names:
            free = name
            while free in RESULTS or free in kept or (free != name and free in self.names):
                free = f"row_{free}"
            kept[free] = name
        return kept

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns, the results after the rows' own."""
        return (*self._kept, *RESULTS)

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
        return self._part([i for i, e in enumerate(self.entries) if not e.answered])

    @property
    def cost(self) -> float:
        """US dollars that the live answers cost, as far as their prices are known."""
        return sum(e.cost or 0.0 for e in self.entries if e.source == "live")

    def to_dicts(self) -> list[dict[str, Any]]:
        """One dict for each row, all with all columns."""
        return list(self.dicts())

    def dicts(self) -> Iterator[dict[str, Any]]:
        """The rows of ``to_dicts``, one after the other."""
        return (self._dict(e) for e in self.entries)

    def to_pandas(self) -> Any:
        """The table as a pandas frame, with the index of the frame that it was made from."""
        pandas = _library("pandas")
        return pandas.DataFrame(self.to_dicts(), columns=list(self.columns), index=self.index).astype({"cost": float})

    def to_polars(self) -> Any:
        """The table as a polars frame."""
        polars = _library("polars")
        rows = self.to_dicts()
        columns = {name: [row[name] for row in rows] for name in self.columns}
        typed = {"answer": polars.String, "error": polars.String, "source": polars.String, "cost": polars.Float64}
        return polars.DataFrame(columns, schema_overrides=typed, strict=False)

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
            return self._part(range(len(self.entries))[at])
        if isinstance(at, str):
            return self._column(at)
        return self._value(self.entries[at])

    def __repr__(self) -> str:
        failed = self.sums.failed
        return f"Table({len(self):,} row{'' if len(self) == 1 else 's'}{f', {failed:,} failed' if failed else ''})"

    def _column(self, name: str) -> list[Any]:
        if name in RESULTS:
            return [result(e)[name] for e in self.entries]
        if name not in self._kept:
            raise KeyError(name)
        return [e.row.get(self._kept[name]) for e in self.entries]

    def _dict(self, entry: Entry) -> dict[str, Any]:
        return {**{kept: entry.row.get(name) for kept, name in self._kept.items()}, **result(entry)}

    def _value(self, entry: Entry) -> Response | BaseException:
        if entry.answered:
            return self._response(entry)
        return entry.error or NotAsked("this row was not asked")

    def _response(self, entry: Entry) -> Response:
        if entry.whole is not None:
            return entry.whole
        record = self.fetch(entry.key or "") if self.fetch is not None else None
        if record is None or record.answer.text != entry.text:
            raise StoreError("the store no longer holds this row's response; its text is in the column `answer`")
        return Response(_request(record.request), record, entry.source or "recorded", call=entry.call)

    def _part(self, places: Sequence[int]) -> Table:
        entries = Part(self.entries, places)
        tally = Tally(len(entries))
        for entry in entries:
            tally = tally.plus(entry, 0.0) if entry.answered or entry.error is not None else tally
        index = None if self.index is None else self.index.take(list(places))
        return Table(entries, tally, self.kind, index, self.fetch)


@dataclass(frozen=True)
class Part(Sequence[Entry]):
    """Some entries of others, by their places; none is copied."""

    entries: Sequence[Entry]
    places: Sequence[int]

    def __len__(self) -> int:
        return len(self.places)

    def __iter__(self) -> Iterator[Entry]:
        return (self.entries[place] for place in self.places)

    @overload
    def __getitem__(self, at: int) -> Entry: ...

    @overload
    def __getitem__(self, at: slice) -> Part: ...

    def __getitem__(self, at: int | slice) -> Entry | Part:
        return Part(self.entries, self.places[at]) if isinstance(at, slice) else self.entries[self.places[at]]


def result(entry: Entry) -> dict[str, Any]:
    """The result columns of one row."""
    error = entry.error
    told = None if entry.answered else f"{type(error).__name__}: {getattr(error, 'message', error)}" if error else "not asked"
    return {"answer": (entry.text or "") if entry.answered else None, "error": told, "source": entry.source, "cost": entry.cost}


def _request(canonical: Mapping[str, Any]) -> Request:
    """The request of a record; images stand by their digest."""
    return Request(
        canonical["provider"],
        canonical["model"],
        tuple(Message.of(m) for m in canonical["messages"]),
        canonical.get("params", _EMPTY),
        tuple(canonical.get("tools", ())),
        canonical.get("response_format"),
        canonical.get("sample", 0),
    )


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtraError(f"{name} is not installed", hint=f"pip install {name}, or use .to_dicts().", extra=name) from error
