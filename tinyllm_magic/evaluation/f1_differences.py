"""How far two sets of answers to the same rows lie apart in F1, of each class and on average: differences, intervals, p values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..extras import load_library
from .intervals import SEED, Estimate, bootstrap, measure_f1

_PERMUTATIONS = 9_999
_MOST_NUMBERS = 4_000_000  # that are permuted at a time


@dataclass(frozen=True)
class Difference:
    """The F1 of the first answers less that of the second, with its 95 % interval, and the p value of none."""

    estimate: Estimate
    p: float


def compare_f1(expected: Sequence[int], first: Sequence[int], second: Sequence[int], classes: int) -> list[Difference]:
    """The difference in F1 of each class and, last, in their mean (macro F1).

    Intervals are those of a bootstrap over rows, both answers of a row together. The test is approximate randomization: at each row it
    is a matter of chance which answer is whose (A. Yeh, COLING 2000). Classes are numbered from 0; another number is of no class.
    """
    numpy, stats = load_library("numpy"), load_library("scipy.stats")
    data = tuple(numpy.asarray(values) for values in (expected, first, second))

    def measure(truth: Any, one: Any, other: Any, axis: int = -1) -> Any:
        return measure_f1(numpy, truth, one, classes, axis) - measure_f1(numpy, truth, other, classes, axis)

    values = measure(*data)
    bounds = bootstrap(data, measure)
    found = []
    for number, (value, low, high) in enumerate(zip(values, *bounds, strict=True)):
        estimate = Estimate(float(value), float(low), float(high), len(expected))
        test = stats.permutation_test(
            data[1:],
            lambda one, other, axis, number=number: measure(data[0], one, other, axis)[number],
            permutation_type="samples",
            vectorized=True,
            n_resamples=_PERMUTATIONS,
            batch=max(1, _MOST_NUMBERS // (len(expected) * (classes + 1))),
            rng=numpy.random.default_rng(SEED),
        )
        found.append(Difference(estimate, float(test.pvalue)))
    return found
