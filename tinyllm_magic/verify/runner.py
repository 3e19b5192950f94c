"""Runs notebooks from their stores, offline, and gives each a verdict by comparing its answers with the saved ones."""

from __future__ import annotations

import copy
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import MissingExtraError, TinyLLMError
from ..recording import copies, journal, misses
from ..redaction import mask
from . import kernels
from .cell_text import is_prompt, title_of
from .compare import difference, error_of, shows_answer, shows_error, was_executed, was_live
from .environment import closed_environment
from .kernels import NotebookError
from .report import DIFFERENT, FAILED, MISSING, NOTHING, SAME, CellVerdict, NotebookVerdict
from .stores import find_store

_IGNORED = "nbval-ignore-output"  # nbval's word for it
_LIVE = (
    "answered live, although this is strict replay",
    "→ the notebook sets TINYLLM_MODE in its environment before it loads the extension: take that out",
)
Progress = Callable[[str], None]


@dataclass(frozen=True)
class VerifyOptions:
    """How notebooks are verified: ``timeout`` in seconds for each cell, ``workers`` notebooks side by side.

    ``allow_empty`` accepts prompt cells that were never run and have no recorded answer; ``environ`` names
    variables that the kernel sees beyond the allowed ones.
    """

    record: bool = False
    timeout: float = 600.0
    workers: int = 2
    allow_errors: bool = False
    allow_empty: bool = False
    environ: tuple[str, ...] = ()


def find(places: Iterable[Path]) -> list[Path]:
    """The notebooks named, and those below the folders named; raises ``NotebookError`` where there is none."""
    found: list[Path] = []
    for place in places:
        if place.is_dir():
            below = [p for p in sorted(place.rglob("*.ipynb")) if not any(part.startswith(".") for part in p.relative_to(place).parts)]
            if not below:
                raise NotebookError(f"there is no notebook in {place}")
            found += below
        else:
            found.append(place)
    if not found:
        raise NotebookError("no notebook was named")
    return list({path.absolute(): path for path in found}.values())


def verify(
    notebooks: Iterable[Path], options: VerifyOptions | None = None, *, progress: Progress | None = None
) -> Iterator[NotebookVerdict]:
    """Yield the verdict of each notebook as soon as it is known; ``progress`` is called from several threads.

    Raises ``OptionError`` where a variable is to be let through that looks secret, ``MissingExtraError`` where notebooks cannot be run.
    """
    options, progress = options or VerifyOptions(), progress or (lambda _line: None)
    closed_environment(os.environ, options.environ)  # a name that is refused is refused before anything runs
    with ThreadPoolExecutor(max(1, options.workers)) as pool:
        under_way = [pool.submit(verify_one, path, options, progress) for path in notebooks]
        try:
            for future in as_completed(under_way):
                yield future.result()
        except BaseException:
            for future in under_way:
                future.cancel()
            kernels.stop_all()
            raise


def verify_one(path: Path, options: VerifyOptions, progress: Progress) -> NotebookVerdict:
    """The verdict of one notebook; what keeps it from running is in the verdict, never raised."""
    began = time.monotonic()
    try:
        verdict = NotebookRun(path, options, progress).verdict()
    except MissingExtraError:
        raise  # no notebook can run
    except TinyLLMError as error:
        verdict = NotebookVerdict(path, problem=error.message)
    except OSError as error:
        verdict = NotebookVerdict(path, problem=f"{error.strerror or type(error).__name__}: {error.filename or path.name}")
    except Exception as error:  # noqa: BLE001  # a file may hold anything, and the other notebooks are to be verified all the same
        verdict = NotebookVerdict(path, problem=f"{type(error).__name__}: {error}")
    return replace(_masked(verdict), path=path, seconds=time.monotonic() - began)


def _masked(verdict: NotebookVerdict) -> NotebookVerdict:
    """The verdict without secrets: the kernel did not know them, so it could not hide them."""
    cells = tuple(replace(c, title=mask(c.title), lines=tuple(map(mask, c.lines))) for c in verdict.cells)
    return replace(verdict, cells=cells, problem=mask(verdict.problem), notes=tuple(map(mask, verdict.notes)))


