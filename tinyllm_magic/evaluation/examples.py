"""The rows of a table of answers as examples to be scored: which row each answer belongs to, what was expected, what was answered.

A table is whatever is an ``AnswerTable``; rows that were asked of several models, parameters or samples have one number in all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from ..errors import OptionError, near, suggest

SAMPLE = "sample"


class AnswerTable(Protocol):
    """What is known of a table: its entries, the columns that say what was asked of each row, and how typed answers are read."""

    @property
    def entries(self) -> Sequence[Any]:
        """The rows with their answers."""

    @property
    def axes(self) -> tuple[str, ...]:
        """The columns that say of which model, with which parameters and as which sample a row was asked."""

    @property
    def expect(self) -> str | None:
        """The column of the right answers."""

    @property
    def typed_columns(self) -> Mapping[str, str]:
        """The fields of checked answers by the names of their columns."""

    def read_typed(self, entry: Any) -> dict[str, Any]:
        """The columns of a row's checked answer."""

    def select(self, places: Sequence[int]) -> Any:
        """Some rows, as a table."""


T = TypeVar("T", bound=AnswerTable)


@dataclass(frozen=True)
class Example:
    """One row that may be scored: its number, its own columns, what was expected and what was answered (``None``: nothing)."""

    place: int
    row: Mapping[str, Any]
    expected: Any
    answer: Any


def number_rows(table: AnswerTable) -> Iterator[tuple[int, Any]]:
    """Each entry with the number of the row that it is an answer to: samples and combinations of one row have the same."""
    counts: dict[tuple[str, ...], int] = {}
    for entry in table.entries:
        combination = tuple(str(entry.row.get(name)) for name in table.axes)
        counts[combination] = place = counts.get(combination, -1) + 1
        yield place, entry


def read_own_row(table: AnswerTable, entry: Any) -> dict[str, Any]:
    """A row without the columns that say what it was asked of."""
    return {name: value for name, value in entry.row.items() if name not in table.axes}


def split_combinations(table: T) -> dict[str, T]:
    """A table for each combination of model and parameters, by what tells it from the others; of one alone the table, without a name."""
    axes = [name for name in table.axes if name != SAMPLE]
    places: dict[tuple[str, ...], list[int]] = {}
    for place, entry in enumerate(table.entries):
        places.setdefault(tuple(str(entry.row.get(name)) for name in axes), []).append(place)
    if len(places) < 2:
        return {"": table}
    varying = [i for i in range(len(axes)) if len({combination[i] for combination in places}) > 1]
    named = {c: " · ".join(c[i] if axes[i] == "model" else f"{axes[i]} {c[i]}" for i in varying) for c in places}
    return {named[c]: table.select(found) for c, found in places.items()}


def split_samples(table: T) -> dict[int, T]:
    """A table for each sample, counted from 1; the number 0 is of a table without samples."""
    if SAMPLE not in table.axes:
        return {0: table}
    numbers = [int(entry.row[SAMPLE]) for entry in table.entries]
    return {n + 1: table.select([i for i, found in enumerate(numbers) if found == n]) for n in sorted(set(numbers))}


def read_examples(table: AnswerTable, expected: str | Sequence[Any] | None, answer: str | None, *, may_lack: bool = False) -> list[Example]:
    """The rows of a table with what was expected of each, by a column or one value for each, and what was answered.

    ``answer`` names the typed column that is meant, where there are several. Raises ``OptionError`` for a column that is not there,
    and where nothing was expected unless it ``may_lack``.
    """
    chosen = table.expect if expected is None else expected
    values = _read_expected(table, chosen, may_lack=may_lack)
    column = _choose_answer(table, answer, chosen)
    return [
        Example(place, read_own_row(table, entry), value, read_answer(table, entry, column))
        for (place, entry), value in zip(number_rows(table), values, strict=True)
    ]


def read_answer(table: AnswerTable, entry: Any, column: str | None) -> Any:
    """What was answered: the value of a typed column, or the text; ``None`` where nothing was."""
    if not entry.answered:
        return None
    return entry.text or "" if column is None else table.read_typed(entry)[column]


def _read_expected(table: AnswerTable, expected: str | Sequence[Any] | None, *, may_lack: bool) -> list[Any]:
    if expected is None:
        if not may_lack:
            hint = "Name the column: table.score('label'), or --expect label with --map."
            raise OptionError("nobody has said what was expected", option="expected", hint=hint)
        return [None] * len(table.entries)
    if isinstance(expected, str):
        names = list(dict.fromkeys(name for entry in table.entries for name in entry.row))
        if expected not in names:
            hint = suggest(near(expected, names)) or f"The columns are {', '.join(names)}."
            raise OptionError(f"there is no column {expected!r}", option="expected", hint=hint)
        return [entry.row.get(expected) for entry in table.entries]
    given = list(expected)
    rows = 1 + max((place for place, _ in number_rows(table)), default=-1)
    if len(given) != rows:
        raise OptionError(f"{len(given):,} expected answers for {rows:,} rows", option="expected")
    return [given[place] for place, _ in number_rows(table)]


def _choose_answer(table: AnswerTable, answer: str | None, expected: Any) -> str | None:
    """The typed column that is the answer; ``None`` is the text."""
    typed = table.typed_columns
    if answer == "answer":
        return None
    if answer is not None:
        if answer not in typed:
            hint = suggest(near(answer, typed)) or f"Typed columns are {', '.join(typed) or 'not there: answers are texts'}."
            raise OptionError(f"there is no typed column {answer!r}", option="answer", hint=hint)
        return answer
    if len(typed) < 2:
        return next(iter(typed), None)
    same = next((kept for kept, name in typed.items() if name == expected), None)
    if same is None:
        raise OptionError("the answers have several fields", option="answer", hint=f"Say which is scored: answer={next(iter(typed))!r}.")
    return same


def read_answers(tables: Sequence[AnswerTable]) -> tuple[list[Mapping[str, Any]], list[list[str]]]:
    """The rows that all of some tables have answered, and the text of their first answer to each."""
    found: list[dict[int, str]] = []
    rows: dict[int, Mapping[str, Any]] = {}
    for table in tables:
        answers: dict[int, str] = {}
        for place, entry in number_rows(table):
            rows.setdefault(place, read_own_row(table, entry))
            if entry.answered:
                answers.setdefault(place, entry.text or "")
        found.append(answers)
    places = [p for p in rows if all(p in answers for answers in found)]
    return [rows[p] for p in places], [[answers[p] for answers in found] for p in places]
