"""Keeps the entries of a run: the first ones in memory, the others in a temporary SQLite database.

Memory stays the same however many rows there are: beyond the first ``KEPT_RESPONSES`` only those under way are
in it, and those that cannot be pickled (a row with an open file in it). What rows have in common, such as
a document that all of them ask about, is kept once. The file is removed with its table.
"""

from __future__ import annotations

import bisect
import contextlib
import io
import operator
import os
import pickle
import tempfile
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, overload

from ..row_results import RowResult
from .table import KEPT_RESPONSES

_OWN = tuple(name for name in RowResult.__slots__ if name not in ("row", "call"))
_get_own = operator.attrgetter(*_OWN)
_PLAIN = frozenset((str, int, float, bool, type(None)))
_LONG = 1000  # characters of a text that is kept once where rows share it
_AT_ONCE = 256  # entries that are written together


class SpilledEntries(Sequence[RowResult]):
    """The entries of a map in the order of its rows.

    An entry is appended, filled by whoever answers it, and ``settle``-d: from then on it is read only.
    ``in_memory`` says that the rows themselves stay in memory anyway, as those of a list do.
    """

    def __init__(self, *, in_memory: bool = False, keep: int = KEPT_RESPONSES) -> None:
        self.names: dict[str, None] = {}
        """The rows' columns, in the order in which they came up."""
        self._rows: list[Mapping[str, Any]] | None = [] if in_memory else None
        self._keep = keep
        self._count = 0
        self._calls: list[tuple[int, Any]] = []  # a call, and its first place: a map has one for all rows
        self._shared: dict[int, Any] = {}  # values that rows have in common stay in memory, once
        self._before: Mapping[str, Any] = {}
        self._live: dict[int, RowResult] = {}
        self._settled: list[tuple[int, str | None]] = []  # places and keys of those that wait to be written
        self._places: dict[str, int] = {}
        self._file: SpillFile | None = None

    def append(self, row: Mapping[str, Any], call: Any = None) -> int:
        """Make the entry of one more row that a call asks for; returns its place."""
        place, self._count = self._count, self._count + 1
        self._live[place] = RowResult(row, call)
        if not self._calls or self._calls[-1][1] is not call:
            self._calls.append((place, call))
        before, self._before = self._before, row
        if row.keys() != before.keys():
            self.names.update(dict.fromkeys(row))
        for name, value in row.items():
            if value is before.get(name) and not _is_small(value):
                self._shared[id(value)] = value
        if self._rows is not None:
            self._rows.append(row)
        return place

    def first(self, key: str, place: int) -> int:
        """The place of the first row that asks for a key: ``place``, unless there was one before."""
        found = self._places.get(key)
        if found is None and self._file is not None:
            found = self._file.first(key)
        return self._places.setdefault(key, place) if found is None else found

    def unsettled_at(self, place: int) -> RowResult:
        """The entry of a row that is not settled."""
        return self._live[place]

    def settle(self, place: int, key: str | None = None) -> None:
        """Nothing changes in this entry any more; ``key`` is what it was the first to ask for."""
        if place < self._keep:
            return
        self._settled.append((place, key))
        if len(self._settled) >= _AT_ONCE:
            self.put_away()

    def put_away(self) -> None:
        """Write the settled entries; those that cannot be written stay where they are."""
        settled, self._settled = self._settled, []
        if not settled:
            return
        packed: dict[int, bytes] = {}
        for place, _ in settled:
            try:
                packed[place] = self._pack(self._live[place])
            except Exception:  # noqa: BLE001, S112  # a user's object may raise anything when it is pickled
                continue
        firsts = [(key, place) for place, key in settled if key is not None and place in packed]
        try:
            self._file = self._file or SpillFile()
            self._file.put(packed, firsts)
        except Exception:  # noqa: BLE001  # a disk may be full, and a build of Python without SQLite
            return
        for place in packed:
            del self._live[place]
        for key, _ in firsts:
            self._places.pop(key, None)

    def unsettled(self) -> Iterator[tuple[int, RowResult]]:
        """Places and entries that are in memory."""
        yield from list(self._live.items())

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[RowResult]:
        return map(self._entry, range(self._count))

    @overload
    def __getitem__(self, at: int) -> RowResult: ...

    @overload
    def __getitem__(self, at: slice) -> Sequence[RowResult]: ...

    def __getitem__(self, at: int | slice) -> RowResult | Sequence[RowResult]:
        places = range(self._count)[at]
        return self._entry(places) if isinstance(places, int) else [self._entry(place) for place in places]

    def _entry(self, place: int) -> RowResult:
        live = self._live.get(place)
        if live is not None or self._file is None:
            return live or self._live[place]
        row, values = _loads(self._file.get(place), self._shared)
        _, call = self._calls[bisect.bisect_right(self._calls, place, key=operator.itemgetter(0)) - 1]
        entry = RowResult(row if self._rows is None else self._rows[place], call)
        for name, value in zip(_OWN, values, strict=True):
            setattr(entry, name, value)
        schema = None if entry.response is None else getattr(call, "model_params", {}).get("schema")
        entry.response = entry.response and replace(entry.response, call=call, schema=schema)
        return entry

    def _pack(self, entry: RowResult) -> bytes:
        """An entry as bytes, without its call; raises where it cannot be read back. An error loses its cause and its traceback."""
        values = _get_own(entry)
        if entry.response is not None:
            bare = replace(entry.response, call=None, schema=None)
            values = tuple(bare if value is entry.response else value for value in values)
        packed = _dumps((entry.row if self._rows is None else None, values), self._shared)
        plain = self._rows is not None or (type(entry.row) is dict and _PLAIN.issuperset(map(type, entry.row.values())))
        if entry.error is not None or not plain:
            _loads(packed, self._shared)  # not everything that can be written can be read
        return packed


