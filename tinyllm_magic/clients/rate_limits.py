"""Limits how many calls are under way (``ConcurrencyLimit``), and makes a pool wait after a rate limit (``RateLimiter``)."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import AbstractContextManager, contextmanager

from ..errors import RateLimitError
from ..messages import Request
from ..recording.single_flight import Holder
from ..responses import Chunk, Provider
from ..settings.retry_policy import LONGEST_RETRY_AFTER, LONGEST_WAIT, RetryPolicy


class ConcurrencyGate:
    """The places of MAX_CONCURRENT_MODEL_CALLS: all calls that are made under a cap share them."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._holders: list[Holder] = []

    @contextmanager
    def place(self, cap: int | None) -> Iterator[Holder]:
        """A place, held while the context lasts and its answer is read; no cap where that is unset."""
        holder = Holder()
        if cap is None:
            yield holder
            return
        with self._changed:
            while sum(not h.is_abandoned for h in self._holders) >= cap:
                self._changed.wait(_LOOK)
            self._holders.append(holder)
        try:
            yield holder
        finally:
            with self._changed:
                self._holders.remove(holder)
                self._changed.notify_all()


class ConcurrencyLimit:
    """A provider that waits for a free place before it sends."""

    def __init__(self, provider: Provider, place: Callable[[], AbstractContextManager[Holder]]) -> None:
        self.provider, self.place = provider, place

    def send(self, request: Request) -> Iterator[Chunk]:
        """Yield the answer, holding the place until it is complete."""
        with self.place() as holder:
            yield from holder.hand(self.provider.send(request))


_LOOK = 0.2  # seconds between two looks at whether a place was abandoned
_SLOWER = 0.75  # after a rate limit this share of the places stays; each success gives one back


class RateLimiter:
    """Paces one pool: after a rate limit everybody waits, and fewer go on at a time.

    ``width`` is the most calls at a time. A 429 to a call that was let through before the present
    pause began belongs to that pause: a burst of them is one event. ``stop`` lets nobody through any more.
    """

    def __init__(self, width: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.width = width
        self._clock = clock
        self._changed = threading.Condition()
        self._places = float(width)
        self._inside = 0
        self._open_at = 0.0
        self._pauses = 0
        self._fruitless = 0
        self.stopped = threading.Event()

    def enter(self) -> int:
        """Wait until the pool may send; returns a ticket. Raises ``CancelledError`` where the pool was stopped."""
        with self._changed:
            while not self.stopped.is_set():
                wait = self._open_at - self._clock()
                if wait <= 0 and self._inside < max(1, int(self._places)):
                    self._inside += 1
                    return self._pauses
                self._changed.wait(wait if wait > 0 else None)
        raise CancelledError

    def leave(self, *, answered: bool) -> None:
        """A call has ended."""
        with self._changed:
            self._inside -= 1
            if answered:
                self._fruitless = 0
                self._places = min(float(self.width), self._places + 1)
            self._changed.notify_all() if self._places < self.width else self._changed.notify()

    def slow_down(self, ticket: int, error: RateLimitError, policy: RetryPolicy) -> bool:
        """Make the pool wait; ``False`` where the call should give up: too long a wait, or too many without any success."""
        with self._changed:
            if error.retry_after is not None and error.retry_after > LONGEST_RETRY_AFTER:
                return False
            if ticket == self._pauses:
                self._pauses += 1
                self._fruitless += 1
                self._places = max(1.0, self._places * _SLOWER)
                grown = policy.waiting_time * policy.factor ** min(self._fruitless - 1, policy.attempts)
                wait = error.retry_after if error.retry_after is not None else min(grown, LONGEST_WAIT) * random.uniform(1, 1.25)  # noqa: S311  # no secret
                self._open_at = max(self._open_at, self._clock() + wait)
            return self._fruitless < policy.attempts

    def stop(self) -> None:
        """Let nobody through any more."""
        with self._changed:
            self.stopped.set()
            self._changed.notify_all()


class RateLimited:
    """A provider in a pool: it waits for its limiter, and asks again after a rate limit.

    Rate limits do not use up a row's own attempts. One gives up where the whole pool had no success
    in as many pauses as there are attempts, and where a row alone was refused about twice as often.
    """

    def __init__(self, provider: Provider, limiter: RateLimiter, policy: RetryPolicy) -> None:
        self.provider, self.limiter, self.policy = provider, limiter, policy

    def send(self, request: Request) -> Iterator[Chunk]:
        """Yield the answer; hang up with ``CancelledError`` once the pool is stopped, unless it is complete."""
        for attempt in range(1, 2 * self.policy.attempts):
            ticket, answered = self.limiter.enter(), False
            try:
                for chunk in self.provider.send(request):
                    if self.limiter.stopped.is_set() and not chunk.is_last:
                        raise CancelledError
                    yield chunk
                answered = True
            except RateLimitError as error:
                if not self.limiter.slow_down(ticket, error, self.policy) or attempt == 2 * self.policy.attempts - 1:
                    error.retryable = False  # the pool has waited enough: the row's own repetitions would not help
                    raise
            finally:
                self.limiter.leave(answered=answered)
            if answered:
                return
            yield Chunk(restart=True)
