"""Another provider's chunks in, the same chunks out, with something done on the way.

Knows repetition after passing failures (stamina), a cap on calls under way, and what to leave out when a model refuses.
Does not know vendors, files, settings or the notebook.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

from .answers import Chunk, Folder, Provider, Usage
from .errors import ProviderError, UnsupportedError
from .messages import Message, Request

logger = logging.getLogger("tinyllm_magic")
_OPTIONAL = ("tools", "response_format")

LONGEST_WAIT = 60.0  # seconds between two attempts, however the factor grows
LONGEST_RETRY_AFTER = 300.0  # a provider that asks for a longer wait is not waited for


@dataclass(frozen=True)
class Policy:
    """How a failed attempt is repeated: attempts in all, seconds before the second, growth of the waits."""

    attempts: int = 5
    waiting_time: float = 1.0
    factor: float = 2.0


class Retried:
    """A provider that asks again after failures that may pass.

    One layer of retries, run by stamina: none before the first attempt, none after the last,
    ``Retry-After`` honoured up to five minutes, exponential waits with jitter otherwise.
    """

    def __init__(self, provider: Provider, policy: Policy) -> None:
        self.provider, self.policy = provider, policy

    def send(self, request: Request) -> Iterator[Chunk]:
        """Yield the first attempt that succeeds; a ``restart`` chunk stands before each repetition."""
        try:
            yield from self.provider.send(request)
        except ProviderError as error:
            failure = error
        else:
            return
        yield from self._again(request, failure)

    def _again(self, request: Request, failure: ProviderError) -> Iterator[Chunk]:
        """Go on after a first attempt that has failed: stamina is told of it as of every other."""
        import stamina

        _quiet_stamina()
        causes = [failure]
        attempts = stamina.retry_context(
            on=_wait_hook,
            attempts=self.policy.attempts,
            timeout=None,
            wait_initial=self.policy.waiting_time,
            wait_max=LONGEST_WAIT,
            wait_jitter=self.policy.waiting_time / 4,
            wait_exp_base=self.policy.factor,
        )
        try:
            for attempt in attempts:
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
            raise _gave_up(error, causes) from error.__cause__  # the SDK's error, as it stands


def _quiet_stamina() -> None:
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


def _gave_up(error: ProviderError, causes: list[ProviderError]) -> ProviderError:
    """The last error with the history of all attempts in it."""
    error.attempts, error.first, error.last = len(causes), causes[0], causes[-1]
    if len(causes) > 1:
        first = f"; the first failure was: {causes[0].message}" if causes[0].message != error.message else ""
        error.args = (f"gave up after {len(causes)} attempts: {error.message}{first}",)
    wait = getattr(error, "retry_after", None)
    if wait is not None and wait > LONGEST_RETRY_AFTER:
        error.hint = f"The provider asks to wait {wait:.0f} s; try again then, or choose another model with `-m`."
    return error


class Degraded:
    """A provider that asks once more without tools or response format where the model refuses them.

    ``unsupported`` remembers (provider, model, feature), so that the next call leaves it out at once.
    """

    def __init__(self, provider: Provider, unsupported: set[tuple[str, str, str]]) -> None:
        self.provider, self.unsupported = provider, unsupported

    def send(self, request: Request) -> Iterator[Chunk]:
        """Yield the answer; a note says what was left out."""
        notes: list[str] = []
        again = False
        while True:
            for feature in _OPTIONAL:
                if (request.provider, request.model, feature) in self.unsupported and getattr(request, feature):
                    notes.append(_left_out(feature, request))
                    request = _without(request, feature)
            if again:
                yield Chunk(restart=True)
            yield from (Chunk(note=note) for note in notes)
            try:
                yield from self.provider.send(request)
            except UnsupportedError as error:
                again, feature = True, error.feature or ""
                if feature not in _OPTIONAL or not getattr(request, feature):
                    raise
                self.unsupported.add((request.provider, request.model, feature))
                logger.warning("%s (%s)", _left_out(feature, request), error.message)
            else:
                return


def _left_out(feature: str, request: Request) -> str:
    return f"{request.model} does not take {feature.replace('_', ' ')}; asked without"


def _without(request: Request, feature: str) -> Request:
    if feature == "response_format":
        return replace(request, response_format=None)
    params = {k: v for k, v in request.params.items() if k not in ("tool_choice", "parallel_tool_calls")}
    return replace(request, tools=(), params=params)


class Limited:
    """A provider that waits for a free place before it sends."""

    def __init__(self, provider: Provider, slot: Callable[[], AbstractContextManager[Any]]) -> None:
        self.provider, self.slot = provider, slot

    def send(self, request: Request) -> Iterator[Chunk]:
        """Yield the answer, holding the place until it is complete."""
        with self.slot():
            yield from self.provider.send(request)


class Estimated:
    """A provider that counts, marked as an estimate, where the vendor reports no usage."""

    def __init__(self, provider: Provider, estimate: Callable[[tuple[Message, ...], str, str], Usage]) -> None:
        self.provider, self.estimate = provider, estimate

    def send(self, request: Request) -> Iterator[Chunk]:
        """Yield the answer, and at its end the usage where none has come."""
        folder, seen = Folder(), False
        for chunk in self.provider.send(request):
            seen = (seen and not chunk.restart) or chunk.usage is not None
            folder.add(chunk)
            yield chunk
        if not seen and request.kind == "chat":
            yield Chunk(usage=self.estimate(request.messages, folder.text + folder.reasoning, request.model))
