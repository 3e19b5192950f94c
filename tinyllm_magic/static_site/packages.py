"""Finds the packages of a site as Pyodide takes them: pure wheels, or wheels built for it, through pip and its settings.

pip cannot resolve for another system than its own (it evaluates markers of the host), so that requirements are followed here, and
pip only fetches, all of one step at once. What has been found is kept, for the next site needs the same.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from ..errors import TinyLLMError
from ..extras import load_library
from . import wheels
from .wheels import canonical_name

LEFT_OUT = frozenset({"ipykernel", "jedi", "jupyterlab-widgets", "pexpect", "widgetsnbextension"})
"""Requirements that a site's kernel has in another form, or does without."""
_WITHOUT_COMPILED_PART = frozenset({"markupsafe", "pyyaml"})
_STAND_INS = {"rpds-py": "rpds.py"}
_NOT_FOUND = re.compile(r"No matching distribution found for ([A-Za-z0-9][\w.-]*)")
_HOSTS_PLATFORM: tuple[str, ...] = ("--only-binary=:all:",)

Progress = Callable[[str], None]


class PackageError(TinyLLMError):
    """Packages that could not be fetched for another reason than that there is none."""


@dataclass(frozen=True)
class Target:
    """For which Pyodide packages are wanted; ``abi`` such as ``2026_0``, ``python`` such as ``3.14.2``."""

    version: str
    python: str
    abi: str

    @property
    def platforms(self) -> tuple[str, str]:
        """The platform tags of its wheels, as PEP 783 and as Pyodide had them before."""
        return f"pyemscripten_{self.abi}_wasm32", f"pyodide_{self.abi}_wasm32"

    def markers(self, extra: str) -> dict[str, str]:
        """What environment markers say there."""
        short = ".".join(self.python.split(".")[:2])
        return {
            "extra": extra,
            "implementation_name": "cpython",
            "implementation_version": self.python,
            "os_name": "posix",
            "platform_machine": "wasm32",
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Emscripten",
            "platform_version": "",
            "python_full_version": self.python,
            "python_version": short,
            "sys_platform": "emscripten",
        }


@dataclass(frozen=True)
class Distribution:
    """Pyodide's own builds, where the author has them: wheels by name, what each needs, and their entries in its lock."""

    wheels: Mapping[str, Path] = field(default_factory=dict)
    needs: Mapping[str, Sequence[str]] = field(default_factory=dict)
    entries: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass
class Packages:
    """The wheels that were found, what each needs of the others, and what was not found."""

    wheels: dict[str, Path] = field(default_factory=dict)
    needs: dict[str, list[str]] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    def closure(self, names: Iterable[str]) -> set[str]:
        """These packages and all that they need, found or not."""
        seen: set[str] = set()
        todo = [canonical_name(name) for name in names]
        while todo:
            name = todo.pop()
            if name not in seen:
                seen.add(name)
                todo += self.needs.get(name, ())
        return seen


