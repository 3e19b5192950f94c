"""Compares two notebooks, two folders of them, or two revisions in git, each with what is recorded for it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from .notebook_diff import NotebookDiff, compare_notebooks
from .revisions import RevisionError, Version, VersionReader, read_versions


def compare(first: str, second: str) -> list[NotebookDiff]:
    """The differences of two versions: a path, ``REV:PATH``, or a revision alone, which is of the other's path.

    Of folders, and of two revisions alone, each notebook that has changed, came or went. Raises ``NotebookError``, ``StoreError`` and
    ``RevisionError`` (all ``TinyLLMError``) for what cannot be read or compared.
    """
    before, after = read_versions(first, second)
    with tempfile.TemporaryDirectory(prefix="tinyllm-diff-") as scratch:
        one, other = VersionReader(before, Path(scratch) / "before"), VersionReader(after, Path(scratch) / "after")
        if one.is_folder != other.is_folder:
            folder, notebook = (before, after) if one.is_folder else (after, before)
            raise RevisionError(f"{folder.text} is a folder and {notebook.text} is none: compare two of a kind")
        if one.is_folder:
            return list(_compare_folders(one, other))
        labels = before.text, after.text
        return [compare_notebooks(_name(before, after), one.read(), other.read(), labels)]


def _compare_folders(one: VersionReader, other: VersionReader) -> Iterator[NotebookDiff]:
    before, after = one.list_notebooks(), other.list_notebooks()
    labels = one.version.text, other.version.text
    for name in sorted({*before, *after}):
        if name in before and name in after and one.marks(name) == other.marks(name):
            continue
        old, new = (reader.read(name) if name in names else None for reader, names in ((one, before), (other, after)))
        found = compare_notebooks(name, old, new, labels)
        if found.is_different:
            yield found


def _name(before: Version, after: Version) -> str:
    """What both versions are called, or the new one where they are called otherwise."""
    names = [PurePosixPath(str(version.path).replace("\\", "/")).name for version in (before, after)]
    return names[0] if names[0] == names[1] else f"{names[0]} → {names[1]}"
