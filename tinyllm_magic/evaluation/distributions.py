"""Whether two sets of answers to one question come from the same distribution: a permutation test of their words, by scipy."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from ..extras import load_library
from .intervals import SEED

_PERMUTATIONS = 9_999
_MOST_NUMBERS = 4_000_000  # that are looked at together, which bounds the memory
_WORDS = re.compile(r"\w+|[^\w\s]")


def compare_distributions(before: Sequence[str], after: Sequence[str]) -> float:
    """The p value of the hypothesis that both sets of texts come from one distribution.

    The statistic is the energy distance (G. J. Székely and M. L. Rizzo, InterStat, November 2004), of texts that lie as far apart as the
    share of their words that are not in common (1 less the weighted Jaccard index, 0 to 1): of labels of one word it counts how often
    each is said. Its distribution is that over all ways to deal the texts out, or over 9,999 random ones where there are more.
    """
    numpy, stats = load_library("numpy"), load_library("scipy.stats")
    counted = [Counter(_WORDS.findall(text)) for text in (*before, *after)]
    apart = numpy.array([[_measure_distance(one, other) for other in counted] for one in counted])

    def statistic(first: Any, second: Any, axis: int = -1) -> Any:
        del axis  # scipy hands over the last one
        first, second = first.astype(int), second.astype(int)
        between, within = _average(apart, first, second), _average(apart, first, first) + _average(apart, second, second)
        return 2 * between - within

    found = stats.permutation_test(
        (numpy.arange(len(before)), numpy.arange(len(before), len(counted))),
        statistic,
        permutation_type="independent",
        alternative="greater",
        vectorized=True,
        n_resamples=_PERMUTATIONS,
        batch=max(1, _MOST_NUMBERS // len(counted) ** 2),
        rng=numpy.random.default_rng(SEED),
    )
    return float(found.pvalue)


def smallest_p(before: int, after: int) -> float:
    """The smallest p value that so many texts can give: of two sets that are as large, either may be dealt first.

    >>> smallest_p(4, 4), smallest_p(1, 19)
    (0.02857142857142857, 0.05)
    """
    return (2 if before == after else 1) / math.comb(before + after, before)


def correct_probabilities(values: Sequence[float]) -> list[float]:
    """The p values of several tests, corrected so that of what they show one in twenty is chance (Y. Benjamini and Y. Hochberg, 1995)."""
    if len(values) < 2:
        return list(values)
    return [float(p) for p in load_library("scipy.stats").false_discovery_control(list(values), method="bh")]


def _average(apart: Any, first: Any, second: Any) -> Any:
    """The mean distance between the texts of these two sets, of many deals at once."""
    return apart[first[..., :, None], second[..., None, :]].mean(axis=(-2, -1))


def _measure_distance(one: Counter[str], other: Counter[str]) -> float:
    union = (one | other).total()
    return 1 - (one & other).total() / union if union else 0.0
