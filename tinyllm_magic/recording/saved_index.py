"""Keeps where the lines of a large store stand in a database of the user's cache folder: a new kernel need not read all of the store.

It may be thrown away at any time. A file that is not the one it was made of, but grown at its end, has it made anew; what it
says of a line is held against that line whenever it is read.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

Place = tuple[int, int]  # offset and length in bytes
LARGE = 32 * 2**20  # bytes of a store from which on it has such an index
MOST = 50_000  # lines that are kept in memory beside it
_FORMAT = 1
_PREFIX = "k1:"
find_folder: Callable[[], Path] | None = None
"""Gives the user's cache folder; without it nothing is saved."""


def file_of(store: Path) -> Path | None:
    """Where the index of a store lies, if anywhere."""
    if find_folder is None:
        return None
    return find_folder() / "indexes" / f"{hashlib.sha256(os.fsencode(store)).hexdigest()[:32]}.sqlite"


class SavedIndex:
    """The database: places by key, and facts about the file that they are of. Any method may raise ``sqlite3.Error`` or ``OSError``."""

    def __init__(self, path: Path) -> None:
        import sqlite3  # some builds of Python have none

        self.path = path
        self._guard = threading.Lock()
        self._last: tuple[str, list[Place]] = "", []
        self._file = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        weakref.finalize(self, self._file.close)
        self._file.execute("PRAGMA synchronous = OFF")  # what a crash of the system damages is made anew

    @classmethod
    def open(cls, path: Path) -> SavedIndex | None:
        """The index at a path; ``None`` where there is none that can be used."""
        if not path.is_file():
            return None
        found = cls(path)
        facts = found.facts
        return found if facts.get("format") == _FORMAT and found._count_lines() == facts.get("lines") else None

    @classmethod
    def begin(cls, path: Path) -> SavedIndex:
        """An empty one, which takes its place when it is ``finish``-ed."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        beside = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
        beside.unlink(missing_ok=True)
        found = cls(beside)
        found._file.execute("PRAGMA journal_mode = OFF")
        found._file.execute("CREATE TABLE met (key, offset INTEGER, length INTEGER)")
        return found

    def add(self, lines: Iterable[tuple[str, Place]]) -> None:
        """Take lines into one that was begun."""
        with self._guard:
            self._file.execute("BEGIN")
            self._file.executemany("INSERT INTO met VALUES (?, ?, ?)", ((_pack(key), *place) for key, place in lines))
            self._file.execute("COMMIT")

    def finish(self, path: Path, facts: Mapping[str, Any]) -> SavedIndex:
        """Put one that was begun into its place, and open it there."""
        with self._guard:
            self._file.execute("CREATE TABLE lines (key, offset INTEGER, length INTEGER, PRIMARY KEY (key, offset)) WITHOUT ROWID")
            self._file.execute("INSERT OR IGNORE INTO lines SELECT * FROM met ORDER BY key, offset")
            self._file.execute("DROP TABLE met")
            self._file.execute("CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT)")
            self._put_facts(facts)
            self._file.close()
        self.path.replace(path)
        return SavedIndex(path)

    def extend(self, lines: Iterable[tuple[str, Place]], facts: Mapping[str, Any]) -> bool:
        """Add lines that stand behind its own; ``False`` where another process has done so."""
        with self._guard:
            self._file.execute("BEGIN IMMEDIATE")
            try:
                if self._read_facts().get("end") != facts["begin"]:
                    self._file.execute("ROLLBACK")
                    return False
                self._file.executemany("INSERT OR IGNORE INTO lines VALUES (?, ?, ?)", ((_pack(key), *place) for key, place in lines))
                self._put_facts(facts)
                self._file.execute("COMMIT")
                self._last = "", []
            except BaseException:
                self._file.execute("ROLLBACK")
                raise
        return True

    @property
    def facts(self) -> dict[str, Any]:
        """What was known of the file when this was written."""
        with self._guard:
            return self._read_facts()

    def find(self, key: str) -> list[Place]:
        """The places of a key's lines, the latest first; what was found last is remembered, for it is asked for several times."""
        last = self._last
        if last[0] == key:
            return last[1]
        with self._guard:
            query = "SELECT offset, length FROM lines WHERE key = ? ORDER BY offset DESC"
            found: list[Place] = self._file.execute(query, (_pack(key),)).fetchall()
            self._last = key, found
        return found

    def list_keys(self) -> Iterator[str]:
        """All keys in the order of the file, each once."""
        with self._guard:
            found = self._file.execute("SELECT key FROM lines GROUP BY key ORDER BY MIN(offset)").fetchall()
        return (_unpack(key) for (key,) in found)

    def count(self) -> int:
        """How many keys there are."""
        with self._guard:
            return int(self._file.execute("SELECT COUNT(*) FROM (SELECT DISTINCT key FROM lines)").fetchone()[0])

    def probe(self, count: int) -> list[tuple[str, Place]]:
        """Some lines from all over the file, the last one among them."""
        with self._guard:
            last = self._file.execute("SELECT key, offset, length FROM lines ORDER BY key DESC LIMIT 1").fetchall()
            some = [
                self._file.execute("SELECT key, offset, length FROM lines WHERE key >= ? LIMIT 1", (bytes([step]),)).fetchone()
                for step in range(0, 256, max(1, 256 // count))
            ]
        return [(_unpack(key), (offset, length)) for key, offset, length in (*filter(None, some), *last)]

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def discard(self) -> None:
        """Take the file away."""
        self.close()
        with contextlib.suppress(OSError):
            self.path.unlink()

    def _read_facts(self) -> dict[str, Any]:
        return {name: json.loads(value) for name, value in self._file.execute("SELECT name, value FROM facts")}

    def _put_facts(self, facts: Mapping[str, Any]) -> None:
        known = {**facts, "format": _FORMAT, "lines": self._count()}
        self._file.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", ((name, json.dumps(v)) for name, v in known.items()))

    def _count_lines(self) -> int:
        with self._guard:
            return self._count()

    def _count(self) -> int:
        return int(self._file.execute("SELECT COUNT(*) FROM lines").fetchone()[0])


class SavedPlaces(Mapping[str, Place]):
    """The places of the latest lines by key: of those that were saved, and of ``new`` ones behind them."""

    def __init__(self, saved: SavedIndex) -> None:
        self.saved, self.new = saved, dict[str, Place]()
        self._counted: tuple[int, int] | None = None

    def __getitem__(self, key: str) -> Place:
        if key in self.new:
            return self.new[key]
        for place in self.saved.find(key):
            return place
        raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        return key in self.new or (isinstance(key, str) and bool(self.saved.find(key)))

    def __iter__(self) -> Iterator[str]:
        known = set[str]()
        for key in self.saved.list_keys():
            known.update({key} & self.new.keys())
            yield key
        yield from (key for key in self.new if key not in known)

    def __len__(self) -> int:
        if self._counted is None or self._counted[0] != len(self.new):
            self._counted = len(self.new), self.saved.count() + sum(not self.saved.find(key) for key in self.new)
        return self._counted[1]


def _pack(key: str) -> bytes | str:
    """A key in as few bytes as it takes."""
    digits = key.removeprefix(_PREFIX)
    if len(key) == 67 and len(digits) == 64 and digits == digits.lower():
        with contextlib.suppress(ValueError):
            return bytes.fromhex(digits)
    return key


def _unpack(key: bytes | str) -> str:
    return key if isinstance(key, str) else _PREFIX + key.hex()
