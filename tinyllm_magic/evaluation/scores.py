"""How good answers are against what was expected: a ``Score`` with its interval, the number of rows, and the failures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ..errors import OptionError, near, suggest
from .classes import ClassScore, Confusion, count_confusions, score_classes
from .examples import Example
from .intervals import Estimate, estimate_rows
from .labels import Normaliser, spell_label, write_label
from .wording import count_rows, write_range, write_value

F1 = "macro F1"
METRICS = ("accuracy", "exact", "f1")
_FEWEST_PER_CLASS = 2  # rows; labels that hardly come up twice are texts, no classes


@dataclass(frozen=True)
class ScoredRow:
    """A row and its score: 1 where it is right and 0 where it is wrong, or what a function or a judge makes of it."""

    example: Example
    value: float
    verdict: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The row's columns, then ``expected``, ``answer``, ``score`` and what a judge said."""
        said = {"verdict": self.verdict} if self.verdict else {}
        return {**self.example.row, "expected": self.example.expected, "answer": self.example.answer, "score": self.value, **said}


@dataclass(frozen=True)
class Score:
    """How good the answers of a table are: ``value`` with the bounds ``low`` and ``high`` of its 95 % interval, over ``n`` rows.

    A share (accuracy, exact match, right or wrong by a judge) has Wilson's interval, a mean Student's, F1 one of a bootstrap
    over the rows. ``unanswered`` rows, which count as wrong in a share and are left out of a mean, and ``unlabelled`` rows,
    of which nobody said what was expected and which are left out. ``failures`` are the rows that are wrong, the worst first.
    """

    metric: str
    estimate: Estimate
    rows: tuple[ScoredRow, ...]
    label: str = ""
    unanswered: int = 0
    unlabelled: int = 0
    classes: tuple[ClassScore, ...] = ()
    confusion: Confusion | None = None
    labels: tuple[tuple[int, str, str | None], ...] = field(default=(), repr=False)
    """With F1: the place of each row, what was expected and what was answered, as they are compared."""
    judged: Any = field(default=None, repr=False)
    cost: float | None = None

    @property
    def value(self) -> float:
        """The score."""
        return self.estimate.value

    @property
    def low(self) -> float | None:
        """The lower bound of the 95 % interval; ``None`` for a single row."""
        return self.estimate.low

    @property
    def high(self) -> float | None:
        """The upper bound of the 95 % interval; ``None`` for a single row."""
        return self.estimate.high

    @property
    def n(self) -> int:
        """Over how many rows."""
        return self.estimate.n

    @cached_property
    def is_right_or_wrong(self) -> bool:
        """Whether each row is right or wrong, and nothing between."""
        return all(r.value in (0.0, 1.0) for r in self.rows)

    @property
    def is_share(self) -> bool:
        """Whether the score is a share, which is written in per cent."""
        return self.is_right_or_wrong or self.metric in METRICS

    @property
    def failures(self) -> list[dict[str, Any]]:
        """The rows that are not right, the worst first; where a score has no right and wrong, those below the mean."""
        limit = 1.0 if self.is_share else self.value
        return [r.to_dict() for r in sorted(self.rows, key=lambda r: r.value) if r.value < limit]

    def __str__(self) -> str:
        named = f"{self.label}: " if self.label else ""
        value, spread = (
            write_value(self.value, is_share=self.is_share),
            write_range(self.low, self.high, is_share=self.is_share),
        )
        words = [f"{named}{self.metric} {value}", spread, f"n {self.n:,}", *self.remarks]
        return ", ".join(words)

    __repr__ = __str__

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a reader of the figure must know about the rows behind it."""
        counted = "counted as wrong" if self.is_share else "left out"
        words = [f"{count_rows(self.unanswered)} without an answer {counted}"] if self.unanswered else []
        words += [f"{count_rows(self.unlabelled)} without an expected answer left out"] if self.unlabelled else []
        return tuple(words)


@dataclass(frozen=True)
class Judgement:
    """What a metric says of one row: a value, or ``None`` where it cannot say any, and a judge's word."""

    value: float | None
    verdict: str = ""


