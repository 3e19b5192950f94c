"""Finds and reads template files by their names."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

from ..errors import PromptError, near, suggest

_LONGEST_NAME = 255  # what file systems allow
TEMPLATE_SUFFIXES = (".j2", ".jinja", ".jinja2", ".prompty")


def is_inline(name: str, folders: Sequence[Path] = ()) -> bool:
    """Whether this is a template's text (white space or a brace in it), not a file's name.

    A name with a space is a file's where it ends as a template's name does, or where there is such a file.

    >>> is_inline("greeting.j2"), is_inline("my greeting.j2"), is_inline("Hello {{ name }}")
    (False, False, True)
    """
    if re.search(r"[\s{}]", name) is None:
        return False
    if re.search(r"[\n{}]", name) or len(name) > _LONGEST_NAME:
        return True
    return not (name.endswith(TEMPLATE_SUFFIXES) or any((Path(f) / name).is_file() for f in folders or [Path()]))


def is_prompty(name: str) -> bool:
    """Whether this is the name of a ``.prompty`` file."""
    return name.endswith(".prompty") and not is_inline(name)


def find_template(name: str, folders: Sequence[Path]) -> Path:
    """The template file of this name, absolute or in one of ``folders`` (the first wins).

    Raises ``PromptError`` that says where it looked and which names are similar.
    """
    path = Path(os.path.expanduser(name))  # noqa: PTH111  # a "~" that names no home is left as it is
    places = [path] if path.is_absolute() else [Path(f) / name for f in folders]
    for place in places:
        if place.is_file():
            return place
    looked = ", ".join(map(str, places)) or "it in no folder"
    similar = near(path.name, list_names([path.parent] if path.is_absolute() else folders))
    inline = "Text with white space or a brace in it is taken as the template itself."
    raise PromptError(f"there is no template file {name!r}; looked for {looked}", hint=f"{suggest(similar)} {inline}".strip())


def list_names(folders: Iterable[Path]) -> set[str]:
    """The names of the files that lie in these folders."""
    return {entry.name for folder in folders if Path(folder).is_dir() for entry in os.scandir(folder) if entry.is_file()}


def load(folders: Sequence[Path], name: str) -> tuple[str, str, Callable[[], bool]] | None:
    """Text and path of an included file, and whether it is still the same; ``None`` where it is not found.

    Names use ``/``; one that leads out of the folders, also by a symbolic link, is not found, nor one that begins as
    the name of a cell does.
    """
    if name.startswith("<"):
        return None
    pieces = [p for p in name.split("/") if p not in ("", ".")]
    if any(p == os.pardir or "\\" in p or os.sep in p or ":" in p for p in pieces):
        return None
    for folder in folders:
        path = Path(folder).joinpath(*pieces)
        if path.is_file() and not leads_out(folder, path):
            return read(path), str(path), partial(_is_same, path, _read_stamp(path))
    return None


def leads_out(folder: Path, path: Path) -> bool:
    """Whether a path in this folder is a link to somewhere else."""
    return not path.resolve().is_relative_to(Path(folder).resolve())


def read(path: Path) -> str:
    """The text of a UTF-8 file, with or without a byte order mark; else ``PromptError`` naming it."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise PromptError(f"the template file {path} is not UTF-8 (see its line {line})") from error
    except OSError as error:
        raise PromptError(f"the template file {path} cannot be read: {error.strerror}") from error


def _read_stamp(path: Path) -> tuple[int, int] | None:
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_mtime_ns, facts.st_size


def _is_same(path: Path, stamp: tuple[int, int] | None) -> bool:
    return _read_stamp(path) == stamp
