"""Whether one set of answers is better than another on the same rows: paired differences, tests, and the sentence to write.

Right or wrong is tested by McNemar's exact test, scores by a permutation test that flips the signs of the rows' differences.
Several comparisons are corrected by Holm's method. F1 is compared as such, its mean and that of each class, by a test that deals the
answers of each row out anew.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..extras import load_library
from .f1_differences import compare_f1
from .intervals import LEVEL, SEED, Estimate, estimate_mean, estimate_share
from .ratings import RatingResult
from .scores import F1, Score, average_rows
from .wording import count_rows, write_difference, write_probability, write_range

POWER = 0.8
MCNEMAR, PERMUTATION, RANDOMIZATION = "McNemar's exact test", "permutation test", "approximate randomization"
_PERMUTATIONS = 9_999
_MOST_NUMBERS = 4_000_000  # that are permuted at a time
_ROUND = (0.5, 0.3, 0.2, 0.1, 0.05, 0.03, 0.02, 0.01, 0.005, 0.003, 0.002, 0.001)


@dataclass(frozen=True)
class Comparison:
    """``better`` against ``worse`` on the same ``n`` rows: the ``difference`` of their scores with the bounds of its 95 % interval.

    ``p`` is of the test, ``corrected`` the same for all comparisons that were made at once (Holm). ``is_shown`` says whether it is
    below 0.05. ``measure`` says what is compared where that is not the score of each row. ``only_better`` and ``only_worse`` count
    the rows that only one of both has right. Where nothing was shown, ``more_rows`` are those that a difference of ``would_show``
    would take to be shown (with a power of 80 %).
    """

    better: str
    worse: str
    difference: float
    low: float | None
    high: float | None
    n: int
    test: str
    p: float
    corrected: float
    is_share: bool
    only_better: int = 0
    only_worse: int = 0
    more_rows: int | None = None
    would_show: float | None = None
    measure: str = ""

    @property
    def is_shown(self) -> bool:
        """Whether there is a difference beyond chance."""
        return self.corrected < 1 - LEVEL

    @property
    def sentence(self) -> str:
        """What a person may write."""
        scale = 100 if self.is_share else 1
        spread = write_range(self.low, self.high, is_share=self.is_share)
        facts = f"{write_difference(self.difference, is_share=self.is_share)}, {spread}, n {self.n:,}"
        measured = f" in {self.measure}" if self.measure else ""
        if self.is_shown:
            return f"{self.better} is better than {self.worse}{measured}: {facts}"
        more = ""
        if self.more_rows is not None and self.would_show is not None:
            points = f"{scale * self.would_show:.3g}{' points' if self.is_share else ''}"
            more = f"; {self.more_rows:,} more rows would show {points}"
        return f"no difference shown between {self.better} and {self.worse}{measured}: {facts}{more}"

    @property
    def evidence(self) -> str:
        """The test behind the sentence."""
        also = f", {write_probability(self.corrected)} corrected for all comparisons" if self.corrected != self.p else ""
        pairs = f", only {self.better} right in {count_rows(self.only_better)}, only {self.worse} in {self.only_worse:,}"
        return f"{self.test}: {write_probability(self.p)}{also}{pairs if self.test == MCNEMAR else ''}"

    def __str__(self) -> str:
        return f"{self.sentence} ({self.evidence})"

    __repr__ = __str__


@dataclass(frozen=True)
class Verdict:
    """The scores of several sets of answers to the same rows, and the comparison of each with each; a blind rating where there is one.

    With the metric F1, ``classes`` has the comparisons in each class, corrected for their own number.
    """

    scores: tuple[Score, ...]
    comparisons: tuple[Comparison, ...]
    rating: RatingResult | None = None
    classes: tuple[Comparison, ...] = ()

    @property
    def best(self) -> Score:
        """The highest score; that it is higher than another need not be shown."""
        return max(self.scores, key=lambda s: s.value)

    @property
    def sentences(self) -> tuple[str, ...]:
        """What a person may write."""
        return (*(c.sentence for c in self.comparisons), *([self.rating.sentence] if self.rating else []))

    def __str__(self) -> str:
        return "\n".join(
            [*map(str, (*self.comparisons, *self.classes)), *([str(self.rating)] if self.rating else []), *map(str, self.scores)]
        )

    __repr__ = __str__


def compare_scores(scores: Sequence[Score], rating: RatingResult | None = None) -> Verdict:
    """Each score against each other one, on the rows that all of them have."""
    pairs = list(itertools.combinations(scores, 2))
    if all(score.metric == F1 for score in scores):
        compared = [_compare_f1(*pair) for pair in pairs]
        classes = [c for *by_class, _ in compared for c in by_class]
        return Verdict(tuple(scores), tuple(correct([mean for *_, mean in compared])), rating, tuple(correct(classes)))
    return Verdict(tuple(scores), tuple(correct([_compare_two(*pair) for pair in pairs])), rating)


def _compare_f1(first: Score, second: Score) -> list[Comparison]:
    """The comparisons of two sets of answers in the F1 of each class and, last, in macro F1; whichever is higher stands first."""
    classes = {c.label: place for place, c in enumerate(first.classes)}
    rows = list(_pair_labels(first, second))
    expected, one, other = ([classes.get(label or "", -1) for label in column] for column in zip(*rows, strict=True))
    found = []
    for name, difference in zip(
        [*(f"F1 of {c.name}" for c in first.classes), F1], compare_f1(expected, one, other, len(classes)), strict=True
    ):
        value, low, high = difference.estimate.value, difference.estimate.low or 0.0, difference.estimate.high or 0.0
        better, worse = (first, second) if value > 0 else (second, first)
        bounds = (low, high) if value > 0 else (-high, -low)
        facts = (abs(value), *bounds, len(rows), RANDOMIZATION, difference.p, difference.p)
        found.append(Comparison(better.label, worse.label, *facts, is_share=True, measure=name))
    return found


def _pair_labels(first: Score, second: Score) -> Iterator[tuple[str, str | None, str | None]]:
    """What was expected of each row that both have, and what either answered; of several samples the first is set against the first."""
    one, other = _group_labels(first), _group_labels(second)
    for place, labels in one.items():
        for (expected, said), (_, also) in zip(labels, other.get(place, ()), strict=False):
            yield expected, said, also


def _group_labels(score: Score) -> dict[int, list[tuple[str, str | None]]]:
    grouped: dict[int, list[tuple[str, str | None]]] = {}
    for place, expected, said in score.labels:
        grouped.setdefault(place, []).append((expected, said))
    return grouped


def correct(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Comparisons with their p values corrected for being several, by Holm's method."""
    if len(comparisons) < 2:
        return list(comparisons)
    corrected = load_library("statsmodels.stats.multitest").multipletests([c.p for c in comparisons], method="holm")[1]
    return [replace(c, corrected=float(p)) for c, p in zip(comparisons, corrected, strict=True)]


