"""The shared pace of a pool of calls."""

from functools import partial

from records import ask, finish, in_threads

from tinyllm_magic.clients.rate_limits import ConcurrencyGate, ConcurrencyLimit, RateLimiter
from tinyllm_magic.errors import (
    RateLimitError,
)
from tinyllm_magic.providers.echo import EchoProvider
from tinyllm_magic.recording import single_flight
from tinyllm_magic.settings.retry_policy import RetryPolicy


def limited(after=None):
    return RateLimitError("slow down", retry_after=after)


def test_a_burst_of_rate_limits_is_one_pause():
    now = [0.0]
    limiter = RateLimiter(4, clock=lambda: now[0])
    tickets = [limiter.enter() for _ in range(4)]

    assert all(limiter.slow_down(t, limited(5), RetryPolicy()) for t in tickets)

    assert limiter._open_at == 5
    assert limiter._pauses == 1


def test_the_whole_pool_waits_and_is_let_through_again():
    limiter = RateLimiter(2)
    ticket = limiter.enter()
    limiter.slow_down(ticket, limited(0.05), RetryPolicy())
    limiter.leave(answered=False)
    began = limiter._clock()

    limiter.enter()

    assert limiter._clock() >= began + 0.04


def test_a_pool_without_any_success_gives_up():
    limiter, policy = RateLimiter(1), RetryPolicy(attempts=2, waiting_time=0)

    assert limiter.slow_down(limiter.enter(), limited(), policy)
    limiter.leave(answered=False)
    assert not limiter.slow_down(limiter.enter(), limited(), policy)


def test_a_wait_that_is_too_long_is_not_waited_for():
    limiter = RateLimiter(1)

    assert not limiter.slow_down(limiter.enter(), limited(3600), RetryPolicy())


def streams(count, cap, gate):
    return [ConcurrencyLimit(EchoProvider(["one two"]), partial(gate.place, cap)).send(ask()) for _ in range(count)]


def test_a_stream_that_is_read_no_further_gives_its_place_to_the_next_call_of_its_thread():
    kept, other = streams(2, 1, ConcurrencyGate())
    next(kept)
    assert "".join(c.text or "" for c in other) == "one two"
    assert "".join(c.text or "" for c in kept) == "two"


def test_a_stream_that_is_read_no_further_gives_its_place_to_other_threads_in_the_end(monkeypatch):
    monkeypatch.setattr(single_flight, "PATIENCE", 0)
    kept, other = streams(2, 1, ConcurrencyGate())
    next(kept)
    threads, results = in_threads(1, lambda _: "".join(c.text or "" for c in other))
    finish(threads)
    assert results == ["one two"]


def test_a_place_is_free_again_when_an_answer_is_complete_or_given_up():
    gate = ConcurrencyGate()
    first, second, third = streams(3, 1, gate)
    assert len(list(first)) == 3
    next(second)
    second.close()
    next(third)
    assert len(gate._holders) == 1
