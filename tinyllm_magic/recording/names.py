"""Where the store of a notebook lies, beside it, in a folder for stores, or in a file that was named; and what else lies beside it."""

from __future__ import annotations

from pathlib import Path

SUFFIX = ".llm.jsonl"
_QUESTIONS = ".batch-"


def store_beside(notebook: Path) -> Path:
    """The store of a notebook.

    >>> store_beside(Path("analysis.ipynb")).name
    'analysis.llm.jsonl'
    """
    return notebook.with_name(f"{notebook.stem}{SUFFIX}")


def ratings_beside(notebook: Path) -> Path:
    """The file of the blind ratings of a notebook's answers.

    >>> ratings_beside(Path("analysis.ipynb")).name
    'analysis.ratings.json'
    """
    return notebook.with_suffix(".ratings.json")


def batches_beside(store: Path) -> Path:
    """The file that says what of a store's requests was left with batch services.

    >>> batches_beside(Path("analysis.llm.jsonl")).name
    'analysis.batches.json'
    """
    return store.with_name(f"{_stem(store)}.batches.json")


def questions_beside(store: Path, name: str) -> Path:
    """The file of the questions of one batch that is under way."""
    return store.with_name(f"{_stem(store)}{_QUESTIONS}{name}.jsonl")


def batch_files(store: Path) -> dict[Path, str]:
    """The files there are of a store's batches, each with what its name adds to the store's."""
    stem = _stem(store)
    found = {batches_beside(store): ".batches.json"} if batches_beside(store).is_file() else {}
    ours = (path for path in store.parent.iterdir() if path.name.startswith(f"{stem}{_QUESTIONS}") and path.suffix == ".jsonl")
    return {**{path: path.name.removeprefix(stem) for path in ours}, **found}


def _stem(store: Path) -> str:
    return store.name.removesuffix(SUFFIX) if store.name.endswith(SUFFIX) else store.stem


def place_store(named: Path | None, beside: Path) -> tuple[Path, bool]:
    """The store where a place is ``named``, else the one ``beside`` the notebook; and whether its name is the notebook's own.

    In a folder for stores each has the name that it would have beside its notebook. A store that has its notebook's name
    has siblings: the other stores around it.
    """
    if named is None:
        return beside, True
    return (named / beside.name, True) if named.is_dir() else (named, False)
