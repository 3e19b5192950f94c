"""Whether several answers to the same rows agree: between samples, between models, and with labels.

Cohen's kappa of two by statsmodels, Fleiss' kappa of several by statsmodels, Krippendorff's alpha by krippendorff.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import OptionError
from ..extras import load_library
from .intervals import Estimate, bootstrap_rows, estimate_mean
from .wording import count_rows, write_range, write_value

LEVELS = ("nominal", "ordinal", "interval", "ratio")


@dataclass(frozen=True)
class Measure:
    """One measure of agreement; ``estimate`` is ``None`` where it is undefined, as of raters who always say the same."""

    name: str
    estimate: Estimate | None

    def __str__(self) -> str:
        if self.estimate is None:
            return f"{self.name}: undefined, for there is one answer alone"
        is_share = self.name == AGREEMENT
        value = write_value(self.estimate.value, is_share=is_share)
        return f"{self.name} {value}, {write_range(self.estimate.low, self.estimate.high, is_share=is_share)}, n {self.estimate.n:,}"


AGREEMENT = "agreement"
COHEN, FLEISS, KRIPPENDORFF = "Cohen's κ", "Fleiss' κ", "Krippendorff's α"


@dataclass(frozen=True)
class Agreement:
    """How far ``raters`` agree on the same rows; ``disputed`` are the rows on which they do not, with what each said.

    ``measures``: the share of pairs that agree, Cohen's kappa of two raters or Fleiss' of more (over the rows that all of them
    answered), Krippendorff's alpha (over all rows that two answered); each with a 95 % interval. ``alpha`` and ``kappa`` are
    the values alone, ``None`` where undefined.
    """

    raters: tuple[str, ...]
    measures: tuple[Measure, ...]
    disputed: tuple[Mapping[str, Any], ...]
    n: int

    @property
    def kappa(self) -> float | None:
        """Cohen's kappa of two raters, Fleiss' of more."""
        return self._value(COHEN, FLEISS)

    @property
    def alpha(self) -> float | None:
        """Krippendorff's alpha."""
        return self._value(KRIPPENDORFF)

    def _value(self, *names: str) -> float | None:
        estimate = next((m.estimate for m in self.measures if m.name in names), None)
        return None if estimate is None else estimate.value

    def __str__(self) -> str:
        raters = f"{len(self.raters)} raters ({', '.join(self.raters)})"
        return "\n".join([*map(str, self.measures), f"{raters}, {count_rows(len(self.disputed))} of {self.n:,} disputed"])

    __repr__ = __str__


def measure_agreement(
    said: Sequence[Sequence[Any]],
    raters: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    level: str = "nominal",
    spelled: Mapping[Any, Any] | None = None,
) -> Agreement:
    """The agreement of what each rater said of each row (``None``: nothing): labels, or numbers where ``level`` is not nominal.

    ``spelled`` has labels as they are shown.
    """
    shown = spelled or {}
    if level not in LEVELS:
        raise OptionError(f"there is no level {level!r}", option="level", hint=f"Levels are {', '.join(LEVELS)}.")
    if len(raters) < 2:
        hint = "Ask with -n 3 (samples=3), compare models, or name a column of labels: agreement('label')."
        raise OptionError("agreement is between two or more: these are answers of one", option="agreement", hint=hint)
    rated = [(row, list(values)) for row, values in zip(rows, said, strict=True) if sum(v is not None for v in values) > 1]
    if not rated:
        raise OptionError("no row has two answers that could agree", option="agreement")
    numbers = _number([v for _, values in rated for v in values], level)
    coded = [[math.nan if v is None else numbers[v] for v in values] for _, values in rated]
    complete = [row for row in coded if not any(map(math.isnan, row))]
    share = [_agreeing_pairs(row) for row in coded]
    measures = [Measure(AGREEMENT, estimate_mean(share))]
    measures.append(_measure_cohen(complete) if len(raters) == 2 else _measure_fleiss(complete, len(numbers)))
    measures.append(_measure_krippendorff(coded, level, sorted(numbers.values())))
    disputed = [
        {**row, **{rater: shown.get(v, v) for rater, v in zip(raters, values, strict=True)}}
        for (row, values), s in zip(rated, share, strict=True)
        if s < 1
    ]
    return Agreement(tuple(raters), tuple(measures), tuple(disputed), len(rated))


def _number(values: Sequence[Any], level: str) -> dict[Any, float]:
    """What was said as numbers: of names their places, of other levels their own values."""
    found = sorted({v for v in values if v is not None})
    if level == "nominal":
        return {v: float(i) for i, v in enumerate(found)}
    try:
        return {v: float(v) for v in found}
    except (TypeError, ValueError) as error:
        raise OptionError(f"level {level!r} is of numbers: {error}", option="level", hint="Names are nominal.") from None


def _agreeing_pairs(row: Sequence[float]) -> float:
    said = [v for v in row if not math.isnan(v)]
    pairs = [a == b for i, a in enumerate(said) for b in said[:i]]
    return sum(pairs) / len(pairs)


def _measure_cohen(rows: Sequence[Sequence[float]]) -> Measure:
    """With the large-sample interval of J. L. Fleiss, J. Cohen and B. S. Everitt (1969), as statsmodels has it."""
    if not rows or len({v for row in rows for v in row}) < 2:
        return Measure(COHEN, None)
    raters = load_library("statsmodels.stats.inter_rater")
    names = sorted({v for row in rows for v in row})
    table = load_library("sklearn.metrics").confusion_matrix(*zip(*rows, strict=True), labels=names)
    found = raters.cohens_kappa(table)
    return Measure(COHEN, Estimate(float(found.kappa), float(found.kappa_low), min(1.0, float(found.kappa_upp)), len(rows)))


def _measure_fleiss(rows: Sequence[Sequence[float]], classes: int) -> Measure:
    if not rows or classes < 2:
        return Measure(FLEISS, None)
    numpy, raters = load_library("numpy"), load_library("statsmodels.stats.inter_rater")
    table, _ = raters.aggregate_raters(numpy.asarray(rows, dtype=int), n_cat=classes)
    return _estimate_rows(FLEISS, len(rows), lambda places: raters.fleiss_kappa(table[places], method="fleiss"))


def _measure_krippendorff(rows: Sequence[Sequence[float]], level: str, domain: Sequence[float]) -> Measure:
    if len(domain) < 2:
        return Measure(KRIPPENDORFF, None)
    numpy, alpha = load_library("numpy"), load_library("krippendorff").alpha
    data = numpy.asarray(rows, dtype=float).T
    return _estimate_rows(
        KRIPPENDORFF,
        len(rows),
        lambda places: alpha(reliability_data=data[:, places], level_of_measurement=level, value_domain=list(domain)),
    )


def _estimate_rows(name: str, n: int, measure: Callable[[Any], float]) -> Measure:
    """A measure with the bootstrap interval over rows; a resample of which it is undefined counts as the value itself."""
    numpy = load_library("numpy")

    def measure_quietly(places: Any) -> float:
        with numpy.errstate(all="ignore"):
            return float(measure(places))

    value = measure_quietly(numpy.arange(n))
    if math.isnan(value):
        return Measure(name, None)
    if n < 2:
        return Measure(name, Estimate(value, None, None, n))

    def measure_resample(places: Any) -> float:
        found = measure_quietly(places)
        return value if math.isnan(found) else found

    low, high = bootstrap_rows(n, measure_resample)
    return Measure(name, Estimate(value, low, high, n))
