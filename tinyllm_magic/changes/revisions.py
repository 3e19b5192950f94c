"""Finds two versions of notebooks with their stores: files, folders, and what git keeps of them: a revision, or one with a path.

What git keeps is written into a temporary folder, notebooks beside their stores, and read there like any other.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from ..errors import ConfigError, TinyLLMError
from ..recording.names import SUFFIX
from ..recording.store import Store
from ..verify.kernels import NotebookError
from ..verify.stores import FoundStore, find_store
from .recorded_notebook import RecordedNotebook, read_recorded

_LFS = b"version https://git-lfs"
_NOTEBOOK = ".ipynb"


class RevisionError(TinyLLMError):
    """A version of a notebook that cannot be had: no git, no such revision, no such file in it."""


@dataclass(frozen=True)
class Version:
    """One side of a comparison: a file or folder, or with ``revision`` what git keeps under ``path``, seen from ``folder``.

    ``path`` is ``None`` where only a revision was given.
    """

    text: str
    path: str | None
    revision: str | None = None
    folder: Path = Path()

    def at(self, path: str, folder: Path) -> Version:
        """The same revision of this path."""
        name = path.removeprefix("./")
        return Version(f"{self.text}:{name}" if name else self.text, path, self.revision, folder)


def read_versions(first: str, second: str) -> tuple[Version, Version]:
    """Both sides of a comparison as they were typed; where one is a revision alone, it is of the other's path.

    Raises ``RevisionError`` for what is neither a file nor a revision, and where both are the same.
    """
    one, other = _read(first), _read(second)
    if one.path is None and other.path is not None:
        one = _beside(one, other)
    elif other.path is None and one.path is not None:
        other = _beside(other, one)
    if _identify(one) == _identify(other):
        raise RevisionError(f"{first} and {second} are the same: there is nothing to compare")
    return one, other


def _read(text: str) -> Version:
    if os.path.lexists(text):
        return Version(text, text)
    revision, colon, path = text.partition(":")
    if colon and revision and path:
        _resolve(revision, Path())
        return Version(text, path, revision)
    if text.endswith(_NOTEBOOK) or "\0" in text or not text:
        raise NotebookError(f"there is no notebook {text}")
    try:
        _resolve(text, Path())
    except RevisionError as error:
        raise RevisionError(f"there is neither a notebook nor a folder {text!r}, and no revision either: {error.message}") from None
    return Version(text, None, text)


def _beside(revision: Version, other: Version) -> Version:
    """A revision of the other side's path."""
    path = str(other.path)
    if other.revision is not None:
        return revision.at(path, other.folder)
    place = Path(path).absolute()
    folder = place if place.is_dir() else place.parent
    _resolve(str(revision.revision), folder)
    return revision.at("./" if place.is_dir() else f"./{place.name}", folder)


def _identify(version: Version) -> tuple[str, ...]:
    if version.revision is None:
        return ("", os.path.realpath(str(version.path)))
    path = _locate(version) if version.path is not None else ""
    return _resolve(version.revision, version.folder), path


def _locate(version: Version) -> str:
    """The path of what git keeps from the root of its repository; as it was typed, where git keeps no such file."""
    path, prefix = str(version.path), _git(["rev-parse", "--show-prefix"], version.folder).decode().strip()
    below = os.path.normpath(f"{prefix}{path}")
    here = "" if below == "." else below
    if path.startswith("./") or path == ".":
        return here
    kept = _run(["cat-file", "-e", f"{version.revision}:{path}"], version.folder).returncode == 0
    return path.strip("/") if kept else here


def _resolve(revision: str, folder: Path) -> str:
    """The tree's name in git's own digits; raises ``RevisionError``."""
    found = _run(["rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{tree}}"], folder)
    if found.returncode == 0:
        return found.stdout.decode().strip()
    if _run(["rev-parse", "--git-dir"], folder).returncode:
        raise RevisionError(f"{folder.absolute()} lies in no git repository, so that {revision!r} names nothing")
    hint = "In CI, check out with the history: `fetch-depth: 0`."
    raise RevisionError(f"git knows no revision {revision!r} here", hint=hint)


def _git(arguments: Sequence[str], folder: Path) -> bytes:
    done = _run(arguments, folder)
    if done.returncode:
        raise RevisionError(f"git {arguments[0]}: {done.stderr.decode('utf-8', 'replace').strip() or 'it failed'}")
    return done.stdout


def _run(arguments: Sequence[str], folder: Path) -> subprocess.CompletedProcess[bytes]:
    """Run git without its pager, locks and translations; raises ``RevisionError`` where there is none."""
    git = shutil.which("git")
    if git is None:
        raise RevisionError("revisions are read by git, which is not installed or not on the PATH")
    environ = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    return subprocess.run([git, "--no-pager", *arguments], cwd=folder, env=environ, capture_output=True, check=False)  # noqa: S603  # git


