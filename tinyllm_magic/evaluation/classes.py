"""Answers as classes: who was taken for whom, and how well each class is found; by scikit-learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..extras import load_library
from .intervals import Estimate, estimate_f1, estimate_share

OTHER, NO_ANSWER = "(another answer)", "(no answer)"
MOST_CLASSES = 20
"""Above that many a table of confusions is no picture any more."""


@dataclass(frozen=True)
class Confusion:
    """How often each class (``expected``, a row each) was answered as what (``answered``, a column each)."""

    expected: tuple[str, ...]
    answered: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class ClassScore:
    """One class: how many rows are of it, what share of them was found, and of F1 the parts where it was asked for.

    ``recall`` is the share of its rows that were answered so, ``precision`` the share of the answers of its name that are right.
    """

    name: str
    n: int
    recall: Estimate
    precision: float
    f1: Estimate | None = None
    label: str = ""
    """The class as answers are compared with it; ``name`` is how it is shown."""


def count_confusions(expected: Sequence[str], answered: Sequence[str | None], names: Mapping[str, str]) -> Confusion | None:
    """The confusions of labels, shown by ``names``; ``None`` where there are more than ``MOST_CLASSES`` classes."""
    classes = sorted(set(expected), key=lambda label: names[label])
    if len(classes) > MOST_CLASSES:
        return None
    known = [NO_ANSWER if a is None else a if a in classes else OTHER for a in answered]
    columns = [*classes, *(extra for extra in (OTHER, NO_ANSWER) if extra in known)]
    counts = load_library("sklearn.metrics").confusion_matrix(list(expected), known, labels=columns)
    shown = tuple(names.get(c, c) for c in columns)
    rows = tuple(tuple(int(n) for n in row) for row in counts[: len(classes)])
    return Confusion(shown[: len(classes)], shown, rows)


def score_classes(
    expected: Sequence[str], answered: Sequence[str | None], names: Mapping[str, str], *, with_f1: bool
) -> tuple[tuple[ClassScore, ...], Estimate | None]:
    """How well each class is found, and with ``with_f1`` their mean F1 (macro F1)."""
    classes = sorted(set(expected), key=lambda label: names[label])
    said = [a if a in classes else "" for a in answered]
    measure = load_library("sklearn.metrics").precision_recall_fscore_support
    precision, _, _, counts = measure(list(expected), said, labels=classes, zero_division=0)
    found = [sum(e == c == a for e, a in zip(expected, said, strict=True)) for c in classes]
    places = {label: place for place, label in enumerate(classes)}
    f1 = estimate_f1([places[e] for e in expected], [places.get(a, -1) for a in said], len(classes)) if with_f1 else []
    scores = tuple(
        ClassScore(names[c], int(counts[i]), estimate_share(found[i], int(counts[i])), float(precision[i]), f1[i] if f1 else None, c)
        for i, c in enumerate(classes)
    )
    return scores, f1[-1] if f1 else None
