"""Writes the requests of a batch and the questions behind them into files (``write_parts``), and reads the questions back.

A part is what one batch may hold. Its file of requests is what the vendor gets; its file of questions stays here until the
answers have come, one line a request with all that a record needs beside the answer: whoever fetches needs no cell for it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, Self

from ..attachments.parts import draw_thumbnails
from ..clients.fallbacks import adapt
from ..clients.fetched_files import complete
from ..clients.prepared import PreparedCall
from ..errors import OptionError, StoreError, TinyLLMError
from ..messages import Request, read_request
from ..providers import batch_service
from ..providers.batch_service import BatchService
from ..recording.codec import dump
from ..redaction import leak

_KEY_FIRST = re.compile(rb'\{"key":"([\w:]+)",', re.ASCII)
_OF_A_CALL = ("extra_headers", "extra_query")  # what a request line has no place for


@dataclass
class Part:
    """The requests of one batch: their keys in order, the file that is uploaded, and the one that stays."""

    keys: list[str]
    requests: Path
    questions: Path
    size: int = 0
    digest: str = ""

    def digest_keys(self) -> str:
        """What names these requests, in whatever order they stand."""
        return hashlib.sha256("\n".join(sorted(self.keys)).encode()).hexdigest()


@dataclass(frozen=True)
class Question:
    """A request that was left with a batch service, and what its record keeps beside the answer."""

    request: Request
    thumbnails: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def write_parts(calls: Iterable[PreparedCall], service: BatchService, folder: Path, refused: dict[str, TinyLLMError]) -> list[Part]:
    """Write calls into as many parts as the limits of a batch make of them; what cannot be left goes to ``refused``, by key."""
    parts: list[Part] = []
    with _Files(folder) as files:
        for prepared in calls:
            key = prepared.request.key
            try:
                request, question = _write_call(prepared, service)
            except TinyLLMError as error:
                refused[key] = error
                continue
            part = parts[-1] if parts else None
            if part is None or len(part.keys) >= batch_service.MOST_REQUESTS or part.size + len(request) > batch_service.MOST_BYTES:
                part = Part([], *files.begin(len(parts)))
                parts.append(part)
            files.write(request, question)
            part.keys.append(key)
            part.size += len(request)
    for part in parts:
        part.digest = part.digest_keys()
    return parts


def _write_call(prepared: PreparedCall, service: BatchService) -> tuple[bytes, bytes]:
    """The line that is sent, and the line that stays; raises where a live call would, or where its answer could not be recorded."""
    for name in _OF_A_CALL:
        if prepared.request.params.get(name):
            raise OptionError(
                f"a batch has no place for {name} of a row", option=name, hint="Without --batch the same rows are asked live."
            )
    request, notes = adapt(prepared.request, prepared.services.unsupported, prepared.plan.route.facts)
    sent = service.write_line(replace(request, messages=complete(request.messages)), prepared.request.key)
    kept: dict[str, Any] = {"key": prepared.request.key, "request": prepared.request.canonical()}
    kept |= {"thumbnails": dict(thumbnails)} if (thumbnails := draw_thumbnails(prepared.request.messages)) else {}
    kept |= {"notes": notes} if notes else {}
    line = dump(kept)
    if secret := leak(line):
        raise StoreError(f"the prompt holds the value of {secret}: its answer could not be recorded, so it was not left in a batch")
    return sent, line


class _Files:
    """The two files that are being written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: tuple[BinaryIO, ...] = ()

    def begin(self, number: int) -> tuple[Path, Path]:
        self._close()
        paths = self._folder / f"{number}.requests", self._folder / f"{number}.questions"
        self._open = tuple(path.open("xb") for path in paths)
        return paths

    def write(self, *lines: bytes) -> None:
        for file, line in zip(self._open, lines, strict=True):
            file.write(line)

    def _close(self) -> None:
        for file in self._open:
            file.close()
        self._open = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._close()


def read_keys(path: Path) -> Iterator[str]:
    """The keys of the questions in a file; none where there is no file."""
    return (key for _, key in _read_places(path))


class Questions:
    """The questions of a job by the names of their requests; of the file only where each stands is kept in memory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._places = {batch_service.name_request(key): place for place, key in _read_places(path)}

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def get(self, name: str) -> Question | None:
        """The question of this name; ``None`` where there is none, or its line is damaged."""
        if name not in self._places:
            return None
        with self._path.open("rb") as file:
            file.seek(self._places[name])
            line = file.readline()
        try:
            kept = json.loads(line)
            return Question(read_request(kept["request"]), kept.get("thumbnails") or {}, tuple(kept.get("notes") or ()))
        except (ValueError, KeyError, TypeError, AttributeError):
            return None


def _read_places(path: Path) -> Iterator[tuple[int, str]]:
    """Where each question stands, and its key; what begins as no line of ours is passed over."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        place = 0
        for line in file:
            if begins := _KEY_FIRST.match(line):
                yield place, begins[1].decode()
            place += len(line)
