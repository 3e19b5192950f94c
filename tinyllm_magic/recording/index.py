"""Finds where each record of a store stands: scans the file, follows it while it grows, and knows it from one that is no store."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import StoreError
from . import saved_index
from .codec import FORMAT, HEADER_START, LONGEST_LINE, MARKER, RECORD_START, VERSION, Damaged, decode, find_objects, parse
from .saved_index import Place, SavedIndex, SavedPlaces

_TOO_MANY = 1000  # lines that are neither header nor record, before a file counts as something else
_ENDING = 64
_READS_ANYWHERE = hasattr(os, "pread")  # Windows has none
_PROBES = 30  # keys that are looked at to tell growth from another file


class Index:
    """Where the lines of each key stand in one version of a file; no record is kept in memory.

    ``places`` has the latest line of each key, ``older`` the lines before it. ``problems`` maps the
    offset of a line to what is wrong with it; a record is only judged when it is read. The index of a large store at
    ``path`` is saved, and stays there but for the latest lines, unless something is odd about the file.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._version: tuple[int, ...] = ()
        self.is_wrong = False
        """Whether a place that was saved holds another line than it should."""
        self._begin()

    def _begin(self) -> None:
        self._new: dict[str, Place] = {}  # places of the lines that stand in memory
        self.places: Mapping[str, Place] = self._new
        self.older: dict[str, list[Place]] = {}
        self.header: dict[str, Any] = {}
        self.problems: dict[int, str] = {}
        self.conflict = False
        self.newer = 0
        self.end = 0  # where the last line that ends in a line feed ends
        self.torn = False  # something stands behind it …
        self.tail_is_whole = False  # … that has lost nothing but its line feed
        self._is_store = False
        self._ending = b""

    def refresh(self, file: io.FileIO, name: str) -> Index:
        """This index, or a new one, brought up to date; raises ``StoreError`` where the file is no store."""
        now = _version(os.fstat(file.fileno()))
        if now == self._version:
            return self
        grown = self._version[:2] == now[:2] and self._version[2] < now[2] and self._ends_as_before(file)
        index = self if grown else Index(self._path)
        index._update(file, name, now)  # noqa: SLF001  # another Index
        return index

    def note_appended(self, lines: Mapping[str, bytes], start: int, file: io.FileIO) -> None:
        """Take note of lines that we have put at the end ourselves."""
        self.end = start
        for key, line in lines.items():
            self._add(key, (self.end, len(line)))
            self.end += len(line)
            self._ending = (self._ending + line)[-_ENDING:]
        self._version = _version(os.fstat(file.fileno()))
        if isinstance(self.places, SavedPlaces) and len(self._new) >= saved_index.MOST:
            self._extend(self.places)

    def find_lines(self, key: str) -> Iterable[Place]:
        """Where the lines of a key stand, the latest first."""
        latest = self._new.get(key)
        lines: tuple[Place, ...] = () if latest is None else (latest,)
        if isinstance(self.places, SavedPlaces):
            lines = (*lines, *reversed(self.older.get(key, ())), *self.places.saved.find(key))
        elif key in self.older:
            lines = (*lines, *reversed(self.older[key]))
        if len(lines) < 2:
            return lines
        met: dict[int, Place] = {}
        for place in lines:
            met.setdefault(place[0], place)
        return met.values()

    def list_last(self, count: int) -> list[tuple[str, Place]]:
        """The last keys in the order of the file, with their places."""
        keys = list(self.places)[-count:]
        return [(key, self.places[key]) for key in keys]

    def suspects(self, line: bytes, key: str) -> bool:
        """Whether a line that was found for a key is another one, by the fault of an index that was saved: it is wrong then."""
        wrong = isinstance(self.places, SavedPlaces) and not line.startswith(RECORD_START + key.encode() + b'"')
        self.is_wrong = self.is_wrong or wrong
        return wrong

    def distrust(self) -> Index:
        """An index of the same file that is read anew, where what was saved is no use."""
        if isinstance(self.places, SavedPlaces):
            self.places.saved.discard()
        return Index(self._path)

    def is_current(self, path: Path) -> bool:
        """Whether this index is that of the file as it is now."""
        try:
            return _version(os.stat(path)) == self._version  # noqa: PTH116  # for each row of a map; Path costs more
        except OSError:
            return False

    def require_known_version(self, path: Path) -> None:
        """Raise ``StoreError`` where a newer version of this package wrote the file."""
        if self.newer:
            raise StoreError(
                f"{path.name} has format version {self.newer}, this version of tinyllm_magic knows {VERSION}: it is read, but not changed",
                hint="Upgrade tinyllm-magic, or record to another store.",
                path=str(path),
            )

    def damaged_lines(self, file: io.FileIO) -> Iterator[bytes]:
        """The lines that ``problems`` names, as they are; conflict markers are not among them."""
        for offset in sorted(self.problems):
            file.seek(offset)
            reader = io.BufferedReader(file)
            line = reader.readline()
            reader.detach()
            if not MARKER.fullmatch(line):
                yield line
        if self.torn and not self.tail_is_whole:
            file.seek(self.end)
            yield file.read()

    def _update(self, file: io.FileIO, name: str, now: tuple[int, ...]) -> None:
        self._version = now
        if self.end == 0 and self._path is not None and now[2] >= saved_index.LARGE and self._read_saved(file, self._path):
            return
        self._read_on(file)
        self._require_store(file, name)
        if isinstance(self.places, SavedPlaces) and len(self._new) >= saved_index.MOST:
            self._extend(self.places)

    def _read_saved(self, file: io.FileIO, path: Path) -> bool:
        """Go on from what was saved of a large file, or read and save all of it; ``False`` where that cannot be, or something is odd."""
        place = saved_index.file_of(path)
        if place is None:
            return False
        for read in (self._take_up, self._build):
            self._begin()
            with contextlib.suppress(Exception):  # sqlite3's own, which is not imported here; a full disk
                if read(file, place):
                    return True
        self._begin()
        return False

    def _take_up(self, file: io.FileIO, place: Path) -> bool:
        """Use what was saved, where it is of this file, which may have grown since; then read what was appended."""
        found = SavedIndex.open(place)
        if found is None:
            return False
        facts, now = found.facts, self._version
        before = tuple(facts["version"])
        self.end, self._ending = facts["end"], bytes.fromhex(facts["ending"])
        self.places = places = SavedPlaces(found)
        grown = before[:2] == now[:2] and before[2] < now[2]
        if not ((before == now or grown) and self._ends_as_before(file)):
            found.close()
            return False
        self._new, self.header, self._is_store = places.new, facts["header"], True
        self._read_on(file)
        if len(self._new) >= saved_index.MOST:
            self._extend(places)
        return True

    def _build(self, file: io.FileIO, place: Path) -> bool:
        """Read all of the file, a part at a time, into an index that is saved; ``False`` where something about it is odd."""
        building = SavedIndex.begin(place)
        try:
            is_more = True
            while is_more:
                is_more = self._read_on(file, saved_index.MOST)
                building.add(self._list_new())
                self._new.clear()
                self.older.clear()
            if self._is_odd or not self._is_store:
                return False
            places = SavedPlaces(building.finish(place, self._facts(0)))
        finally:
            building.discard()
        self.places, self._new = places, places.new
        return True

    @property
    def _is_odd(self) -> bool:
        """Whether there is more to say of the file than where its lines stand."""
        return bool(self.problems or self.conflict or self.newer or self.torn)

    def _extend(self, places: SavedPlaces) -> None:
        """Save the latest lines too; where that fails they stay in memory."""
        if self._is_odd:
            return
        with contextlib.suppress(Exception):  # a full disk, a file that somebody has taken away
            if places.saved.extend(self._list_new(), self._facts(places.saved.facts["end"])):
                self._new.clear()
                self.older.clear()

    def _list_new(self) -> list[tuple[str, Place]]:
        return [*self._new.items(), *((key, place) for key, others in self.older.items() for place in others)]

    def _facts(self, begin: int) -> dict[str, Any]:
        """What must be the same for a saved index to hold."""
        return {"version": self._version, "begin": begin, "end": self.end, "ending": self._ending.hex(), "header": self.header}

    def _ends_as_before(self, file: io.FileIO) -> bool:
        """Whether the file has only grown: a new file may have the number of the old one, and lines of the same length."""
        file.seek(self.end - len(self._ending))
        if file.read(len(self._ending)) != self._ending:
            return False
        if isinstance(self.places, SavedPlaces):
            probes = [*self.places.saved.probe(_PROBES), *itertools.islice(reversed(self._new.items()), 1)]
        else:
            step = max(1, len(self._new) // _PROBES)
            probes = [*itertools.islice(self._new.items(), 0, None, step), *itertools.islice(reversed(self._new.items()), 1)]
        return all(self._still_at(file, offset, key) for key, (offset, _) in probes)

    @staticmethod
    def _still_at(file: io.FileIO, offset: int, key: str) -> bool:
        """Whether a key stands where it stood; a line that another program wrote may begin otherwise."""
        file.seek(offset)
        start = file.read(len(RECORD_START) + len(key.encode()) + _ENDING)
        return not start.startswith(RECORD_START) or start.startswith(RECORD_START + key.encode())

    def _read_on(self, file: io.FileIO, most: int | None = None) -> bool:
        """Read what stands behind the lines that are known; whether there is more, where ``most`` new keys were met."""
        file.seek(self.end)
        reader = io.BufferedReader(file, 1 << 18)
        try:
            is_full = self._scan(reader, most)
        finally:
            reader.detach()
        start = max(0, self.end - _ENDING)
        file.seek(start)
        self._ending = file.read(self.end - start)
        return is_full

    def _scan(self, reader: io.BufferedReader[io.FileIO], most: int | None) -> bool:
        """Cut the keys out of the bytes: a scan must be fast, so that a line is parsed only when it looks odd."""
        offset, places, readline = self.end, self._new, reader.readline
        limit = sys.maxsize if most is None else most
        self.torn = self.tail_is_whole = False
        while line := readline(LONGEST_LINE + 1):
            size = len(line)
            if line[-1] != 10:
                if size > LONGEST_LINE and (rest := _skip_line(reader)):
                    self.problems[offset] = f"longer than {LONGEST_LINE >> 20} MB"
                    offset += size + rest
                    continue
                self._take_tail(offset, line)
                break
            stop = line.find(b'"', 8) if line.startswith(RECORD_START) else 0
            key = line[8:stop] if stop > 8 else b"\\"
            if b"\\" in key or not key.isascii() or line.find(RECORD_START, 8) > 0:
                self._take_odd(offset, line)
                if len(self.problems) > _TOO_MANY and not self._is_store and not places:
                    break
            else:
                name = key.decode()
                if name in places:
                    self._add(name, (offset, size))
                else:
                    places[name] = (offset, size)
            offset += size
            if len(places) >= limit:
                break
        self.end = offset
        return len(places) >= limit

    def _add(self, key: str, place: Place) -> None:
        before = self._new.get(key)
        if before is not None and before[0] != place[0]:
            self.older.setdefault(key, []).append(before)
        self._new[key] = place

    def _take_odd(self, offset: int, line: bytes) -> None:
        """A line that is a header, a marker, blank, damaged, or a record that another program has written."""
        if not line.strip():
            return
        if MARKER.fullmatch(line):
            self.conflict = True
            self.problems[offset] = f"git conflict marker {line.split()[0].decode()}: the records of both sides are read"
            return
        try:
            self._take_object(offset, len(line), parse(line))
        except Damaged as error:
            self.problems[offset] = str(error)
            for start, length in find_objects(line):
                self.problems[offset] = "a line feed is missing between two records"
                self._take_object(offset + start, length, parse(line[start : start + length]))

    def _take_object(self, offset: int, length: int, value: dict[str, Any]) -> None:
        if isinstance(value.get("key"), str):
            self._add(value["key"], (offset, length))
        elif value.get("format") == FORMAT:
            self._take_header(offset, value)
        else:
            self.problems[offset] = "neither a header nor a record"

    def _take_header(self, offset: int, value: dict[str, Any]) -> None:
        self._is_store = True
        version = value.get("version")
        if not isinstance(version, int) or version < 1:
            self.problems[offset] = "a header without a version"
        elif version > VERSION:
            self.newer = version
            self.problems[offset] = f"format version {version} is newer than {VERSION}: read, but not changed"
        facts = {k: v for k, v in value.items() if k not in ("format", "version") and isinstance(v, (str, int, float))}
        self.header.update(facts)

    def _take_tail(self, offset: int, line: bytes) -> None:
        """The last line without a line feed: whole (an editor has cut the end), torn by a crash, or just being written."""
        self.torn = True
        try:
            value = parse(line)
            if "key" in value:
                decode(line)
            self._take_object(offset, len(line), value)
            self.tail_is_whole = True
        except Damaged:
            self._is_store |= any(line.startswith(s) or s.startswith(line) for s in (HEADER_START, RECORD_START))

    def _require_store(self, file: io.FileIO, name: str) -> None:
        if self._is_store or not (self.problems or self.places or self.torn):
            return
        self._is_store = any(_is_record(file, place) for place in self.places.values())
        if not self._is_store:
            raise StoreError(
                f"{name} is not a store of recorded answers but {_describe(file)}; it was left as it is",
                hint="Move it away, or choose another file with `%llm_cache use PATH`.",
                path=name,
            )


def read_at(file: io.FileIO, place: Place) -> bytes:
    """The bytes at a place."""
    if _READS_ANYWHERE:
        return os.pread(file.fileno(), place[1], place[0])
    file.seek(place[0])
    return file.read(place[1])


def read_requests(file: io.FileIO, known: Iterable[tuple[str, Place]]) -> Iterator[tuple[str, Any]]:
    """Keys and requests of records, read lightly: a damaged one is left out, another fault is not looked for."""
    for key, place in known:
        with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
            yield key, json.loads(read_at(file, place))["request"]


def _version(found: os.stat_result) -> tuple[int, ...]:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _skip_line(reader: io.BufferedReader[io.FileIO]) -> int:
    """Read to the end of a line; returns its bytes, 0 where the file ends first."""
    size = 0
    while block := reader.readline(1 << 20):
        size += len(block)
        if block[-1] == 10:
            return size
    return 0


def _is_record(file: io.FileIO, place: Place) -> bool:
    try:
        decode(read_at(file, place))
    except Damaged:
        return False
    return True


_BEGINNINGS = (
    (b"\x80", "a Python pickle"),
    (b"SQLite format 3", "an SQLite database"),
    (b"\x89PNG", "a picture"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"%PDF", "a PDF"),
    (b"\x7fELF", "a program"),
)


def _describe(file: io.FileIO) -> str:
    """What a file that is no store looks like."""
    file.seek(0)
    start = file.read(4096)
    known = next((kind for beginning, kind in _BEGINNINGS if start.startswith(beginning)), None)
    if known is not None:
        return known
    if b"\0" in start:
        return "binary data"
    if start.lstrip()[:1] in (b"{", b"["):
        return "other JSON"
    return "other text"
