"""Keeps recorded answers in one JSON-lines file: appends, repairs, sorts, merges and clears it, and refuses what may not be written.

An append is one write call under a file lock, so a killed process loses nothing that was acknowledged. It is not
followed by an ``fsync``: after a power failure the last seconds may be missing. ``tidy`` does wait for the disk.
"""

from __future__ import annotations

import contextlib
import errno
import io
import itertools
import os
import stat
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import StoreError
from ..files import append_whole, open_regular, replace_whole
from ..redaction import leak
from ..responses import Record
from ..user_warnings import warn
from .codec import Damaged, decode, encode, header_line, is_genuine, mask_secrets, normalize
from .index import Index, read_at, read_requests
from .lock import StoreLock
from .misses import NEAREST_OF, nearest
from .recent_reads import RecentReads
from .saved_index import Place
from .stats import Stats, summarize
from .write_buffer import WriteBuffer

_LOCK_TIMEOUT = 10.0  # seconds
_MOMENT = 0.02  # seconds for which many reads take a file as it was


class StoreWarning(UserWarning):
    """A store that cannot be written, or a record that may not be: the answer returns all the same."""


class _Glance:
    """The open file that many reads share, and its index as it was a moment ago."""

    def __init__(self, file: io.FileIO) -> None:
        self.file = file
        self.index: Index | None = None
        self._ends = time.monotonic() + _MOMENT

    def is_good(self, index: Index) -> bool:
        """Whether this is the file of an index, and need not be looked at anew."""
        return self.index is index and time.monotonic() < self._ends


@dataclass(frozen=True, slots=True)
class Tidied:
    """What ``tidy`` or ``merge`` did: records kept, duplicates removed, lines set aside, records that came from other stores."""

    kept: int = 0
    dropped: int = 0
    rejected: int = 0
    added: int = 0


