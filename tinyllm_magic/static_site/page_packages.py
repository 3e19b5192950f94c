"""Divides a page's packages: what a first answer imports comes at the start, the rest when it is first imported.

Modules alone go into the archive of the standard library, of which Python imports without unpacking anything; a package with other
files (data, compiled parts) is one that Pyodide unpacks at the start, or the page when it is imported.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from . import wheels

_SMALL = 60_000
"""Compressed bytes of a package's other modules that are taken along at once."""
_TESTS = frozenset({"test", "tests"})
_MARKS = (".pyi", "/py.typed", ".1")


@dataclass
class Layout:
    """Where each package of a page is."""

    library: dict[str, bytes] = field(default_factory=dict)
    """Files that the archive of the standard library has besides its own."""
    at_start: dict[str, Path] = field(default_factory=dict)
    """Wheels that Pyodide unpacks at the start, by package."""
    on_import: dict[str, Path] = field(default_factory=dict)
    """Wheels that are fetched when one of their modules is imported, by package."""

    def index(self) -> dict[str, dict[str, object]]:
        """The wheel of each module that is fetched on import."""
        unpacked = {name: not is_modules_alone(wheels.read_files(path)) for name, path in self.on_import.items()}
        return {
            module: {"file": path.name, "unpack": unpacked[name]}
            for name, path in self.on_import.items()
            for module in wheels.list_modules(path)
        }


def is_modules_alone(files: Mapping[str, bytes]) -> bool:
    """Whether a wheel can be imported from as it is: it has no data, nothing compiled, nothing for another place."""
    return all(name.endswith(".py") for name in files if ".dist-info/" not in name) and not any(".data/" in name for name in files)


def trim(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """A wheel's files without its tests, its manual pages and what only type checkers read."""
    return {n: d for n, d in files.items() if not (_TESTS & set(n.split("/")[:-1]) or n.endswith((*_MARKS, "/RECORD")))}


def divide(found: Mapping[str, Path], compiled: Mapping[str, bytes], folder: Path, *, whole_at_start: str = "") -> Layout:
    """Divide these wheels; the ones that are rewritten lie in ``folder``. One package may come whole at the start."""
    layout = Layout()
    (folder / "on_import").mkdir(parents=True)
    for name, wheel in sorted(found.items()):
        untrimmed = wheels.read_files(wheel)
        files = trim(untrimmed)
        needed = sorted(files.keys() & compiled.keys())
        if needed and is_modules_alone(files):
            _add_to_library(layout, name, wheel, files, compiled, folder)
        elif needed:
            other = {n: d for n, d in files.items() if n.endswith(".py") and n not in compiled}
            hot = {(f"{n}c" if n in compiled else n): compiled.get(n, d) for n, d in files.items() if n not in other}
            if name == whole_at_start or _is_small(other):
                hot |= other
            else:
                layout.on_import[name] = wheels.rewrite(wheel, files, folder / "on_import")
            layout.at_start[name] = wheels.rewrite(wheel, hot, folder)
        else:
            layout.library |= _head(files)
            layout.on_import[name] = wheel if files.keys() == untrimmed.keys() else wheels.rewrite(wheel, files, folder / "on_import")
    return layout


def _add_to_library(
    layout: Layout, name: str, wheel: Path, files: Mapping[str, bytes], compiled: Mapping[str, bytes], folder: Path
) -> None:
    layout.library |= {f"{n}c": compiled[n] for n in files if n in compiled} | _head(files)
    other = {n: d for n, d in files.items() if n.endswith(".py") and n not in compiled}
    if _is_small(other):
        layout.library |= other
    else:
        layout.on_import[name] = wheels.rewrite(wheel, files, folder / "on_import")


def _is_small(files: Mapping[str, bytes]) -> bool:
    return sum(len(zlib.compress(data)) for data in files.values()) < _SMALL


def _head(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """What ``importlib.metadata`` tells of a package that is not unpacked: all but its long description."""
    kept = {name: data.partition(b"\n\n")[0] + b"\n" for name, data in files.items() if name.endswith(".dist-info/METADATA")}
    return kept | {name: data for name, data in files.items() if name.endswith(".dist-info/entry_points.txt")}


def write_library(source: Path, compiled: Mapping[str, bytes], more: Mapping[str, bytes], target: Path) -> None:
    """Write the archive of the standard library: what was compiled as bytecode, and the files of the packages in it."""
    with zipfile.ZipFile(source) as archive:
        own = {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}
    files = {(f"{n}c" if n in compiled else n): compiled.get(n, data) for n, data in own.items()}
    wheels.write_archive(target, dict(sorted({**more, **files}.items())))
