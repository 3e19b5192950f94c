"""Reads the notebooks of a site: their cells, their stores, and the files beside them that they need."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import TinyLLMError
from ..recording.lookup import Siblings
from ..recording.names import SUFFIX, store_beside
from ..redaction import leak
from ..verify import kernels
from ..verify.stores import find_store
from .source_code import Mentions, list_local, read_cells, read_module

_HEADING = re.compile(r"^#{1,3}\s+(.+?)\s*#*\s*$", re.MULTILINE)
_PROMPT = re.compile(r"^\s*%%llm\b|(?:^|=)\s*%llm\s", re.MULTILINE)
_MARKS = re.compile(r"[*`]|(?<!\w)_|_(?!\w)|!?\[([^\]]*)\]\([^)]*\)")
_TAKEN_ALWAYS = "config.ini"
_KEY_LINE = re.compile(rb"^[ \t]*\w*(?:key|token|secret|password)[ \t]*[=:].*(?:\r?\n|\Z)", re.IGNORECASE | re.MULTILINE)
_PROMPTS = "prompts"
_NEVER = (".ipynb", ".rejected", ".cleared", ".ratings.json")


class PublishError(TinyLLMError):
    """Notebooks that cannot be published as they are."""


@dataclass(frozen=True)
class SourceNotebook:
    """A notebook that is to be published, and what it takes along."""

    path: Path
    folder: str
    """The name of its own folder on the site."""
    content: Any
    mentions: Mentions
    files: dict[str, Path]
    """Files that it needs, by their path relative to the notebook; its store, and those beside it, are among them."""
    warnings: tuple[str, ...]

    @property
    def title(self) -> str:
        """Its first heading, else its name."""
        found = next((m[1] for cell in self._markdown() if (m := _HEADING.search(cell))), self.path.stem)
        return _MARKS.sub(r"\1", found)

    @property
    def introduction(self) -> str:
        """The first paragraph of its prose, without marks."""
        for cell in self._markdown():
            for paragraph in re.split(r"\n\s*\n", _HEADING.sub("", cell)):
                text = " ".join(_MARKS.sub(r"\1", paragraph).split())
                if text and not text.startswith(("<", "|", "!")):
                    return text
        return ""

    @property
    def prompts(self) -> int:
        """How many of its cells ask a model."""
        return sum(bool(_PROMPT.search(source)) for source in code_of(self.content))

    def _markdown(self) -> list[str]:
        return [cell.source for cell in self.content.cells if cell.cell_type == "markdown"]


def code_of(notebook: Any) -> list[str]:
    """The sources of its code cells."""
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def read_notebooks(paths: Sequence[Path]) -> list[SourceNotebook]:
    """The notebooks with what they take along; raises ``NotebookError``, and ``PublishError`` where one would give a secret away."""
    names = _name_folders(paths)
    return [_read_notebook(path, name) for path, name in zip(paths, names, strict=True)]


def _name_folders(paths: Sequence[Path]) -> list[str]:
    names: list[str] = []
    for path in paths:
        stem = re.sub(r"[^\w.-]+", "-", path.stem).strip(".-") or "notebook"
        name, number = stem, 2
        while name.lower() in {known.lower() for known in names}:
            name, number = f"{stem}-{number}", number + 1
        names.append(name)
    return names


def _read_notebook(path: Path, folder: str) -> SourceNotebook:
    content = kernels.read(path)
    home = path.absolute().parent
    mentions = read_cells(code_of(content))
    files: dict[str, Path] = {}
    for module in _follow_modules(home, mentions):
        files[module.relative_to(home).as_posix()] = module
    warnings = []
    for text in sorted(mentions.texts):
        found, outside = _find_files(home, text)
        files |= {p.relative_to(home).as_posix(): p for p in found}
        if outside:
            warnings.append(f"{text} lies outside the notebook's folder, and is not taken along")
    if any(name.startswith(f"{_PROMPTS}/") or (home / _PROMPTS / text).is_file() for name in files for text in mentions.texts):
        files |= {p.relative_to(home).as_posix(): p for p in _list_folder(home / _PROMPTS)}
    if (home / _TAKEN_ALWAYS).is_file():
        files[_TAKEN_ALWAYS] = home / _TAKEN_ALWAYS
    stores = _stores_of(path, content)
    if not stores:
        warnings.append("it has no recorded answers: a reader's prompt cells will all be refused")
    files |= stores
    _guard(path, files)
    return SourceNotebook(path, folder, content, mentions, files, tuple(warnings))


def _follow_modules(home: Path, mentions: Mentions) -> Iterator[Path]:
    """The modules beside the notebook that it imports, and those that they import; what they mention counts as mentioned."""
    seen: set[Path] = set()
    todo = sorted(mentions.modules)
    while todo:
        for path in list_local(home, todo.pop()):
            if path not in seen:
                seen.add(path)
                more = read_module(path)
                todo += sorted(more.modules)
                mentions.add(more)
                yield path


def _find_files(home: Path, text: str) -> tuple[list[Path], bool]:
    """The files beside the notebook that a text names, and whether it names a file elsewhere."""
    if not 0 < len(text) < 200 or any(sign in text for sign in "\n\0{}<>|") or text.strip(" ./\\") == "":
        return [], False
    try:
        if any(sign in text for sign in "*?[") and not Path(text).is_absolute():
            matched = [p for p in home.glob(text) if _may_go(home, p)]
            return matched, False
        place = home / text
        exists = place.exists()
        inside = place.resolve().is_relative_to(home.resolve())
    except (OSError, ValueError, NotImplementedError):
        return [], False
    if not exists:
        return [], False
    if not inside:
        return [], place.is_file()
    return (_list_folder(place) if place.is_dir() else [place] if _may_go(home, place) else []), False


def _list_folder(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if _may_go(folder, p)) if folder.is_dir() else []


def _may_go(home: Path, path: Path) -> bool:
    """Whether a file is one that a notebook reads: no hidden one, no other notebook, no link out of the folder."""
    hidden = any(part.startswith((".", "__pycache__")) for part in path.relative_to(home).parts)
    return path.is_file() and not hidden and not path.name.endswith((*_NEVER, SUFFIX)) and path.resolve().is_relative_to(home.resolve())


def _stores_of(path: Path, content: Any) -> dict[str, Path]:
    """The store of a notebook, under the name that its own has beside it, and those beside it that its saved answers come from."""
    found = find_store(path.absolute())
    own = found.store
    stores = {store_beside(path).name: own.path} if own.path.exists() else {}
    if found.has_siblings:
        saved = json.dumps([cell.get("outputs", ()) for cell in content.cells])
        for store in Siblings(own.path).readable():
            if not stores or any(key in saved for key in set(store.keys()) - set(own.keys())):
                stores[store.path.name] = store.path
    return stores


def _guard(path: Path, files: dict[str, Path]) -> None:
    for name, file in {path.name: path, **files}.items():
        secret = leak(file.read_bytes().decode("utf-8", "replace").encode())
        if secret:
            raise PublishError(f"{name} holds the value of {secret}: it is not published", hint="Take it out, and publish again.")


def read_published(name: str, path: Path) -> bytes:
    """What the site holds of a file: of ``config.ini`` no key, which no reader needs."""
    data = path.read_bytes()
    return _KEY_LINE.sub(b"", data) if name == _TAKEN_ALWAYS else data