class VersionReader:
    """Reads notebooks of a version; what git keeps is written below ``scratch``."""

    def __init__(self, version: Version, scratch: Path) -> None:
        self.version, self._scratch = version, scratch
        self._root: Path | None = None
        self._written: dict[str, Path] = {}

    @property
    def is_folder(self) -> bool:
        """Whether this is a folder of notebooks."""
        if self.version.revision is None:
            return Path(str(self.version.path)).is_dir()
        return self.version.path is None or self._kind(_locate(self.version)) == "tree"

    def list_notebooks(self) -> list[str]:
        """The notebooks below a folder, by their paths from it; hidden ones are left out."""
        if self.version.revision is None:
            place = Path(str(self.version.path))
            found = [path.relative_to(place) for path in place.rglob(f"*{_NOTEBOOK}")]
            return sorted(path.as_posix() for path in found if not any(part.startswith(".") for part in path.parts))
        base = _locate(self.version) if self.version.path is not None else ""
        names = self._git(["ls-tree", "-r", "-z", "--name-only", self._tree, "--", *([f"{base}/"] if base else [])]).decode().split("\0")
        below = [PurePosixPath(name).relative_to(base) for name in names if name.endswith(_NOTEBOOK)]
        return sorted(str(path) for path in below if not any(part.startswith(".") for part in path.parts))

    def read(self, name: str | None = None) -> RecordedNotebook:
        """The notebook, or one of a folder's by its path from there.

        Raises ``NotebookError``, ``StoreError``, ``RevisionError``.
        """
        if self.version.revision is None:
            place = Path(str(self.version.path))
            return read_recorded(place / name if name is not None else place)
        base = PurePosixPath(_locate(self.version)) if self.version.path is not None else PurePosixPath()
        path = base / name if name is not None else base
        if self._kind(str(path)) != "blob":
            raise NotebookError(f"there is no notebook {path} in {self.version.revision}")
        folder = self._write_folder(path)
        return read_recorded(folder / path.name, self._find_store(path, folder))

    def marks(self, name: str) -> tuple[bytes, bytes]:
        """What tells one version of a folder's notebook and its store from another without reading them."""
        store = f"{name.removesuffix(_NOTEBOOK)}{SUFFIX}"
        if self.version.revision is None:
            return tuple(_read_file(Path(str(self.version.path)) / file) for file in (name, store))  # type: ignore[return-value]  # two
        base = PurePosixPath(_locate(self.version) if self.version.path is not None else "")
        return self._read_blob(str(base / name)), self._read_blob(str(base / store))

    def _find_store(self, path: PurePosixPath, folder: Path) -> FoundStore:
        """The store beside a notebook, or the one that settings name, where git keeps that."""
        beside = FoundStore(Store(folder / f"{path.stem}{SUFFIX}"), has_siblings=True)
        root = self._find_root()
        try:
            named = find_store(root / path)
            inside = PurePosixPath(named.store.path.relative_to(root).as_posix())
        except (ConfigError, ValueError):
            return beside
        if named.has_siblings or self._kind(str(inside)) != "blob":
            return beside
        target = folder / f"named{SUFFIX}.store"
        target.write_bytes(self._read_blob(str(inside)))
        return FoundStore(Store(target), has_siblings=False)

    def _write_folder(self, path: PurePosixPath) -> Path:
        """The folder in which a notebook and the stores beside it are written."""
        parent = str(path.parent)
        if parent not in self._written:
            self._written[parent] = self._scratch / str(len(self._written))
            self._written[parent].mkdir(parents=True)
            inside = [] if parent == "." else [f"{parent}/"]
            names = self._git(["ls-tree", "-z", "--name-only", self._tree, "--", *inside]).decode().split("\0")
            for name in names:
                if name.endswith(SUFFIX):
                    (self._written[parent] / PurePosixPath(name).name).write_bytes(self._read_blob(name))
        (self._written[parent] / path.name).write_bytes(self._read_blob(str(path)))
        return self._written[parent]

    def _read_blob(self, path: str) -> bytes:
        if self._kind(path) != "blob":
            return b""
        data = self._git(["cat-file", "blob", f"{self._tree}:{path}"])
        if data.startswith(_LFS):
            raise RevisionError(f"{path} is kept by Git LFS: only its pointer is in {self.version.revision}")
        return data

    def _kind(self, path: str) -> str:
        """``blob``, ``tree``, or nothing where there is no such path."""
        if path in ("", "."):
            return "tree"
        done = _run(["cat-file", "-t", f"{self._tree}:{path}"], self.version.folder)
        return done.stdout.decode().strip() if done.returncode == 0 else ""

    def _git(self, arguments: Sequence[str]) -> bytes:
        return _git(arguments, self._find_root())

    def _find_root(self) -> Path:
        if self._root is None:
            top = _run(["rev-parse", "--show-toplevel"], self.version.folder)
            bare = self.version.folder.absolute()
            self._root = Path(top.stdout.decode().strip()) if top.returncode == 0 else bare
        return self._root

    @cached_property
    def _tree(self) -> str:
        return _resolve(str(self.version.revision), self.version.folder)


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
