"""The verdicts on cells and notebooks, as lines for a reader, as JUnit XML for a machine, and as an exit code."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..text_format import shorten
from .junit import ERROR, FAILURE, SKIPPED, Case, Suite, write_junit

SAME, DIFFERENT, MISSING, FAILED, NOTHING = "same", "different", "missing", "failed", "nothing to compare"
_MOST_CELLS, _MOST_LINES, _WIDTH = 6, 14, 150


@dataclass(frozen=True)
class CellVerdict:
    """What became of one code cell: its number (as a reader counts code cells, from 1), first line, verdict and evidence.

    A cell with nothing to compare has evidence where it failed.
    """

    number: int
    title: str
    verdict: str
    lines: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether this cell is not what was saved."""
        return self.verdict in (DIFFERENT, MISSING, FAILED)


@dataclass(frozen=True)
class NotebookVerdict:
    """What became of one notebook; ``problem`` says why it could not run, ``notes`` what the reader should know."""

    path: Path
    cells: tuple[CellVerdict, ...] = ()
    seconds: float = 0.0
    problem: str = ""
    notes: tuple[str, ...] = ()
    recorded: int | None = None
    """With ``--record``: how many answers were recorded anew."""
    found: int = 0
    """How many prompt cells without a saved output were answered from the store."""
    answered: frozenset[str] = frozenset()
    """The keys of the records that answered."""

    @property
    def exit_code(self) -> int:
        """0 all the same, 1 something differs or is missing, 2 could not run."""
        return 2 if self.problem else int(any(c.failed for c in self.cells))

    @property
    def passed(self) -> bool:
        """Whether every cell ran and gave what was saved, those included that have nothing to compare."""
        return not self.exit_code and not any(c.verdict == NOTHING and c.lines for c in self.cells)


def exit_code(verdicts: Iterable[NotebookVerdict]) -> int:
    """The exit code of several notebooks: the worst."""
    return max((v.exit_code for v in verdicts), default=2)


def describe(verdict: NotebookVerdict, *, whole_path: bool = False) -> Iterator[str]:
    """The lines of one notebook: the result, then the evidence; with its path where its name alone is not enough."""
    yield _headline(verdict, str(verdict.path) if whole_path else verdict.path.name)
    yield from (f"    {note}" for note in verdict.notes)
    failed = [c for c in verdict.cells if c.failed]
    for cell in failed[:_MOST_CELLS]:
        yield f"    cell {cell.number}: {cell.title}"
        yield from (f"      {_cut(line)}" for line in cell.lines[:_MOST_LINES])
    if len(failed) > _MOST_CELLS:
        numbers = ", ".join(str(c.number) for c in failed[_MOST_CELLS:])
        yield f"    … and {len(failed) - _MOST_CELLS} more: cells {numbers}"


def _headline(verdict: NotebookVerdict, name: str) -> str:
    seconds = f"({verdict.seconds:.1f} s)"
    if verdict.problem:
        return f"✗ {name}  could not run: {verdict.problem}"
    compared = [c for c in verdict.cells if c.verdict != NOTHING]
    if verdict.exit_code:
        kinds = [(DIFFERENT, "differ"), (MISSING, "have no recorded answer"), (FAILED, "failed")]
        counts = [(sum(c.verdict == kind for c in compared), words) for kind, words in kinds]
        parts = ", ".join(f"{n} of {_cells(len(compared))} {_singular(words, n)}" for n, words in counts if n)
        return f"✗ {name}  {parts} {seconds}"
    if verdict.recorded is not None:
        return f"● {name}  {_cells(len(verdict.cells))} run, {verdict.recorded} {_plural('answer', verdict.recorded)} recorded {seconds}"
    if not compared:
        found = f"; {_prompt_cells(verdict.found)} answered from the store" if verdict.found else ""
        return f"– {name}  nothing to compare: no cell has saved outputs{found} {seconds}"
    found = f", {_prompt_cells(verdict.found)} without saved outputs answered from the store" if verdict.found else ""
    return f"✓ {name}  {_cells(len(compared))} the same{found} {seconds}"


def _singular(words: str, count: int) -> str:
    return {"differ": "differs", "have no recorded answer": "has no recorded answer"}.get(words, words) if count == 1 else words


def _plural(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"


def _cells(count: int) -> str:
    return f"{count} {_plural('cell', count)}"


def _prompt_cells(count: int) -> str:
    return f"{count} prompt {_plural('cell', count)}"


def _cut(line: str) -> str:
    return shorten(line, _WIDTH)


def junit(verdicts: Sequence[NotebookVerdict]) -> bytes:
    """JUnit XML: a suite for each notebook, a test case for each code cell."""
    suites = []
    for verdict in verdicts:
        cases = [_case(cell) for cell in verdict.cells]
        cases += [Case("the notebook runs", ERROR, verdict.problem)] if verdict.problem else []
        suites.append(Suite(verdict.path.name, str(verdict.path), cases, verdict.seconds))
    return write_junit("tinyllm-magic verify", suites)


def _case(cell: CellVerdict) -> Case:
    name = f"cell {cell.number}: {cell.title}"
    if cell.failed:
        first = next(iter(cell.lines), "")
        return Case(name, FAILURE, f"{cell.verdict}: {first}", "\n".join(cell.lines), kind=cell.verdict)
    return Case(name, SKIPPED, NOTHING) if cell.verdict == NOTHING else Case(name)
