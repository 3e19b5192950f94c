"""Keeps what was left with batch services in ``NAME.batches.json`` beside the store: ``Job`` and ``JobFile``.

The file is written before anything is sent and after each step, whole or not at all, under a lock, so that any kernel can go
on where another one was lost. It holds ids, counts and times; the questions of a batch that is under way lie beside it.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import StoreError
from ..files import open_regular, replace_whole
from ..recording.lock import StoreLock
from ..recording.names import batches_beside, questions_beside

VERSION = 1
PATIENCE = 30.0  # seconds that a kernel waits for another one that writes the file
KEPT = 100  # batches that have ended and are still listed
UNSENT = ("written", "uploading", "uploaded")
"""The states of a job of which no batch can have been made yet."""
GONE = "gone"
"""The state of a job whose answers can be had no more."""
IN_DOUBT = "submitting"
"""The state of a job whose batch may have been made: only the service can tell."""


@dataclass
class Job:
    """Requests that were left, or are going to be left, with a batch service as one batch.

    ``id`` is our name of it, ``digest`` says which requests it holds, ``spelling`` is what ``-m`` takes to come to its
    model. ``status`` is one of ours until there is a batch, then the service's. ``failures`` are the lines of rows that
    failed and would again, by key. Times are UTC in ISO 8601.
    """

    id: str
    digest: str
    provider: str
    model: str
    spelling: str
    kind: str
    requests: int
    created: str
    status: str = UNSENT[0]
    refresh: bool = False
    file: str | None = None
    batch: str | None = None
    completed: int = 0
    failed: int = 0
    expires: str | None = None
    fetched: bool = False
    failures: dict[str, Any] = field(default_factory=dict)

    @property
    def is_open(self) -> bool:
        """Whether there is a batch whose answers were not fetched."""
        return self.batch is not None and not self.fetched

    @property
    def file_name(self) -> str:
        """The name under which its requests are uploaded."""
        return f"tinyllm-{self.id}.jsonl"


_FIELDS = {f.name: f for f in dataclasses.fields(Job)}
_TYPES: Mapping[str, type] = {"requests": int, "completed": int, "failed": int, "refresh": bool, "fetched": bool, "failures": dict}
_OPTIONAL = ("file", "batch", "expires")


class JobFile:
    """The jobs of one store. Reading waits for nobody; a change holds the lock."""

    def __init__(self, store: Path) -> None:
        self._store, self.path = store, batches_beside(store)
        self._lock = StoreLock(self.path, PATIENCE)

    def read(self) -> list[Job]:
        """All jobs, the oldest first; raises ``StoreError`` where the file cannot be read."""
        try:
            with open_regular(self.path) as file:
                text = file.readall()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._unusable(error.strerror or str(error)) from error
        try:
            found = json.loads(text)
            if found["version"] != VERSION:
                raise self._unusable(f"it is of version {found['version']}, which is not known here")
            return [_read_job(entry) for entry in found["batches"]]
        except (ValueError, KeyError, TypeError) as error:
            raise self._unusable(f"it is damaged ({error})") from error

    @contextmanager
    def changing(self) -> Iterator[list[Job]]:
        """The jobs, to be changed in place; what they are at the end is written. Raises ``StoreError`` where that cannot be."""
        try:
            with self._lock.held():
                jobs = self.read()
                yield jobs
                self._write(jobs)
        except OSError as error:
            raise self._unusable(error.strerror or str(error)) from error

    def save(self, job: Job) -> None:
        """Write what has become of one job."""
        with self.changing() as jobs:
            places = [place for place, known in enumerate(jobs) if known.id == job.id]
            if places:
                jobs[places[0]] = job
            else:
                jobs.append(job)

    def drop(self, job: Job) -> None:
        """Forget a job and its questions."""
        with self.changing() as jobs:
            jobs[:] = [known for known in jobs if known.id != job.id]
        self.remove_questions(job)

    def questions(self, job: Job) -> Path:
        """The file that holds the questions of a job until they are answered."""
        return questions_beside(self._store, job.id)

    def remove_questions(self, job: Job) -> None:
        """Take away the questions of a job that is over."""
        with suppress(OSError):
            self.questions(job).unlink(missing_ok=True)

    def claim(self, job: Job) -> StoreLock:
        """What a kernel holds while it leaves or fetches a job; it is free again when that kernel has ended."""
        return StoreLock(self.questions(job), 0)

    def _write(self, jobs: list[Job]) -> None:
        ended = [job for job in jobs if job.fetched]
        for job in ended[: max(len(ended) - KEPT, 0)]:
            jobs.remove(job)
        entries = [{name: value for name, value in vars(job).items() if value not in (_FIELDS[name].default, {})} for job in jobs]
        text = json.dumps({"version": VERSION, "batches": entries}, ensure_ascii=False, indent=1)
        replace_whole(self.path, [text.encode() + b"\n"])

    def _unusable(self, why: str) -> StoreError:
        hint = "Mend it, or move it away: batches that are under way are found again when their cells are run."
        return StoreError(f"{self.path.name} cannot be used: {why}", path=str(self.path), hint=hint)


def _read_job(entry: Any) -> Job:
    """A job as the file has it; raises ``ValueError`` for what is none."""
    job = Job(**{name: entry[name] for name in _FIELDS if name in entry})
    for name, value in vars(job).items():
        wanted = _TYPES.get(name, str)
        if not (isinstance(value, wanted) or (name in _OPTIONAL and value is None)):
            raise ValueError(f"{name} of a batch is {type(value).__name__}")
    if not job.id.isalnum():
        raise ValueError("the id of a batch is no name of ours")
    return job
