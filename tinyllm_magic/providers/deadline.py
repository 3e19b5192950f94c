"""Bounds one attempt as a whole: its time, however slowly its bytes come in, and the size of its answer.

The HTTP library knows only a limit for each single read, and asks for it once for all the reads of a body or of
headers (https://www.encode.io/httpcore/extensions/#timeout), so an answer that drips never ends. Its connections go
through a network backend (https://www.encode.io/httpcore/network-backends/): ours gives every read and write what is
left of the attempt that is under way in its thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, TypeVar

from ..errors import AnswerTooLargeError, CallTimeoutError

MAX_ANSWER_BYTES = 64 * 2**20
_SHORTEST = 0.001  # a socket takes a limit of 0 for "do not wait"
_SLICE = 2**16  # bytes that are written before the clock is looked at again
_END: Any = object()
_Item = TypeVar("_Item")


class Attempt:
    """One request on its way: until when and how large its answer may be, and the response to close when it is over.

    ``seconds`` bounds the whole attempt, ``None`` is no bound; ``max_bytes`` bounds the answer, unpacked.
    """

    def __init__(self, seconds: float | None, max_bytes: int = MAX_ANSWER_BYTES) -> None:
        self.seconds = seconds
        self.response: Any = None
        self._end = None if seconds is None else time.monotonic() + seconds
        self.max_bytes = max_bytes

    def postpone(self, seconds: float) -> None:
        """Move the deadline: importing the SDK and making its client is no waiting for an answer."""
        if self._end is not None:
            self._end += seconds

    @property
    def expired(self) -> bool:
        """Whether the deadline has passed."""
        return self._end is not None and time.monotonic() >= self._end

    def check(self) -> None:
        """Raise ``CallTimeoutError`` once the deadline has passed."""
        if self.expired:
            raise CallTimeoutError(f"no complete answer within {self.seconds:g} s")

    def left(self, otherwise: float | None) -> float | None:
        """Seconds until the deadline, ``otherwise`` where there is none; raises ``CallTimeoutError`` once it has passed."""
        if self._end is None:
            return otherwise
        left = self._end - time.monotonic()
        if left <= 0:
            self.check()
        return max(left, _SHORTEST)

    def run(self, items: Iterator[_Item]) -> Iterator[_Item]:
        """The items, each of them made under this attempt's limits; between them other attempts may run in this thread."""
        while True:
            token = current_attempt.set(self)
            try:
                item = next(items, _END)
            finally:
                current_attempt.reset(token)
            if item is _END:
                return
            yield item

    def observe(self, response: Any) -> None:
        """Take note of the response whose headers have come, and count the bytes of its body from now on."""
        self.response = response
        unbounded = type(response).iter_bytes

        def iter_bytes(chunk_size: int | None = None) -> Iterator[bytes]:
            size = 0
            for part in unbounded(response, chunk_size):
                size += len(part)
                self.check_size(size)
                yield part

        response.iter_bytes = iter_bytes

    def check_size(self, size: int) -> None:
        """Raise ``AnswerTooLargeError`` where an answer of ``size`` bytes is more than this attempt may read."""
        if size > self.max_bytes:
            raise AnswerTooLargeError(f"the answer is larger than MAX_ANSWER_BYTES ({self.max_bytes:,} bytes)")

    def close(self) -> None:
        """Hang up where the answer was not read to its end: the provider stops billing."""
        response, self.response = self.response, None
        if response is not None:
            vars(response).pop("iter_bytes", None)  # the circle that would keep all of this for the garbage collector
            response.close()


current_attempt: ContextVar[Attempt | None] = ContextVar("tinyllm_magic_attempt", default=None)
"""The attempt whose bytes are being waited for in this thread."""


def apply_limits(http: Any) -> None:
    """Let the attempts that are under way bound what an HTTP client (httpx2 or httpx) reads and writes; once is enough."""
    hooks = http.event_hooks
    if _observe in hooks["response"]:
        return
    http.event_hooks = {**hooks, "response": [_observe, *hooks["response"]]}
    for transport in (http._transport, *http._mounts.values()):  # noqa: SLF001  # there is no public way to a backend; a test guards it
        for one in getattr(transport, "transports", (transport,)):
            pool: Any = getattr(one, "_pool", None)  # a transport of the user's may have none, and keeps its own ways
            if hasattr(pool, "_network_backend"):
                pool._network_backend = _Backend(pool._network_backend)  # noqa: SLF001


def _observe(response: Any) -> None:
    attempt = current_attempt.get()
    if attempt is not None:
        attempt.observe(response)


def _left(otherwise: float | None) -> float | None:
    attempt = current_attempt.get()
    return otherwise if attempt is None else attempt.left(otherwise)


class _Backend:
    """Opens connections within the time that is left; a ``NetworkBackend`` of httpcore."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def connect_tcp(self, host: str, port: int, timeout: float | None = None, **options: Any) -> _Stream:
        return _Stream(self._inner.connect_tcp(host, port, timeout=_left(timeout), **options))

    def connect_unix_socket(self, path: str, timeout: float | None = None, **options: Any) -> _Stream:
        return _Stream(self._inner.connect_unix_socket(path, timeout=_left(timeout), **options))

    def sleep(self, seconds: float) -> None:
        self._inner.sleep(seconds)


class _Stream:
    """Reads and writes within the time that is left; a ``NetworkStream`` of httpcore."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.close: Callable[[], None] = inner.close
        self.get_extra_info: Callable[[str], Any] = inner.get_extra_info

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data: bytes = self._inner.read(max_bytes, _left(timeout))
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), _SLICE):
            self._inner.write(buffer[start : start + _SLICE], _left(timeout))

    def start_tls(self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None) -> _Stream:
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, _left(timeout)))