def _is_small(value: Any) -> bool:
    return len(value) <= _LONG if type(value) is str else type(value) in _PLAIN


def _dumps(value: Any, shared: Mapping[int, Any]) -> bytes:
    if not shared:
        return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    file = io.BytesIO()
    _Pickler(file, shared).dump(value)
    return file.getvalue()


def _loads(packed: bytes, shared: Mapping[int, Any]) -> Any:
    return _Unpickler(io.BytesIO(packed), shared).load()


class _Pickler(pickle.Pickler):
    """Leaves out what rows have in common."""

    def __init__(self, file: io.BytesIO, shared: Mapping[int, Any]) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self._shared = shared

    def persistent_id(self, obj: Any) -> int | None:
        return id(obj) if self._shared.get(id(obj), self) is obj else None


class _Unpickler(pickle.Unpickler):
    """Puts back what rows have in common."""

    def __init__(self, file: io.BytesIO, shared: Mapping[int, Any]) -> None:
        super().__init__(file)
        self.persistent_load = shared.__getitem__  # type: ignore[method-assign]


class MetKeys:
    """Tells of most keys that they were not met before, in a mebibyte however many were: a Bloom filter.

    Of a million keys that are new it takes some 3 % for known ones.
    """

    def __init__(self) -> None:
        self._bits = bytearray(1 << 20)

    def add(self, key: str) -> None:
        """Take note of a key."""
        for at in self._find_bits(key):
            self._bits[at >> 3] |= 1 << (at & 7)

    def __contains__(self, key: str) -> bool:
        bits, (a, b, c) = self._bits, self._find_bits(key)
        return bool(bits[a >> 3] & 1 << (a & 7) and bits[b >> 3] & 1 << (b & 7) and bits[c >> 3] & 1 << (c & 7))

    @staticmethod
    def _find_bits(key: str) -> tuple[int, int, int]:
        number, last = hash(key), (1 << 23) - 1
        return number & last, number >> 20 & last, number >> 40 & last


class SpillFile:
    """A temporary SQLite database of entries by place, and of places by key."""

    def __init__(self) -> None:
        import sqlite3  # some builds of Python have none

        self._guard = threading.Lock()  # a table may be read by any thread
        self._met = MetKeys()
        descriptor, name = tempfile.mkstemp(prefix="tinyllm-rows-", suffix=".sqlite")
        os.close(descriptor)
        self._file = sqlite3.connect(name, isolation_level=None, check_same_thread=False)
        weakref.finalize(self, _close, self._file, "" if os.name == "posix" else name)
        self._error = sqlite3.Error
        self._file.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._file.execute("PRAGMA journal_mode = MEMORY")  # with none, a full disk would damage what is there already
        self._file.execute("PRAGMA synchronous = OFF")
        self._file.execute("CREATE TABLE entries (place INTEGER PRIMARY KEY, packed BLOB)")
        self._file.execute("CREATE TABLE firsts (key TEXT PRIMARY KEY, place INTEGER) WITHOUT ROWID")
        if os.name == "posix":  # open, it needs no name, and nobody has to remove it
            _unlink(name)

    def put(self, packed: Mapping[int, bytes], firsts: Sequence[tuple[str, int]]) -> None:
        """Keep entries by their places, and keys with the places that were the first to ask for them: all or none."""
        for key, _ in firsts:
            self._met.add(key)
        with self._guard, self._file:
            self._file.execute("BEGIN")
            self._file.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?)", packed.items())
            self._file.executemany("INSERT OR IGNORE INTO firsts VALUES (?, ?)", firsts)

    def get(self, place: int) -> bytes:
        """The bytes of an entry; raises ``IndexError`` where there is none."""
        with self._guard:
            found = self._file.execute("SELECT packed FROM entries WHERE place = ?", (place,)).fetchone()
        if found is None:
            raise IndexError(place)
        return bytes(found[0])

    def first(self, key: str) -> int | None:
        """The place of the first row that asked for a key."""
        if key not in self._met:
            return None
        with self._guard:
            try:
                found = self._file.execute("SELECT place FROM firsts WHERE key = ?", (key,)).fetchone()
            except self._error:  # to ask once more is better than to stop
                return None
        return None if found is None else int(found[0])


def _close(file: Any, name: str) -> None:
    file.close()
    _unlink(name)


def _unlink(name: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(name)  # noqa: PTH108  # also while the interpreter ends
