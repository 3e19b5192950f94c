"""Lets one thread make a call that several ask for at the same time; the others wait for its record.

An answer streams only as far as somebody reads it: who has left off reading holds up nobody (``Holder``).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from ..responses import Record

_SLICE = 0.2  # seconds between looks at an interrupt while another thread makes the call


PATIENCE = 5.0
"""Seconds after which a reader who has not come back for the next piece of an answer is taken to have left."""
_Piece = TypeVar("_Piece")


class Holder:
    """Who holds something that others wait for while an answer streams to a reader."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self._handed: float | None = None

    def hand(self, pieces: Iterator[_Piece]) -> Iterator[_Piece]:
        """The pieces; between two of them it is for the reader to come back."""
        try:
            for piece in pieces:
                self._handed = time.monotonic()
                yield piece
                self._handed = None
        finally:
            if close := getattr(pieces, "close", None):
                close()

    @property
    def is_abandoned(self) -> bool:
        """Whether the reader stays away, or cannot come back because its own thread is the one that would wait."""
        handed = self._handed
        return handed is not None and (self.thread == threading.get_ident() or time.monotonic() - handed >= PATIENCE)


class Flight(Holder):
    """One call that is under way, for all who ask the same in the meantime."""

    def __init__(self) -> None:
        super().__init__()
        self._under_way = threading.Lock()  # an Event costs ten times as much, and few calls are waited for
        self._under_way.acquire()
        self.record: Record | None = None
        self.error: Exception | None = None

    def land(self) -> None:
        """The call has ended: who waits goes on."""
        self._under_way.release()

    def wait(self) -> Record | None:
        """The record; ``None`` where the call was interrupted or abandoned. Raises the error of a call that failed."""
        while not self._under_way.acquire(timeout=_SLICE):
            if self.is_abandoned:
                return None
        self._under_way.release()
        if self.error is not None:
            raise self.error
        return self.record


class SingleFlight:
    """The calls that are under way, by name. A thread never waits for itself: a second stream makes its own call."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._flights: dict[Hashable, Flight] = {}

    @contextmanager
    def join(self, name: Hashable) -> Iterator[Flight | Record]:
        """The record that another thread's call has come to, or a flight to lead; an interrupted one hands over to the next.

        Raises the error of the call that was waited for. Who leads sets ``record`` before leaving.
        """
        while True:
            flight, leads = self._board(name)
            if leads:
                break
            record = flight.wait()
            if record is not None:
                yield record
                return
        try:
            yield flight
        except Exception as error:
            flight.error = error
            raise
        finally:
            with self._guard:
                if self._flights.get(name) is flight:
                    del self._flights[name]
            flight.land()

    def __len__(self) -> int:
        """How many calls are under way."""
        return len(self._flights)

    def _board(self, name: Hashable) -> tuple[Flight, bool]:
        with self._guard:
            flight = self._flights.get(name)
            if flight is None or flight.is_abandoned:
                flight = self._flights[name] = Flight()
                return flight, True
            if flight.thread == threading.get_ident():
                return Flight(), True
            return flight, False
