"""Estimates with their 95 % intervals: a share, a mean, F1 by class; by statsmodels and scipy, seeded, so that a replay says the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..extras import load_library

LEVEL = 0.95
SEED = 20_240
RESAMPLES = 2_000
_MOST_NUMBERS = 4_000_000  # that are resampled at a time, which bounds the memory


@dataclass(frozen=True)
class Estimate:
    """A value, the bounds of its 95 % interval (``None`` where so few rows give none), and of how many rows."""

    value: float
    low: float | None
    high: float | None
    n: int


def estimate_share(count: int, n: int) -> Estimate:
    """The share of ``count`` among ``n``, with Wilson's score interval (E. B. Wilson, 1927)."""
    low, high = load_library("statsmodels.stats.proportion").proportion_confint(count, n, alpha=1 - LEVEL, method="wilson")
    return Estimate(count / n, max(0.0, float(low)), min(1.0, float(high)), n)


def estimate_mean(values: Sequence[float]) -> Estimate:
    """The mean of a value for each row, with Student's t interval; none for a single row."""
    numpy, stats = load_library("numpy"), load_library("scipy.stats")
    found = numpy.asarray(values, dtype=float)
    mean = float(found.mean())
    if len(found) < 2:
        return Estimate(mean, None, None, len(found))
    if numpy.ptp(found) == 0:
        return Estimate(mean, mean, mean, len(found))
    low, high = stats.t.interval(LEVEL, len(found) - 1, loc=mean, scale=stats.sem(found))
    return Estimate(mean, float(low), float(high), len(found))


def estimate_rows(values: Sequence[float]) -> Estimate:
    """What rows come to: a share where each is right (1) or wrong (0), else a mean."""
    if all(value in (0.0, 1.0) for value in values):
        return estimate_share(int(sum(values)), len(values))
    return estimate_mean(values)


def estimate_f1(expected: Sequence[int], answered: Sequence[int], classes: int) -> list[Estimate]:
    """F1 of each class and, last, their mean (macro F1), with bootstrap intervals over rows (percentiles of 2,000 resamples).

    Classes are numbered from 0; an answer of another number is of no class.
    """
    numpy = load_library("numpy")
    pair = numpy.asarray(expected), numpy.asarray(answered)

    def measure(truth: Any, said: Any, axis: int = -1) -> Any:
        return measure_f1(numpy, truth, said, classes, axis)

    values = measure(*pair)
    bounds = bootstrap(pair, measure)
    return [Estimate(float(v), float(low), float(high), len(pair[0])) for v, low, high in zip(values, *bounds, strict=True)]


def measure_f1(numpy: Any, truth: Any, said: Any, classes: int, axis: int) -> Any:
    """F1 of each class and their mean along the first axis, of many resamples at once: 2 TP / (2 TP + FP + FN)."""
    found = []
    for number in range(classes):
        is_true, is_said = truth == number, said == number
        total = is_true.sum(axis=axis) + is_said.sum(axis=axis)
        found.append(2 * (is_true & is_said).sum(axis=axis) / numpy.maximum(total, 1))
    return numpy.stack([*found, numpy.mean(found, axis=0)])


def bootstrap(data: tuple[Any, ...], statistic: Callable[..., Any]) -> tuple[Any, Any]:
    """Bounds of a statistic over paired samples."""
    numpy, stats = load_library("numpy"), load_library("scipy.stats")
    found = stats.bootstrap(
        data,
        statistic,
        n_resamples=RESAMPLES,
        batch=max(1, _MOST_NUMBERS // len(data[0])),
        vectorized=True,
        paired=True,
        confidence_level=LEVEL,
        method="percentile",
        rng=numpy.random.default_rng(SEED),
    )
    return found.confidence_interval.low, found.confidence_interval.high


def bootstrap_rows(n: int, measure: Callable[[Any], float], resamples: int = RESAMPLES // 2) -> tuple[float, float]:
    """Bounds of anything that is measured on rows, which ``measure`` takes by their places."""
    numpy, stats = load_library("numpy"), load_library("scipy.stats")
    found = stats.bootstrap(
        (numpy.arange(n),),
        measure,
        n_resamples=resamples,
        vectorized=False,
        confidence_level=LEVEL,
        method="percentile",
        rng=numpy.random.default_rng(SEED),
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)
