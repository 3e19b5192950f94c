"""Sums up the records of a store: counts, models, dates and cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..responses import Record


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


def summarize(records: Iterable[Record], size: int) -> Stats:
    """The sums of records in a file of ``size`` bytes."""
    models: Counter[str] = Counter()
    dates: list[str] = []
    costs: list[float | None] = []
    tools = 0  # results of tools, which no model has made
    for record in records:
        dates.append(record.created)
        if record.request.get("kind") == "tool":
            tools += 1
            continue
        models[record.answer.model or str(record.request.get("model", ""))] += 1
        costs.append(record.cost)
    known = [c for c in costs if c is not None]
    dates = [d for d in dates if d] or [""]
    return Stats(
        records=len(costs) + tools,
        size=size,
        models=dict(models.most_common()),
        first=min(dates) or None,
        last=max(dates) or None,
        cost=sum(known) if known else None,
        unpriced=len(costs) - len(known),
    )