class Store:
    """Recorded answers in one JSON-lines file, shared by threads and processes.

    A missing file is an empty store; the first ``append`` makes it. Reading raises ``StoreError`` where the path holds
    something else, which is never overwritten. Writing never raises: it warns once (``StoreWarning``) and returns ``False``.
    """

    def __init__(self, path: Path | str, *, lock_timeout: float = _LOCK_TIMEOUT) -> None:
        self.path = Path(path).expanduser().absolute()
        self.appended = 0
        """How many records this object has appended since it was last tidied."""
        self._target = Path(os.path.realpath(self.path))
        self._guard = threading.RLock()
        self._lock = StoreLock(self._target, lock_timeout)
        self._index = Index(self._target)
        self._recent = RecentReads(self._target)
        self._buffer = WriteBuffer(self._write)
        self._facts: dict[str, Any] = {}
        self._warned: set[str] = set()
        self._readers = 0
        self._glance: _Glance | None = None
        self._providers: tuple[tuple[int, int], frozenset[str]] = (0, 0), frozenset()

    def __repr__(self) -> str:
        return f"Store({self.path.name!r})"

    def renew(self) -> None:
        """Locks of its own for a forked process, whatever other threads held; what waits is the parent's to write."""
        self._guard = threading.RLock()
        self._buffer = WriteBuffer(self._write)
        self._lock = self._lock.fresh()
        self._glance = None  # its place in the file is shared with the parent
        self._index = Index(self._target)  # and so may be a database

    @property
    def is_changed(self) -> bool:
        """Whether there is something to flush or to tidy."""
        return bool(self.appended or self._buffer.waiting)

    @property
    def header(self) -> Mapping[str, Any]:
        """Facts about the store (API type, model, endpoint …), those just remembered included."""
        with self._guard:
            if self._index.is_current(self._target):
                return self._known_facts()
            with self._reading():
                return self._known_facts()

    def remember(self, **facts: str | float | None) -> None:
        """Keep facts for the header; they are written with the first record, or by ``tidy``. ``None`` takes a fact out."""
        self._facts.update(facts)

    @property
    def problems(self) -> list[tuple[int, str]]:
        """Line number and fault of every damaged line met so far."""
        with self._reading() as file:
            return self._numbered(file, self._index) if file else []

    def get(self, key: str, request: Mapping[str, Any] | None = None) -> Record | None:
        """The latest whole record of a key; with a canonical ``request``, only one that answers that very request."""
        with self._guard:
            line = self._buffer.waiting.get(key)
            if line is not None:
                return decode(line)
            found = self._look_up(key, request)
            if self._index.is_wrong:  # what was saved of it was no use
                self._look_away()
                self._index = self._index.distrust()
                found = self._look_up(key, request)
            return found

    def _look_up(self, key: str, request: Mapping[str, Any] | None) -> Record | None:
        shared = self._share_file(key)
        if shared is not None:
            return self._find(shared, key, request)
        recent = None if request is None else self._recent.find(key, request)
        if recent is not None or (key not in self._index.places and self._known(key) is False):
            return recent
        with self._reading() as file:
            if file is None or key not in self._index.places:
                return None
            found = self._find(file, key, request)
            if found is not None:
                self._recent.keep(found, self._index.places[key][1], file.fileno())
            return found

    def _find(self, file: io.FileIO, key: str, request: Mapping[str, Any] | None) -> Record | None:
        for place, record in self._ranked(file, self._index, key, request):
            if request is None or record.request == request:
                return record
            self._index.problems.setdefault(place[0], "its key belongs to another request")
        return None

    @contextlib.contextmanager
    def reading_many(self) -> Iterator[None]:
        """While many records are read: the file stays open, and what it holds is looked at anew after a moment, not for each.

        What is not in it is found missing as ever, by a look at the file as it is now.
        """
        with self._guard:
            self._readers += 1
        try:
            yield
        finally:
            with self._guard:
                self._readers -= 1
                self._look_away()

    def _share_file(self, key: str) -> io.FileIO | None:
        """The open file that many reads share, where it holds a key."""
        if not self._readers or key not in self._index.places:
            return None
        if self._glance is None or not self._glance.is_good(self._index):
            self._look_away()
            file = self._open()
            if file is None:
                return None
            self._glance = _Glance(file)
            self._glance.index = self._refresh(file)
        return self._glance.file if key in self._index.places else None

    def _look_away(self) -> None:
        glance, self._glance = self._glance, None
        if glance is not None:
            glance.file.close()

    def __contains__(self, key: object) -> bool:
        known = self._known(key)
        if known is not None:
            return known
        try:
            with self._reading():
                return key in self._index.places
        except StoreError:  # what cannot be read holds no answer; who asks for one is told why
            return False

    def _known(self, key: object) -> bool | None:
        """Whether there is a record of a key, ``None`` where the file must be read to tell."""
        index = self._index
        if key in self._buffer.waiting or (self._glance is not None and key in index.places and self._glance.is_good(index)):
            return True
        return key in index.places if index.is_current(self._target) else None  # neither lock nor file is needed

    def __len__(self) -> int:
        with self._reading():
            return len(self._index.places)

    def keys(self) -> list[str]:
        """The keys, in the order of the file."""
        with self._reading():
            return list(self._index.places)

    def providers(self) -> frozenset[str]:
        """The providers that the recorded requests were asked of; found anew where the file has changed."""
        with self._reading() as file:
            state = (len(self._index.places), self._index.end)
            if file is not None and self._providers[0] != state:
                requests = (request for _, request in read_requests(file, self._index.places.items()))
                self._providers = state, frozenset(str(r.get("provider", "")) for r in requests if isinstance(r, dict))
            return self._providers[1] if file is not None else frozenset()

    def records(self) -> Iterator[Record]:
        """The latest whole record of every key, in the order of the file."""
        with self.reading_many():
            yield from filter(None, map(self.get, self.keys()))

    def append(self, record: Record, line: bytes | None = None, *, wait: bool = True) -> bool:
        """Write one record; ``False``, with one warning, where it cannot or may not be written.

        ``line`` is the record as ``encode`` made it, read back already. With ``wait=False`` it can be read at once,
        and is written by ``flush`` or with one of the next records.
        """
        try:
            if line is None:
                line = encode(record)
                decode(line)
            secret = leak(line)
        except Damaged as error:
            self._warn("damaged", f"an answer was not recorded: {error}")
            return False
        if secret:
            self._warn(secret, f"an answer was not recorded: it, or its prompt, holds the value of {secret}")
            return False
        self._buffer.waiting[record.key] = line
        return self.flush(wait=wait) if wait or self._buffer.are_due else True

    def flush(self, *, wait: bool = True) -> bool:
        """Write the records that wait; ``False``, with one warning, where they cannot be written.

        With ``wait=False`` it is left to a thread that is writing already, if there is one.
        """
        try:
            self._buffer.flush(wait=wait)
        except (OSError, NotImplementedError, StoreError) as error:
            self.warn_unusable(error)
            return False
        return True

    def warn_unusable(self, error: Exception) -> None:
        """Warn once that answers are shown but not recorded, and why."""
        why = error.message if isinstance(error, StoreError) else getattr(error, "strerror", None) or type(error).__name__
        self._warn("write", f"{self.path.name} cannot be written ({why}): answers are shown, but not recorded")

    def tidy(self) -> Tidied:
        """Sort by key, remove duplicates, set damaged lines aside in ``NAME.rejected``: one atomic replacement under the lock.

        Raises ``StoreError`` where the file cannot be written or belongs to a newer version.
        """
        return self._rewrite({})

    def merge(self, *paths: Path | str) -> Tidied:
        """Add the records of other stores and tidy; of two records of a key the later ``created`` stays, else ours."""
        others: dict[str, Record] = {}
        for path in paths:
            other = Store(path)
            if not other.path.exists():
                raise StoreError(f"there is no store {other.path.name}", path=str(other.path))
            for record in other.records():
                secret = leak(encode(record))
                if secret:
                    self._warn(secret, f"a record was not merged: it holds the value of {secret}")
                elif record.key not in others or others[record.key].created < record.created:
                    others[record.key] = record
            self._facts = {**other._index.header, **self.header, **self._facts}
        return self._rewrite(others)

    def clear(self, keys: Collection[str] | None = None) -> int:
        """Move these records (default: all) to the store ``NAME.cleared`` and return how many; raises ``StoreError``.

        The header stays, damaged lines are set aside. ``merge`` with the path ``cleared`` brings the records back.
        """
        self.flush()
        with self._exclusive(), self._reading() as file:
            if file is None:
                return 0
            places = self._chosen(file, {})
            gone = [key for key in places if keys is None or key in keys]
            if gone:
                self._set_aside([normalize(read_at(file, places[key])) for key in gone])
            self._reject(self._index.damaged_lines(file))
            kept = [normalize(read_at(file, places[key])) for key in places.keys() - set(gone)]
            replace_whole(self._target, [self._header(), *sorted(kept)], file)
            self._index = Index(self._target)
        return len(gone)

    @property
    def cleared(self) -> Path:
        """Where ``clear`` moves records to."""
        return self._target.with_name(f"{self._target.name}.cleared")

    def _set_aside(self, lines: Iterable[bytes]) -> None:
        with open_regular(self.cleared, "a+b") as file:
            Index().refresh(file, self.cleared.name)
            start = self._header() if os.fstat(file.fileno()).st_size == 0 else b""
            append_whole(file, start + b"".join(lines))
            os.fsync(file.fileno())

    def remove_lock(self) -> None:
        """Take the lock's empty file away, unless somebody holds it."""
        self._lock.remove()

    def check(self) -> list[tuple[int, str]]:
        """Line number and fault of everything that is wrong with the file, every record read and its key recomputed."""
        with self._reading() as file:
            if file is None:
                return []
            index = Index().refresh(file, self.path.name)
            for key in index.places:
                for place, record in self._ranked(file, index, key):
                    if not is_genuine(record):
                        index.problems.setdefault(place[0], "its key is not the digest of its request")
                    if secret := leak(read_at(file, place)):
                        index.problems.setdefault(place[0], f"it holds the value of {secret}")
            if index.torn and not index.tail_is_whole:
                index.problems.setdefault(index.end, "the last line is torn")
            return self._numbered(file, index)

    def stats(self) -> Stats:
        """Counts, bytes, models, dates and cost; reads every record."""
        return summarize(self.records(), self._target.stat().st_size if self._target.exists() else 0)

    def nearest(self, request: Mapping[str, Any], among: int = NEAREST_OF) -> Record | None:
        """Of the ``among`` latest records the one whose request differs least: fewest leaves, then likeness of the texts."""
        with self._reading() as file:
            if file is None:
                return None
            known = self._index.list_last(among)
            best = nearest(request, read_requests(file, known))
            return next((record for key in best for _, record in self._ranked(file, self._index, key)), None)

    def _warn(self, kind: str, message: str) -> None:
        if kind not in self._warned:
            self._warned.add(kind)
            warn(message, StoreWarning)

    def _numbered(self, file: io.FileIO, index: Index) -> list[tuple[int, str]]:
        found, line, at = [], 1, 0
        file.seek(0)
        for offset, what in sorted(index.problems.items()):
            while at < offset:
                block = file.read(min(1 << 20, offset - at))
                if not block:
                    break
                line, at = line + block.count(b"\n"), at + len(block)
            found.append((line, what))
        return found

    @contextlib.contextmanager
    def _reading(self) -> Iterator[io.FileIO | None]:
        """The open file with its index brought up to date, or ``None`` where there is no file."""
        with self._guard:
            file = self._open()
            if file is None:
                yield None
                return
            with file:
                self._refresh(file)
                yield file

    def _open(self) -> io.FileIO | None:
        """The file, or ``None``, and an empty index, where there is none."""
        try:
            return open_regular(self._target)
        except FileNotFoundError:
            self._index = Index(self._target)
            return None
        except OSError as error:
            raise StoreError(f"{self.path.name} cannot be read as a store: {error.strerror}", path=str(self.path)) from error

    def _refresh(self, file: io.FileIO) -> Index:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise StoreError(f"{self.path.name} is not a file", path=str(self.path))
        index, self._index = self._index, Index(self._target)  # an interrupt in the middle leaves an empty index, never half of one
        self._index = index.refresh(file, self.path.name)
        return self._index

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        with self._guard:
            if self.path.is_symlink() and not (self._target.exists() and self._target.stat().st_size):
                raise OSError(errno.EINVAL, f"{self.path.name} is a symbolic link that leads to no store", str(self.path))
            if not self._target.parent.is_dir():
                self._target.parent.mkdir(parents=True, exist_ok=True)
            with self._lock.held():
                yield

    @contextlib.contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Hold the lock for what the user asked for by name: failures are errors, and newer formats are left alone."""
        try:
            with self._writing():
                self._look_away()  # Windows replaces no open file
                with self._reading():
                    self._index.require_known_version(self.path)
                yield
        except (OSError, NotImplementedError) as error:
            why = getattr(error, "strerror", None) or type(error).__name__
            raise StoreError(f"{self.path.name} cannot be written: {why}", path=str(self.path)) from error

    def _ranked(self, file: io.FileIO, index: Index, key: str, request: Mapping[str, Any] | None = None) -> Iterator[tuple[Place, Record]]:
        """The whole records of a key, the one that counts first: the later line, or after a merge conflict the later date."""
        found = self._loaded(file, index, key, request)
        return iter(sorted(found, key=lambda f: f[1].created, reverse=True)) if index.conflict else found

    @staticmethod
    def _loaded(file: io.FileIO, index: Index, key: str, request: Mapping[str, Any] | None) -> Iterator[tuple[Place, Record]]:
        for place in index.find_lines(key):
            line = read_at(file, place)
            try:
                record = decode(line, request)
            except Damaged as error:
                if not index.suspects(line, key):
                    index.problems.setdefault(place[0], str(error))
                continue
            if record.key == key:
                yield place, record
            else:
                index.suspects(line, key)

    def _write(self, lines: Mapping[str, bytes]) -> None:
        """Put lines at the end, in one call."""
        with self._writing(), open_regular(self._target, "a+b") as file:
            self._refresh(file)
            self._index.require_known_version(self.path)
            start = self._mend(file)
            size = os.fstat(file.fileno()).st_size
            if size == 0 or self._has_new_facts():
                start += self._header()
            append_whole(file, start + b"".join(lines.values()))
            self.appended += len(lines)
            if start:
                self._refresh(file)
            else:
                self._index.note_appended(lines, size, file)

    def _has_new_facts(self) -> bool:
        """Whether something is remembered that no header line of the file says; a later one adds to those before it."""
        new = {name: value for name, value in self._facts.items() if value is not None and self._index.header.get(name) != value}
        return bool(new) and not leak(header_line(new))

    def _known_facts(self) -> dict[str, Any]:
        return {k: v for k, v in {**self._index.header, **self._facts}.items() if v is not None}

    def _header(self) -> bytes:
        line = header_line(self._known_facts())
        secret = leak(line)
        if secret:
            self._warn(secret, f"the store's header was left empty: it holds the value of {secret}")
        return header_line({}) if secret else line

    def _mend(self, file: io.FileIO) -> bytes:
        """Set a torn last line aside; returns what must stand before the next line."""
        if not self._index.torn:
            return b""
        if self._index.tail_is_whole:
            return b"\n"
        file.seek(self._index.end)
        self._reject([file.read()])
        file.truncate(self._index.end)
        self._refresh(file)
        return b""

    def _reject(self, lines: Iterable[bytes]) -> int:
        """Keep damaged lines beside the store; returns how many there were."""
        whole = [mask_secrets(line).rstrip(b"\r\n") + b"\n" for line in lines if line.strip()]
        if whole:
            with open_regular(self._target.with_name(f"{self._target.name}.rejected"), "ab") as file:
                append_whole(file, b"".join(whole))
        return len(whole)

    def _rewrite(self, others: Mapping[str, Record]) -> Tidied:
        self.flush()
        with self._exclusive(), self._reading() as file:
            self._index = Index() if file is None else Index().refresh(file, self.path.name)
            index = self._index
            if file is None and not others:
                return Tidied()
            places = self._chosen(file, others) if file else {}
            new = {key: encode(record) for key, record in others.items() if key not in places}
            kept = sorted([*places, *new])
            doubles = sum(map(len, index.older.values()))
            rejected = self._reject(index.damaged_lines(file)) if file else 0
            lines = (new[k] if k in new or file is None else normalize(read_at(file, places[k])) for k in kept)
            replace_whole(self._target, itertools.chain([self._header()], lines), file)
            self._index = Index(self._target)
        return Tidied(kept=len(kept), dropped=doubles, rejected=rejected, added=len(new))

    def _chosen(self, file: io.FileIO, others: Mapping[str, Record]) -> dict[str, Place]:
        """Where the line of each key stands that is to stay; a key that another store answers later is left out."""
        chosen = {}
        for key in self._index.places:
            found = list(self._ranked(file, self._index, key))
            if len(found) > 1:
                for place, record in found:
                    if not is_genuine(record):
                        self._index.problems[place[0]] = "its key is not the digest of its request"
                found = [f for f in found if f[0][0] not in self._index.problems] or found[:1]
            if found and not (key in others and others[key].created > found[0][1].created):
                chosen[key] = found[0][0]
        return chosen
