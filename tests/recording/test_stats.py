"""The sums of a store."""

from dataclasses import replace

from records import filled, make


def test_stats_count_what_is_there(store):
    assert (store.stats().records, store.stats().cost, store.stats().first) == (0, None, None)
    filled(store, "a")
    store.append(replace(make("b", created="2026-01-01"), cost=None))
    found = store.stats()
    assert (found.records, found.models, found.unpriced) == (2, {"gpt-4o-mini": 2}, 1)
    assert (found.first, found.last, found.cost) == ("2025-11-21T09:00:00.000Z", "2026-01-01", 0.001)
    assert found.size == store.path.stat().st_size
