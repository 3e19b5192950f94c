"""Notebooks in, verdicts out: each runs from its store, offline, and every answer is compared with the saved one.

Knows what a kernel may see while it proves a notebook: its store, no key, no network.
Does not know how a kernel is driven, how outputs are compared, or how a verdict is printed.
"""

from __future__ import annotations

import copy
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from . import runs
from .cache import Store
from .errors import MissingExtraError, TinyLLMError
from .outputs import difference, error_of, shows_answer, was_executed, was_live
from .records import mask
from .runs import NotebookError
from .verdicts import DIFFERENT, FAILED, MISSING, NOTHING, SAME, CellVerdict, NotebookVerdict

_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|\AOPENAI_|\AAZURE_|\AANTHROPIC_", re.IGNORECASE)
_LOCAL = "localhost,127.0.0.1,::1"
_NOWHERE = "http://127.0.0.1:9"  # the discard port: programs that are not Python and mind proxies fail at once
_OFFLINE = Path(__file__).parent / "static" / "offline"

_IGNORED = "nbval-ignore-output"  # nbval's word for it
_LIVE = (
    "answered live, although this is strict replay",
    "→ the notebook sets TINYLLM_MODE in its environment before it loads the extension: take that out",
)

Told = Callable[[str], None]


@dataclass(frozen=True)
class Terms:
    """How notebooks are verified: ``timeout`` in seconds for each cell, ``workers`` notebooks side by side."""

    record: bool = False
    timeout: float = 600.0
    workers: int = 2
    allow_errors: bool = False


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


def verify(notebooks: Iterable[Path], terms: Terms | None = None, *, told: Told | None = None) -> Iterator[NotebookVerdict]:
    """Yield the verdict of each notebook as soon as it is known; ``told`` hears of progress from several threads."""
    terms, told = terms or Terms(), told or (lambda _line: None)
    with ThreadPoolExecutor(max(1, terms.workers)) as pool:
        under_way = [pool.submit(verify_one, path, terms, told) for path in notebooks]
        try:
            for future in as_completed(under_way):
                yield future.result()
        except BaseException:
            for future in under_way:
                future.cancel()
            runs.stop_all()
            raise


def verify_one(path: Path, terms: Terms, told: Told) -> NotebookVerdict:
    """The verdict of one notebook; what keeps it from running is in the verdict, never raised."""
    began = time.monotonic()
    try:
        verdict = _Trial(path, terms, told).verdict()
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