def _compare_two(first: Score, second: Score) -> Comparison:
    """The paired comparison of two scores; whichever is higher stands first, of two that are equal the second."""
    one, other = average_rows(first.rows), average_rows(second.rows)
    places = [place for place in one if place in other]
    better, worse = (first, second) if sum(one[p] for p in places) > sum(other[p] for p in places) else (second, first)
    high, low = (one, other) if better is first else (other, one)
    return compare_values([high[p] for p in places], [low[p] for p in places], better.label, worse.label, is_share=first.is_share)


def compare_values(better: Sequence[float], worse: Sequence[float], name: str, other: str, *, is_share: bool) -> Comparison:
    """The comparison of two values for each row; the first are taken to be the higher ones."""
    differences = [a - b for a, b in zip(better, worse, strict=True)]
    if all(v in (0.0, 1.0) for v in (*better, *worse)):
        only_better, only_worse = differences.count(1.0), differences.count(-1.0)
        both = sum(a == b == 1.0 for a, b in zip(better, worse, strict=True))
        neither = len(differences) - both - only_better - only_worse
        difference = estimate_paired_shares(both, only_better, only_worse, neither)
        table = [[both, only_better], [only_worse, neither]]
        p = min(1.0, float(load_library("statsmodels.stats.contingency_tables").mcnemar(table, exact=True).pvalue))
        test = MCNEMAR
    else:
        only_better = only_worse = 0
        difference, p, test = estimate_mean(differences), measure_chance(differences), PERMUTATION
    found = Comparison(
        name, other, difference.value, difference.low, difference.high, difference.n, test, p, p, is_share, only_better, only_worse
    )
    more, shows = plan_rows(differences)
    return found if found.is_shown else replace(found, more_rows=more, would_show=shows)


