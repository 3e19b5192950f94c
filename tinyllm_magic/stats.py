"""Records in, what they sum to out: ``Stats``.

Knows models, dates and costs of records.
Does not know files, keys or how a sum is shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .answers import Record


@dataclass(frozen=True, slots=True)
class Stats:
    """What a store holds: ``size`` in bytes, records by model, first and last date (UTC, ISO 8601), recorded cost in US dollars.

    ``cost`` is ``None`` where no record knows its price; ``unpriced`` counts the records that do not.
    """

    records: int
    size: int
    models: Mapping[str, int]
    first: str | None
    last: str | None
    cost: float | None
    unpriced: int


def stats(records: Iterable[Record], size: int) -> Stats:
    """The sums of records in a file of ``size`` bytes."""
    models: Counter[str] = Counter()
    dates: list[str] = []
    costs: list[float | None] = []
    for record in records:
        models[record.answer.model or str(record.request.get("model", ""))] += 1
        dates.append(record.created)
        costs.append(record.cost)
    known = [c for c in costs if c is not None]
    dates = [d for d in dates if d] or [""]
    return Stats(
        records=len(costs),
        size=size,
        models=dict(models.most_common()),
        first=min(dates) or None,
        last=max(dates) or None,
        cost=sum(known) if known else None,
        unpriced=len(costs) - len(known),
    )
