"""Keeps the calls that are under way: no more than a window of them, each with the rows that ask the same."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import CancelledError
from queue import Empty

from ..clients.prepared import PreparedCall
from .executors import Event, Outcome, Pool

REST = 0.01  # seconds; each outcome on its own would wake this thread, which costs the workers' time


class CallQueue:
    """Calls by the place of their row, handed to a pool; at most ``width`` of them wait for an answer."""

    def __init__(self, pool: Pool, width: int) -> None:
        self._pool, self._width = pool, width
        self._calls: dict[int, PreparedCall] = {}

    def __len__(self) -> int:
        return len(self._calls)

    def __contains__(self, place: int) -> bool:
        return place in self._calls

    @property
    def is_full(self) -> bool:
        """Whether no further call may be begun before one has ended."""
        return len(self._calls) >= self._width

    def submit(self, place: int, prepared: PreparedCall) -> None:
        """Have a call made."""
        self._calls[place] = prepared
        self._pool.submit(place, prepared)

    def rest(self) -> None:
        """Leave the processor to the workers: they have calls enough waiting, and outcomes can pile up for a moment."""
        if len(self._calls) - self._pool.events.qsize() > self._width // 2:
            time.sleep(REST)

    def collect(self, timeout: float) -> list[Event]:
        """The outcomes that have come; none where none comes for ``timeout`` seconds. Each stays under way until it is ``finish``-ed."""
        try:
            outcomes = [self._pool.events.get(timeout=timeout)]
        except Empty:
            return []
        return outcomes + [self._pool.events.get() for _ in range(self._pool.events.qsize())]

    def call(self, place: int) -> PreparedCall:
        """The call of a row that is under way."""
        return self._calls[place]

    def finish(self, place: int) -> None:
        """Nothing is to be done any more about the call of this row."""
        del self._calls[place]

    def put_back(self, outcomes: list[Event]) -> None:
        """Keep outcomes that were collected and not finished for ``drain``."""
        for place, outcome in outcomes:
            if place in self._calls:
                self._pool.events.put((place, outcome))

    def stop(self) -> None:
        """Begin no further call."""
        self._pool.stop()

    def drain(self) -> Iterator[tuple[int, Outcome, PreparedCall | None]]:
        """What has come in by now, each with its call; what was cancelled, or would be asked once more, is left out."""
        while not self._pool.events.empty():
            place, outcome = self._pool.events.get()
            prepared = self._calls.pop(place, None)
            if not isinstance(outcome, (CancelledError, PreparedCall)):
                yield place, outcome, prepared


class Duplicates:
    """Rows that wait for the answer of an earlier one that asks the same."""

    def __init__(self) -> None:
        self._waiting: dict[int, list[int]] = defaultdict(list)

    def add(self, place: int, first: int) -> None:
        """Let a row wait for an earlier one."""
        self._waiting[first].append(place)

    def release(self, first: int) -> list[int]:
        """The rows that waited for this one."""
        return self._waiting.pop(first, [])
