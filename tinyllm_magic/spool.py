"""Entries in, the same entries out: the first ones from memory, the others from a temporary database.

Knows how an entry is put away and read back, and which row was the first to ask for a key.
Does not know how rows are answered, stores, tables or how anything is drawn.

Memory stays the same however many rows there are: beyond the first ``WHOLE`` only those under way are
in it, and those that cannot be put away (a row with an open file in it). SQLite removes its file itself,
at the latest when the process ends.
"""

from __future__ import annotations

import bisect
import operator
import pickle
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, overload

from .tables import WHOLE, Entry

_OWN = tuple(name for name in Entry.__slots__ if name not in ("row", "call"))
_PLAIN = frozenset((str, int, float, bool, type(None)))


class Spool(Sequence[Entry]):
    """The entries of a map in the order of its rows.

    An entry is appended, filled by whoever answers it, and ``settle``-d: from then on it is read only.
    ``held`` says that the rows themselves stay in memory anyway, as those of a list do.
    """

    def __init__(self, *, held: bool = False, whole: int = WHOLE) -> None:
        self.names: dict[str, None] = {}
        """The rows' columns, in the order in which they came up."""
        self._rows: list[Mapping[str, Any]] | None = [] if held else None
        self._whole = whole
        self._count = 0
        self._calls: list[tuple[int, Any]] = []  # a call, and its first place: a map has one for all rows
        self._live: dict[int, Entry] = {}
        self._places: dict[str, int] = {}
        self._away: _Away | None = None

    def append(self, row: Mapping[str, Any], call: Any = None) -> int:
        """Make the entry of one more row that a call asks for; returns its place."""
        place, self._count = self._count, self._count + 1
        self._live[place] = Entry(row, call)
        if not self._calls or self._calls[-1][1] is not call:
            self._calls.append((place, call))
        self.names.update(dict.fromkeys(row))
        if self._rows is not None:
            self._rows.append(row)
        return place

    def first(self, key: str, place: int) -> int:
        """The place of the first row that asks for a key: ``place``, unless there was one before."""
        found = self._places.get(key)
        if found is None and self._away is not None:
            found = self._away.first(key)
        return self._places.setdefault(key, place) if found is None else found

    def settle(self, place: int, key: str | None = None) -> None:
        """Nothing changes in this entry any more; ``key`` is what it was the first to ask for."""
        if place < self._whole:
            return
        try:
            packed = _packed(self._live[place], row=self._rows is None)
            self._away = self._away or _Away()
            self._away.put(place, key, packed)
        except Exception:  # noqa: BLE001  # a user's object may raise anything when it is pickled, and a disk may be full
            return
        del self._live[place]
        if key is not None:
            self._places.pop(key, None)

    def unsettled(self) -> Iterator[tuple[int, Entry]]:
        """Places and entries that are in memory."""
        yield from list(self._live.items())

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, at: int) -> Entry: ...

    @overload
    def __getitem__(self, at: slice) -> Sequence[Entry]: ...

    def __getitem__(self, at: int | slice) -> Entry | Sequence[Entry]:
        places = range(self._count)[at]
        return self._entry(places) if isinstance(places, int) else [self._entry(place) for place in places]

    def _entry(self, place: int) -> Entry:
        live = self._live.get(place)
        if live is not None or self._away is None:
            return live or self._live[place]
        row, values = pickle.loads(self._away.get(place))  # noqa: S301  # our own bytes, in a file of our own
        _, call = self._calls[bisect.bisect_right(self._calls, place, key=operator.itemgetter(0)) - 1]
        entry = Entry(row if self._rows is None else self._rows[place], call)
        for name, value in zip(_OWN, values, strict=True):
            setattr(entry, name, value)
        entry.whole = entry.whole and replace(entry.whole, call=call)
        return entry


def _packed(entry: Entry, *, row: bool) -> bytes:
    """An entry as bytes, without its call; raises where it cannot be read back. An error loses its cause and its traceback."""
    whole = entry.whole and replace(entry.whole, call=None)
    values = [whole if name == "whole" else getattr(entry, name) for name in _OWN]
    packed = pickle.dumps((entry.row if row else None, values), pickle.HIGHEST_PROTOCOL)
    if entry.error is not None or (row and not all(type(v) in _PLAIN for v in entry.row.values())):
        pickle.loads(packed)  # noqa: S301  # not everything that can be written can be read
    return packed


class _Away:
    """A temporary SQLite database of entries by place, and of places by key."""

    def __init__(self) -> None:
        import sqlite3  # some builds of Python have none

        self._guard = threading.Lock()  # a table may be read by any thread
        self._file = sqlite3.connect("", isolation_level=None, check_same_thread=False)  # "": a temporary file
        weakref.finalize(self, self._file.close)
        self._file.execute("PRAGMA journal_mode = OFF")
        self._file.execute("PRAGMA synchronous = OFF")
        self._file.execute("CREATE TABLE entries (place INTEGER PRIMARY KEY, packed BLOB)")
        self._file.execute("CREATE TABLE firsts (key TEXT PRIMARY KEY, place INTEGER) WITHOUT ROWID")

    def put(self, place: int, key: str | None, packed: bytes) -> None:
        """Keep an entry, and the key that it was the first to ask for."""
        with self._guard:
            self._file.execute("INSERT OR REPLACE INTO entries VALUES (?, ?)", (place, packed))
            if key is not None:
                self._file.execute("INSERT OR IGNORE INTO firsts VALUES (?, ?)", (key, place))

    def get(self, place: int) -> bytes:
        """The bytes of an entry; raises ``IndexError`` where there is none."""
        with self._guard:
            found = self._file.execute("SELECT packed FROM entries WHERE place = ?", (place,)).fetchone()
        if found is None:
            raise IndexError(place)
        return bytes(found[0])

    def first(self, key: str) -> int | None:
        """The place of the first row that asked for a key."""
        with self._guard:
            found = self._file.execute("SELECT place FROM firsts WHERE key = ?", (key,)).fetchone()
        return None if found is None else int(found[0])
