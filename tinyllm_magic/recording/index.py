"""Finds where each record of a store stands: scans the file, follows it while it grows, and knows it from one that is no store."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import StoreError
from .codec import FORMAT, HEADER_START, LONGEST_LINE, MARKER, RECORD_START, VERSION, Damaged, decode, find_objects, parse

Place = tuple[int, int]  # offset and length in bytes
_TOO_MANY = 1000  # lines that are neither header nor record, before a file counts as something else
_ENDING = 64
_PROBES = 30  # keys that are looked at to tell growth from another file


class Index:
    """Where the lines of each key stand in one version of a file; no record is kept in memory.

    ``places`` has the latest line of each key, ``older`` the lines before it. ``problems`` maps the
    offset of a line to what is wrong with it; a record is only judged when it is read.
    """

    def __init__(self) -> None:
        self.places: dict[str, Place] = {}
        self.older: dict[str, list[Place]] = {}
        self.header: dict[str, Any] = {}
        self.problems: dict[int, str] = {}
        self.conflict = False
        self.newer = 0
        self.end = 0  # where the last line that ends in a line feed ends
        self.torn = False  # something stands behind it …
        self.tail_is_whole = False  # … that has lost nothing but its line feed
        self._is_store = False
        self._version: tuple[int, ...] = ()
        self._ending = b""

    def refresh(self, file: io.FileIO, name: str) -> Index:
        """This index, or a new one, brought up to date; raises ``StoreError`` where the file is no store."""
        now = _version(os.fstat(file.fileno()))
        if now == self._version:
            return self
        grown = self._version[:2] == now[:2] and self._version[2] < now[2] and self._ends_as_before(file)
        index = self if grown else Index()
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
        self._read_on(file)
        self._version = now
        self._require_store(file, name)

    def _ends_as_before(self, file: io.FileIO) -> bool:
        """Whether the file has only grown: a new file may have the number of the old one, and lines of the same length."""
        file.seek(self.end - len(self._ending))
        if file.read(len(self._ending)) != self._ending:
            return False
        step = max(1, len(self.places) // _PROBES)
        probes = [*itertools.islice(self.places.items(), 0, None, step), *itertools.islice(reversed(self.places.items()), 1)]
        return all(self._still_at(file, offset, key) for key, (offset, _) in probes)

    @staticmethod
    def _still_at(file: io.FileIO, offset: int, key: str) -> bool:
        """Whether a key stands where it stood; a line that another program wrote may begin otherwise."""
        file.seek(offset)
        start = file.read(len(RECORD_START) + len(key.encode()) + _ENDING)
        return not start.startswith(RECORD_START) or start.startswith(RECORD_START + key.encode())

    def _read_on(self, file: io.FileIO) -> None:
        file.seek(self.end)
        reader = io.BufferedReader(file, 1 << 18)
        try:
            self._scan(reader)
        finally:
            reader.detach()
        start = max(0, self.end - _ENDING)
        file.seek(start)
        self._ending = file.read(self.end - start)

    def _scan(self, reader: io.BufferedReader[io.FileIO]) -> None:
        """Cut the keys out of the bytes: a scan must be fast, so that a line is parsed only when it looks odd."""
        offset, places, readline = self.end, self.places, reader.readline
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
        self.end = offset

    def _add(self, key: str, place: Place) -> None:
        before = self.places.get(key)
        if before is not None and before[0] != place[0]:
            self.older.setdefault(key, []).append(before)
        self.places[key] = place

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