class Resolver:
    """Follows requirements for one Pyodide; ``folder`` keeps what was found, ``distribution`` has Pyodide's own builds, if any."""

    def __init__(self, target: Target, folder: Path, *, distribution: Distribution, progress: Progress, renew: bool = False) -> None:
        self._target, self._folder, self._distribution = target, folder, distribution
        self._progress, self._renew = progress, renew
        self._requirement: Any = load_library("packaging.requirements", "publish").Requirement

    def resolve(self, requirements: Iterable[str]) -> Packages:
        """All that these requirements need, as far as it can be had; raises ``PackageError`` where it cannot be looked for."""
        asked = sorted(set(requirements))
        kept = self._folder / f"found-{self._digest(asked)}.json"
        if not self._renew and (found := _read(kept, self._folder)):
            return found
        self._folder.mkdir(parents=True, exist_ok=True)
        packages = self._follow(asked)
        told = {
            "wheels": {n: str(p) if p.parent != self._folder else p.name for n, p in packages.wheels.items()},
            "needs": packages.needs,
            "missing": packages.missing,
        }
        kept.write_text(json.dumps(told, indent=1), encoding="utf-8")
        return packages

    def _digest(self, asked: Sequence[str]) -> str:
        told = json.dumps([asked, sorted(LEFT_OUT), sorted(self._distribution.wheels), self._target.version])
        return hashlib.sha256(told.encode()).hexdigest()[:16]

    def _follow(self, asked: Sequence[str]) -> Packages:
        packages, extras = Packages(), dict[str, set[str]]()
        todo = [self._requirement(r) for r in asked]
        while todo:
            new: dict[str, list[Any]] = {}
            for requirement in todo:
                name = canonical_name(requirement.name)
                if name not in LEFT_OUT:
                    new.setdefault(name, []).append(requirement)
            wanted = {
                n: f"{n}{','.join(str(r.specifier) for r in rs if str(r.specifier))}" for n, rs in new.items() if n not in packages.wheels
            }
            for name, wheel in self._fetch(wanted).items():
                packages.wheels[name] = wheel
            packages.missing += sorted(wanted.keys() - packages.wheels.keys() - set(packages.missing))
            todo = []
            for name, given in new.items():
                more = {extra for r in given for extra in r.extras} - extras.setdefault(name, set())
                if name in packages.wheels and (more or name not in packages.needs):
                    extras[name] |= more
                    needed = self._needed(packages.wheels[name], extras[name])
                    packages.needs[name] = sorted({canonical_name(r.name) for r in needed} - LEFT_OUT)
                    todo += needed
            todo = [r for r in todo if canonical_name(r.name) not in packages.missing]
        return packages

    def _needed(self, wheel: Path, extras: Iterable[str]) -> list[Any]:
        if wheel in self._distribution.wheels.values():
            return [self._requirement(name) for name in self._distribution.needs[wheels.name_of(wheel)]]
        needed = [self._requirement(line) for line in wheels.read_metadata(wheel).get_all("Requires-Dist") or ()]
        return [r for r in needed if r.marker is None or any(r.marker.evaluate(self._target.markers(e)) for e in ("", *extras))]

    def _fetch(self, wanted: Mapping[str, str]) -> dict[str, Path]:
        """The wheels of these requirements (name → requirement) that can be had."""
        found: dict[str, Path] = {}
        for name in wanted.keys() & _STAND_INS.keys():
            code = Path(__file__).parent.joinpath("in_page", _STAND_INS[name]).read_bytes()
            summary = f"Stands in for {name} in a web page"
            found[name] = wheels.write_wheel(self._folder, name, "0", {_STAND_INS[name]: code}, summary=summary)
        rest = {n: r for n, r in wanted.items() if n not in found}
        if rest:
            self._progress(f"fetching {', '.join(sorted(rest))}")
            found |= self._download(rest, self._for_pyodide())
        for name in rest.keys() & _WITHOUT_COMPILED_PART - found.keys():
            with tempfile.TemporaryDirectory() as folder:
                whole = self._download({name: rest[name]}, _HOSTS_PLATFORM, Path(folder))
                if name in whole:
                    found[name] = wheels.without_compiled_part(whole[name], self._folder)
        for name in rest.keys() - found.keys():
            pinned = "==" in rest[name]
            if name in self._distribution.wheels:
                found[name] = self._distribution.wheels[name]
            elif pinned and (free := self._download({name: name}, self._for_pyodide())):
                found |= free
        return found

    def _for_pyodide(self) -> tuple[str, ...]:
        short = self._target.python.split(".")[:2]
        platforms = [part for platform in self._target.platforms for part in ("--platform", platform)]
        abis = ["--abi", f"cp{''.join(short)}", "--abi", "abi3", "--abi", "none"]
        return ("--only-binary=:all:", *platforms, "--python-version", ".".join(short), "--implementation", "cp", *abis)

    def _download(self, wanted: Mapping[str, str], options: Sequence[str], folder: Path | None = None) -> dict[str, Path]:
        """What pip fetches of these requirements, once for all of them: without those that it says there are none of."""
        left = dict(wanted)
        while left:
            with tempfile.TemporaryDirectory() as beside:
                command = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps", "-d", beside]
                # what is wanted comes from metadata and from names of modules
                done = subprocess.run([*command, *options, *left.values()], capture_output=True, text=True, check=False)  # noqa: S603
                if done.returncode == 0:
                    return {wheels.name_of(p): _keep(p, folder or self._folder) for p in Path(beside).glob("*.whl")}
            absent = {canonical_name(name) for name in _NOT_FOUND.findall(done.stderr)} & left.keys()
            if not absent:
                raise PackageError(f"pip could not fetch packages: {_last_line(done.stderr)}", hint=_hint(done.stderr))
            left = {name: requirement for name, requirement in left.items() if name not in absent}
        return {}


def _keep(wheel: Path, folder: Path) -> Path:
    kept = folder / wheel.name
    shutil.move(wheel, kept)
    return kept


def _read(kept: Path, folder: Path) -> Packages | None:
    """What was found before, if all of it is still there."""
    try:
        told = json.loads(kept.read_text(encoding="utf-8"))
        found = {str(name): folder / str(file) for name, file in told["wheels"].items()}
        packages = Packages(found, {str(n): [*map(str, needs)] for n, needs in told["needs"].items()}, [*map(str, told["missing"])])
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
    return packages if all(path.exists() for path in found.values()) else None


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


def _hint(text: str) -> str:
    if "No module named pip" in text:
        return "This Python has no pip: `python -m ensurepip` brings it."
    return "It asks the index that pip is set to; what has been fetched once is kept."


def installed_versions(modules: Iterable[str]) -> dict[str, str]:
    """The distribution of each module that is installed here, as a requirement of this very version."""
    owners = metadata.packages_distributions()
    return {
        module: f"{canonical_name(owners[module][0])}=={metadata.version(owners[module][0])}" for module in modules if owners.get(module)
    }