def estimate_paired_shares(both: int, only_first: int, only_second: int, neither: int) -> Estimate:
    """The difference of two shares of the same rows, and its 95 % interval.

    Newcombe's square-and-add interval: Wilson's intervals of both shares, put together with the correlation of the pairs
    (R. G. Newcombe, Statistics in Medicine 17 (1998), 2635-2650, method 10; recommended by M. W. Fagerland, S. Lydersen and
    P. Laake, Statistical Analysis of Contingency Tables, 2017, chapter 8).
    """
    n = both + only_first + only_second + neither
    first, second = estimate_share(both + only_first, n), estimate_share(both + only_second, n)
    sums = (both + only_first) * (only_second + neither) * (both + only_second) * (only_first + neither)
    excess = both * neither - only_first * only_second
    phi = 0.0 if not sums else (max(excess - n / 2, 0) if excess > 0 else excess) / math.sqrt(sums)
    difference = first.value - second.value
    below, above = _reach(first), _reach(second)
    low = math.sqrt(below[0] ** 2 - 2 * phi * below[0] * above[1] + above[1] ** 2)
    high = math.sqrt(above[0] ** 2 - 2 * phi * above[0] * below[1] + below[1] ** 2)
    return Estimate(difference, difference - low, difference + high, n)


def _reach(share: Any) -> tuple[float, float]:
    """How far an interval goes below and above its value."""
    return share.value - share.low, share.high - share.value


def measure_chance(differences: Sequence[float]) -> float:
    """The two-sided p value of the rows' mean difference, were its sign at each row a matter of chance."""
    numpy, stats = load_library("numpy"), load_library("scipy.stats")
    if not any(differences):
        return 1.0
    found = stats.permutation_test(
        (numpy.asarray(differences),),
        numpy.mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=_PERMUTATIONS,
        batch=max(1, _MOST_NUMBERS // len(differences)),
        rng=numpy.random.default_rng(SEED),
    )
    return float(found.pvalue)


def plan_rows(differences: Sequence[float]) -> tuple[int | None, float | None]:
    """How many more rows would show the next round difference that these are too few for, and that difference.

    By the power of a paired t test (two-sided, 5 %, power 80 %) with the spread of these rows. ``None`` where they do not differ at all.
    """
    numpy, power = load_library("numpy"), load_library("statsmodels.stats.power").TTestPower()
    n = len(differences)
    spread = float(numpy.std(differences, ddof=1)) if n > 1 else 0.0
    if not spread:
        return None, None
    shown_now = spread * power.solve_power(nobs=n, alpha=1 - LEVEL, power=POWER)
    target = next((size for size in _ROUND if size <= 0.8 * shown_now), None)
    if target is None:
        return None, None
    needed = power.solve_power(effect_size=target / spread, alpha=1 - LEVEL, power=POWER)
    more = math.ceil(float(numpy.ravel(needed)[0])) - n
    step = 10 ** max(0, len(str(more)) - 2)  # two digits: it is a plan
    return math.ceil(more / step) * step, target
