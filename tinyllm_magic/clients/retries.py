"""Repeats a call after failures that may pass, run by stamina: ``Retries`` of a provider's answers, ``repeat`` of anything else."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from ..errors import ProviderError
from ..messages import Request
from ..responses import Chunk, Provider
from ..settings.retry_policy import LONGEST_RETRY_AFTER, LONGEST_WAIT, RetryPolicy

logger = logging.getLogger("tinyllm_magic")
_Result = TypeVar("_Result")


class Retries:
    """A provider that asks again after failures that may pass.

    One layer of retries, run by stamina: none before the first attempt, none after the last,
    ``Retry-After`` honoured up to five minutes, exponential waits with jitter otherwise.
    """

    def __init__(self, provider: Provider, policy: RetryPolicy) -> None:
        self.provider, self.policy = provider, policy

    def send(self, request: Request) -> Iterator[Chunk]:
        """Yield the first attempt that succeeds; a ``restart`` chunk stands before each repetition."""
        try:
            yield from self.provider.send(request)
        except ProviderError as error:
            failure = error
        else:
            return
        yield from self._repeat(request, failure)

    def _repeat(self, request: Request, failure: ProviderError) -> Iterator[Chunk]:
        """Go on after a first attempt that has failed: stamina is told of it as of every other."""
        causes = [failure]
        try:
            for attempt in _make_attempts(self.policy):
                with attempt:
                    if attempt.num == 1:
                        raise failure
                    yield Chunk(restart=True)
                    try:
                        yield from self.provider.send(request)
                    except ProviderError as error:
                        causes.append(error)
                        raise
        except ProviderError as error:
            raise _add_history(error, causes) from error.__cause__  # the SDK's error, as it stands


def repeat(policy: RetryPolicy, call: Callable[[], _Result]) -> _Result:
    """What a call returns that is made again after failures that may pass; waits as ``Retries`` does."""
    causes: list[ProviderError] = []
    try:
        for attempt in _make_attempts(policy):
            with attempt:
                try:
                    return call()
                except ProviderError as error:
                    causes.append(error)
                    raise
    except ProviderError as error:
        raise _add_history(error, causes) from error.__cause__
    raise RuntimeError("no attempt was made")


def _make_attempts(policy: RetryPolicy) -> Any:
    """The attempts of one call, for stamina's way of looping over them."""
    import stamina

    _silence_stamina()
    return stamina.retry_context(
        on=_wait_hook,
        attempts=policy.attempts,
        timeout=None,
        wait_initial=policy.waiting_time,
        wait_max=LONGEST_WAIT,
        wait_jitter=policy.waiting_time / 4,
        wait_exp_base=policy.factor,
    )


def _silence_stamina() -> None:
    """Keep Python's handler of last resort from printing retries into the cell.

    stamina's hooks stay the user's: where structlog is installed, stamina hands retries to it, as it is configured.
    """
    logger = logging.getLogger("stamina")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())


def _wait_hook(error: Exception) -> bool | float:
    """For stamina: whether to try again, or the seconds that the provider asks for."""
    if not isinstance(error, ProviderError) or not error.retryable:
        return False
    wait = getattr(error, "retry_after", None)
    if wait is None:
        return True
    return float(wait) if wait <= LONGEST_RETRY_AFTER else False


def _add_history(error: ProviderError, causes: list[ProviderError]) -> ProviderError:
    """The last error with the history of all attempts in it."""
    error.attempts, error.first, error.last = len(causes), causes[0], causes[-1]
    if len(causes) > 1:
        first = f"; the first failure was: {causes[0].message}" if causes[0].message != error.message else ""
        error.args = (f"gave up after {len(causes)} attempts: {error.message}{first}",)
    wait = getattr(error, "retry_after", None)
    if wait is not None and wait > LONGEST_RETRY_AFTER:
        error.hint = f"The provider asks to wait {wait:.0f} s; try again then, or choose another model with `-m`."
    return error
