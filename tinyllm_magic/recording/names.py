"""Where the store of a notebook lies: beside it, in a folder for stores, or in a file that was named."""

from __future__ import annotations

from pathlib import Path

SUFFIX = ".llm.jsonl"


def store_beside(notebook: Path) -> Path:
    """The store of a notebook.

    >>> store_beside(Path("analysis.ipynb")).name
    'analysis.llm.jsonl'
    """
    return notebook.with_name(f"{notebook.stem}{SUFFIX}")


def place_store(named: Path | None, beside: Path) -> tuple[Path, bool]:
    """The store where a place is ``named``, else the one ``beside`` the notebook; and whether its name is the notebook's own.

    In a folder for stores each has the name that it would have beside its notebook. A store that has its notebook's name
    has siblings: the other stores around it.
    """
    if named is None:
        return beside, True
    return (named / beside.name, True) if named.is_dir() else (named, False)
