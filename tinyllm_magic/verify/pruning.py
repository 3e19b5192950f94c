"""Takes the records that no notebook of a folder asks for out of the stores of its notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ..recording.maintenance import describe_cleared
from . import kernels
from .kernels import NotebookError
from .report import NotebookVerdict
from .stores import find_store


def add_neighbours(notebooks: Iterable[Path]) -> list[Path]:
    """The notebooks, and the other Python notebooks of their folders: they may use the same stores."""
    given = list(notebooks)
    known = {path.absolute() for path in given}
    folders = dict.fromkeys(path.absolute().parent for path in given)
    beside = (path for folder in folders for path in sorted(folder.glob("[!.]*.ipynb")) if path not in known)
    return [*given, *(path for path in beside if _is_python(path))]


def _is_python(path: Path) -> bool:
    try:
        return kernels.language_of(kernels.read(path)) == "python"
    except NotebookError:
        return True  # its verdict says what is wrong with it


def prune(verdicts: Sequence[NotebookVerdict]) -> Iterator[str]:
    """Move the records that no notebook asked for to the files ``NAME.cleared``, and yield lines that say so.

    Nothing is moved unless every cell of every notebook passed, and nothing out of a store beyond its notebook's folder:
    others may use it. Raises ``StoreError`` where a store cannot be written.
    """
    unfit = [verdict.path.name for verdict in verdicts if not verdict.passed]
    if unfit:
        yield f"nothing was pruned: not every cell of {', '.join(unfit)} passed"
        return
    answered = frozenset[str]().union(*(verdict.answered for verdict in verdicts))
    done = set[Path]()
    for verdict in verdicts:
        store = find_store(verdict.path.absolute()).store
        if store.path in done or not store.path.exists():
            continue
        done.add(store.path)
        if not store.path.is_relative_to(verdict.path.absolute().parent):
            yield f"{store.path.name} lies outside the folder of {verdict.path.name}, and others may use it: it was not pruned"
            continue
        unasked = set(store.keys()) - answered
        if unasked:
            yield f"{store.path.name}: {describe_cleared(store, store.clear(unasked))}"
            store.remove_lock()
        else:
            yield f"{store.path.name}: every record is asked for, nothing to prune"