class NotebookRun:
    """One run of one notebook."""

    def __init__(self, path: Path, options: VerifyOptions, progress: Progress) -> None:
        self.path, self.name, self.options, self.progress = path.absolute(), str(path), options, progress
        self.saved = kernels.read(path)
        self.found = find_store(self.path)
        self.store = self.found.store
        self.at = 0
        self.errors: dict[int, tuple[str, str]] = {}
        self.answered: frozenset[str] = frozenset()
        language = kernels.language_of(self.saved)
        if language != "python":
            raise NotebookError(f"it is written in {language}; only Python notebooks are verified")

    def verdict(self) -> NotebookVerdict:
        """Run the notebook and compare."""
        notes = [f"{self.store.path.name}, line {line}: {what}" for line, what in self.store.check()]
        known = {r.key: r.created for r in self.store.records()}
        now = copy.deepcopy(self.saved)
        try:
            self._run(now)
        except NotebookError as error:
            return NotebookVerdict(self.path, problem=f"{error.message}{f' (cell {self.at})' if self.at else ''}", notes=tuple(notes))
        if not self.options.record:
            return self._compare(now, notes)
        cells = tuple(self._recorded(now))
        if not any(c.failed for c in cells):
            self._keep(now)
        self._tidy()
        new = sum(known.get(r.key) != r.created for r in self.store.records())
        return NotebookVerdict(self.path, cells, notes=tuple(notes), recorded=new)

    def _run(self, notebook: Any) -> None:
        count = sum(_runs(c) for c in notebook.cells)

        def started(_index: int, _cell: Any) -> None:
            self.at += 1
            self.progress(f"{self.name}: cell {self.at} of {count}")

        def failed(index: int, name: str, text: str) -> None:
            self.errors[index] = name, text

        with tempfile.TemporaryDirectory(prefix="tinyllm-verify-") as scratch:
            kernels.execute(
                notebook,
                self.path.parent,
                self._environment(Path(scratch)),
                timeout=self.options.timeout,
                allow_errors=True,
                started=started,
                failed=failed,
            )
            self.answered = journal.read_answered(_journal_in(Path(scratch)))

    def _environment(self, scratch: Path) -> dict[str, str]:
        """What the kernel sees: recording, the user's own environment; in strict replay a closed one, and a copy of the store."""
        if self.options.record:
            environ = {**os.environ, "TINYLLM_MODE": "auto"}
        else:
            environ = closed_environment(os.environ, self.options.environ)
            environ |= {"TINYLLM_MODE": "replay", "TINYLLM_STORE": str(self.found.copy_to(scratch)), copies.VARIABLE: str(scratch)}
        environ[journal.VARIABLE] = str(_journal_in(scratch))
        return environ | {"JPY_SESSION_NAME": str(self.path), "IPYTHONDIR": str(scratch), "PYTHONDONTWRITEBYTECODE": "1"}

    def _compare(self, now: Any, notes: list[str]) -> NotebookVerdict:
        """Strict replay: every cell against what was saved."""
        none_run = not any(was_executed(before) for before, _after, error in self._pairs(now) if _asks(before, error))
        must_answer = none_run and not self.options.allow_empty
        cells, unstable, found = [], [], 0
        for number, (before, after, error) in enumerate(self._pairs(now), 1):
            is_prompt, executed = _asks(before, error), was_executed(before)
            found += is_prompt and not executed and error is None
            if error is not None and not executed and not (is_prompt and must_answer):
                notes.append(f"cell {number} was never run; now it fails: {error[0]}: {_first(error[1])} (not counted)")
            cells.append(self._cell_verdict(number, before, after, error, counts=executed or (is_prompt and must_answer)))
            if cells[-1].verdict == DIFFERENT and not shows_answer(before.outputs):
                unstable.append(str(number))
        if unstable:
            notes.append(f"what differs in cell {', '.join(unstable)} is no answer: tag a cell `{_IGNORED}` where its output may change")
        return NotebookVerdict(self.path, tuple(cells), notes=tuple(notes), found=found, answered=self.answered)

    def _cell_verdict(self, number: int, before: Any, after: Any, error: tuple[str, str] | None, *, counts: bool) -> CellVerdict:
        title = title_of(before.source)
        if error is not None and not counts:
            return CellVerdict(number, title, NOTHING, (f"{error[0]}: {_first(error[1])}",))
        if error is not None and not self._may_fail(before):
            return self._failure(number, title, error)
        if was_live(after.get("outputs", ())):
            return CellVerdict(number, title, FAILED, _LIVE)
        if not was_executed(before) or _has_tag(before, _IGNORED):
            return CellVerdict(number, title, NOTHING)
        if error is not None and not shows_error(after.get("outputs", ()), error):
            return CellVerdict(
                number, title, FAILED, (f"{error[0]}: {_first(error[1])}", "→ no output shows this error, so it cannot be compared")
            )
        lines = difference(before.outputs, after.outputs)
        return CellVerdict(number, title, DIFFERENT if lines else SAME, lines)

    def _pairs(self, now: Any) -> Iterator[tuple[Any, Any, tuple[str, str] | None]]:
        """Each code cell as saved and as run, and the error that it ended with, whether an output shows it or not."""
        for index, (before, after) in enumerate(zip(self.saved.cells, now.cells, strict=True)):
            if before.cell_type == "code":
                yield before, after, error_of(after.get("outputs", ())) or self.errors.get(index)

    def _recorded(self, now: Any) -> Iterator[CellVerdict]:
        """Recording: every cell must run."""
        for number, (before, _after, error) in enumerate(self._pairs(now), 1):
            if error is not None and not self._may_fail(before):
                yield self._failure(number, title_of(before.source), error)
            else:
                yield CellVerdict(number, title_of(before.source), SAME)

    def _may_fail(self, cell: Any) -> bool:
        return self.options.allow_errors or _has_tag(cell, "raises-exception")

    def _failure(self, number: int, title: str, error: tuple[str, str]) -> CellVerdict:
        name, text = error
        lines = [line.rstrip() for line in text.splitlines() if line.strip()]
        if name != "ReplayMiss":
            return CellVerdict(number, title, FAILED, (f"{name}: {lines[0] if lines else ''}", *lines[1:]))
        return CellVerdict(number, title, MISSING, (*(line for line in lines if line not in misses.ADVICE), self._advice(lines)))

    def _advice(self, lines: Sequence[str]) -> str:
        """What to do about a missing answer: recording helps, unless the notebook itself asks for the replay."""
        record = f"`tinyllm-magic verify --record {self.path.name}` records what is missing"
        if {misses.CALL, misses.ENVIRONMENT_AND_CALL}.intersection(lines):
            return f"→ this call itself asks for the mode replay: take `--mode replay` (or `mode=`) out, then {record}"
        if self.options.record:
            return f"→ the notebook itself chooses the mode replay (`%llm_cache`, `%llm_config`, `override`): take that out, then {record}"
        return f"→ {record}"

    def _keep(self, now: Any) -> None:
        """Write the executed outputs, unless nothing has changed: then the file stays as it is."""
        changed = any(not was_executed(b) or difference(b.outputs, a.outputs) for b, a, _ in self._pairs(now))
        if changed:
            now.metadata = self.saved.metadata
            kernels.write_whole(now, self.path)

    def _tidy(self) -> None:
        """Fold in what the kernel has appended; the lock goes with the last who needs it."""
        if self.store.path.exists():
            self.store.tidy()
            self.store.remove_lock()


def _runs(cell: Any) -> bool:
    return cell.cell_type == "code" and bool(cell.source.strip())


def _asks(cell: Any, error: tuple[str, str] | None) -> bool:
    """Whether a cell asks a model: it says so, or its Python did, and missed its answer."""
    return is_prompt(cell.source) or (error is not None and error[0] == "ReplayMiss")


def _journal_in(scratch: Path) -> Path:
    return scratch / "answered"


def _has_tag(cell: Any, tag: str) -> bool:
    return tag in (cell.metadata.get("tags") or ())


def _first(text: str) -> str:
    return next(iter(text.splitlines()), "")