def score_examples(
    examples: Sequence[Example],
    metric: str | Callable[[Any, Any], Any],
    normalise: Normaliser | None,
    *,
    label: str = "",
    cost: float | None = None,
) -> Score:
    """The score of some rows by a metric's name or a function of what was expected and what was answered."""
    if isinstance(metric, str):
        if metric not in METRICS:
            hint = suggest(near(metric, METRICS)) or f"Metrics are {', '.join(METRICS)}, a function, or an LLMCall that judges."
            raise OptionError(f"there is no metric {metric!r}", option="metric", hint=hint)
        return _score_labels(examples, metric, normalise, label=label, cost=cost)
    name = getattr(metric, "__name__", type(metric).__name__).strip("<>")
    judgements = [Judgement(None) if e.answer is None else Judgement(_read_value(metric(e.expected, e.answer), name)) for e in examples]
    return score_judgements(examples, judgements, name, label=label, cost=cost)


def score_judgements(
    examples: Sequence[Example],
    judgements: Sequence[Judgement],
    name: str,
    *,
    label: str = "",
    cost: float | None = None,
    judged: Any = None,
) -> Score:
    """The score of rows that somebody has judged: a row without an answer is wrong where all others are right or wrong."""
    said = [j.value for j in judgements if j.value is not None]
    is_share = bool(said) and all(v in (0.0, 1.0) for v in said)
    kept = [
        ScoredRow(e, 0.0 if j.value is None else j.value, j.verdict)
        for e, j in zip(examples, judgements, strict=True)
        if j.value is not None or (is_share and e.answer is None)
    ]
    values = list(average_rows(kept).values())
    _demand_rows(values)
    unanswered = sum(e.answer is None for e in examples)
    return Score(name, estimate_rows(values), tuple(kept), label, unanswered, judged=judged, cost=cost)


def average_rows(rows: Sequence[ScoredRow]) -> dict[int, float]:
    """One value for each place, which is a row that was asked: of several samples of it, their mean."""
    values: dict[int, list[float]] = {}
    for row in rows:
        values.setdefault(row.example.place, []).append(row.value)
    return {place: sum(v) / len(v) for place, v in values.items()}


def _score_labels(
    examples: Sequence[Example], metric: str, normalise: Normaliser | None, *, label: str = "", cost: float | None = None
) -> Score:
    labelled = [(e, write_label(e.expected, normalise)) for e in examples]
    kept = [(e, expected) for e, expected in labelled if expected is not None]
    expected = [label for _, label in kept]
    answered = [write_label(e.answer, normalise) for e, _ in kept]
    rows = tuple(ScoredRow(e, float(a == x)) for (e, x), a in zip(kept, answered, strict=True))
    values = list(average_rows(rows).values())
    _demand_rows(values)
    names: dict[str, str] = {}
    for example, known in kept:
        names.setdefault(known, spell_label(example.expected))
    are_classes = metric == "f1" or (metric == "accuracy" and len(kept) >= _FEWEST_PER_CLASS * len(names) > _FEWEST_PER_CLASS)
    classes, macro = score_classes(expected, answered, names, with_f1=metric == "f1") if are_classes else ((), None)
    return Score(
        {"f1": F1, "exact": "exact match"}.get(metric, metric),
        macro or estimate_rows(values),
        rows,
        label,
        unanswered=sum(a is None for a in answered),
        unlabelled=len(examples) - len(kept),
        classes=classes,
        confusion=count_confusions(expected, answered, names) if are_classes else None,
        labels=tuple((e.place, x, a) for (e, x), a in zip(kept, answered, strict=True)) if metric == "f1" else (),
        cost=cost,
    )


def _read_value(value: Any, name: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        hint = "It takes what was expected and what was answered, and returns True, False or a number."
        raise OptionError(f"the metric {name} returned {type(value).__name__}, no number", option="metric", hint=hint) from None


def _demand_rows(values: Sequence[float]) -> None:
    if not values:
        hint = "Of each row must be known what was expected, and some must have been answered."
        raise OptionError("no row can be scored", option="expected", hint=hint)