class _Trial:
    """One run of one notebook."""

    def __init__(self, path: Path, terms: Terms, told: Told) -> None:
        self.path, self.name, self.terms, self.told = path.absolute(), str(path), terms, told
        self.saved = runs.read(path)
        self.store = Store(self.path.with_name(f"{self.path.stem}.llm.jsonl"))
        self.at = 0
        language = _named(self.saved, "kernelspec", "language") or _named(self.saved, "language_info", "name")
        if language not in (None, "python"):
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
        if not self.terms.record:
            return NotebookVerdict(self.path, tuple(self._cells(now, notes)), notes=tuple(notes))
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
            self.told(f"{self.name}: cell {self.at} of {count}")

        with tempfile.TemporaryDirectory(prefix="tinyllm-verify-") as scratch:
            environ = dict(os.environ) if self.terms.record else closed_environment(os.environ)
            store = self.store.path if self.terms.record else self._copy(Path(scratch))
            environ |= {"TINYLLM_MODE": "auto" if self.terms.record else "replay", "TINYLLM_STORE": str(store)}
            environ |= {"JPY_SESSION_NAME": str(self.path), "IPYTHONDIR": scratch, "PYTHONDONTWRITEBYTECODE": "1"}
            runs.execute(notebook, self.path.parent, environ, timeout=self.terms.timeout, allow_errors=True, started=started)

    def _copy(self, folder: Path) -> Path:
        """The store to replay from: a copy, so that whatever the notebook does, the store stays as it is."""
        copied = folder / self.store.path.name
        if self.store.path.exists():
            shutil.copyfile(self.store.path, copied)
        return copied

    def _cells(self, now: Any, notes: list[str]) -> Iterator[CellVerdict]:
        """Strict replay: every cell against what was saved."""
        never_run = not any(was_executed(c) for c in self.saved.cells if c.cell_type == "code")
        has_store = self.store.path.exists()
        unstable: list[int] = []
        for number, (before, after) in enumerate(_code_cells(self.saved, now), 1):
            title, error = _title(before), error_of(after.get("outputs", ()))
            counts = was_executed(before) or (never_run and has_store)
            if error is not None and not counts:
                notes.append(f"cell {number} was never run; now it fails: {error[0]}: {_first(error[1])} (not counted)")
                yield CellVerdict(number, title, NOTHING)
            elif error is not None and not self._may_fail(before):
                yield self._failure(number, title, error)
            elif was_live(after.get("outputs", ())):
                yield CellVerdict(number, title, FAILED, _LIVE)
            elif not was_executed(before) or _has_tag(before, _IGNORED):
                yield CellVerdict(number, title, NOTHING)
            else:
                lines = difference(before.outputs, after.outputs)
                if lines and not shows_answer(before.outputs):
                    unstable.append(number)
                yield CellVerdict(number, title, DIFFERENT if lines else SAME, lines)
        if unstable:
            cells = ", ".join(map(str, unstable))
            notes.append(f"what differs in cell {cells} is no answer: tag a cell `{_IGNORED}` where its output may change")

    def _recorded(self, now: Any) -> Iterator[CellVerdict]:
        """Recording: every cell must run."""
        for number, (before, after) in enumerate(_code_cells(self.saved, now), 1):
            error = error_of(after.get("outputs", ()))
            if error is not None and not self._may_fail(before):
                yield self._failure(number, _title(before), error)
            else:
                yield CellVerdict(number, _title(before), SAME)

    def _may_fail(self, cell: Any) -> bool:
        return self.terms.allow_errors or _has_tag(cell, "raises-exception")

    def _failure(self, number: int, title: str, error: tuple[str, str]) -> CellVerdict:
        name, text = error
        lines = [line.rstrip() for line in text.splitlines() if line.strip()]
        if name != "ReplayMiss":
            return CellVerdict(number, title, FAILED, (f"{name}: {lines[0] if lines else ''}", *lines[1:]))
        if len(lines) > 1:
            lines[-1] = f"→ `tinyllm-magic verify --record {self.path.name}` records what is missing"
        return CellVerdict(number, title, MISSING, tuple(lines))

    def _keep(self, now: Any) -> None:
        """Write the executed outputs, unless nothing has changed: then the file stays as it is."""
        changed = any(not was_executed(b) or difference(b.outputs, a.outputs) for b, a in _code_cells(self.saved, now))
        if changed:
            now.metadata = self.saved.metadata
            runs.write_whole(now, self.path)

    def _tidy(self) -> None:
        """Fold in what the kernel has appended; the lock goes with the last who needs it."""
        if self.store.path.exists():
            self.store.tidy()
            self.store.remove_lock()


def closed_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment without secrets and with the network closed, for Python and what minds proxies."""
    kept = {k: v for k, v in environ.items() if not _SECRET.search(k) and not k.lower().endswith("_proxy")}
    kept["PYTHONPATH"] = os.pathsep.join(filter(None, (str(_OFFLINE), environ.get("PYTHONPATH"))))
    for name in ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy"):
        kept[name] = kept[name.upper()] = _NOWHERE
    kept["no_proxy"] = kept["NO_PROXY"] = _LOCAL
    return kept


def _code_cells(saved: Any, now: Any) -> Iterator[tuple[Any, Any]]:
    return ((b, a) for b, a in zip(saved.cells, now.cells, strict=True) if b.cell_type == "code")


def _runs(cell: Any) -> bool:
    return cell.cell_type == "code" and bool(cell.source.strip())


def _has_tag(cell: Any, tag: str) -> bool:
    return tag in (cell.metadata.get("tags") or ())


def _named(notebook: Any, part: str, name: str) -> Any:
    return (notebook.metadata.get(part) or {}).get(name)


def _title(cell: Any) -> str:
    """The first line of a cell, and for a prompt cell the first of its prompt."""
    lines = [line.strip() for line in cell.source.splitlines() if line.strip()]
    title = " ⏎ ".join(lines[:2] if lines and lines[0].startswith("%%") else lines[:1])
    return title if len(title) <= 80 else f"{title[:79]}…"


def _first(text: str) -> str:
    return next(iter(text.splitlines()), "")
