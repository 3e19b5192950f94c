"""A connection whose every read and write has what is left of the attempt under way (``TimedSocket``)."""

from __future__ import annotations

import contextlib
import io
import select
import socket
from typing import IO

from .deadline import Attempt, current_attempt

_PIECE, _BUFFER = 2**16, 2**14  # bytes that are written at a time; that are read and held back


class TimedSocket:
    """A socket in use, plain or with TLS."""

    def __init__(self, wire: socket.socket) -> None:
        self.since = 0.0
        """When it was last given back, for who keeps it (``time.monotonic``)."""
        self._wire, self._limit = wire, wire.gettimeout()

    def send(self, data: bytes) -> None:
        """Send all of this; raises ``OSError``, among them ``TimeoutError``, and ``CallTimeoutError``."""
        for start in range(0, len(data), _PIECE):
            self._bound()
            self._wire.sendall(data[start : start + _PIECE])

    def receive_into(self, buffer: memoryview) -> int:
        """Read what has come, at least a byte but at the end; raises as ``send``."""
        self._bound()
        return self._wire.recv_into(buffer)

    def makefile(self, _mode: str) -> IO[bytes]:
        """What ``http.client`` wants of a socket: a file to read one answer from; it leaves the connection open."""
        return io.BufferedReader(_Reader(self), _BUFFER)

    def hang_up(self) -> None:
        """End the connection, also for a thread that waits for an answer."""
        with contextlib.suppress(OSError):
            self._wire.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection."""
        self._wire.close()

    @property
    def is_open(self) -> bool:
        """Whether it can be used for another request: nothing has come in, not even its end. TLS is looked through, at the bytes below."""
        try:
            if not hasattr(select, "poll"):
                return not select.select([self._wire], [], [], 0)[0]
            waiting = select.poll()
            waiting.register(self._wire, select.POLLIN)
            return not waiting.poll(0)
        except (OSError, ValueError):
            return False

    def _bound(self) -> None:
        """Give the next read or write what is left of the attempt, or up to a hundredth more.

        To set a limit is a call of the system's, and after each of these, of many threads another one goes on.
        """
        left, limit = time_left(), self._limit
        if left is None:
            if limit is None:
                return
        elif limit is not None and left <= limit <= left * 1.01:
            return
        else:
            left *= 1.005
        self._limit = left
        self._wire.settimeout(left)


class _Reader(io.RawIOBase):
    """Reads from a connection, which stays open when this is closed."""

    def __init__(self, connection: TimedSocket) -> None:
        self._connection = connection

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # io's own type of it is the same, by another name
        return self._connection.receive_into(buffer)


def time_left() -> float | None:
    """Seconds that are left of the attempt under way; ``None`` is no limit."""
    attempt: Attempt | None = current_attempt.get()
    return None if attempt is None else attempt.left(None)
