"""Builds the part of a site that is the same for all notebooks: JupyterLite with Pyodide's kernel, widgets and our extension."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from ..errors import MissingExtraError, TinyLLMError
from ..extras import load_library

_KERNEL = "@jupyterlite/pyodide-kernel-extension"
_APPS = ("notebooks", "lab", "tree")
_WITH_KERNEL = ("notebooks", "lab")
"""The applications in which notebooks run."""
_SITE = "tinyllm-magic-site"
_CONFIG = "jupyter-lite.json"
_PROVIDERS = {
    _KERNEL: "jupyterlite-pyodide-kernel",
    "@jupyter-widgets/jupyterlab-manager": "jupyterlab-widgets",
    "anywidget": "anywidget",
    "tinyllm-magic": "tinyllm-magic",
}
"""The front end's extensions, and which distribution brings each."""

_STARTING = "Python is being started in this page …"
_SIGN = 'id="jupyterlite-loading-indicator"'
_START_STYLE = """
.jupyterlite-moon { display: none; }
@media (prefers-color-scheme: dark) {
  body, #jupyterlite-loading-indicator { background-color: #212121; }
  .jupyterlite-loading-indicator-text { color: #bdbdbd; }
}
"""


class JupyterLiteError(TinyLLMError):
    """JupyterLite's own command failed; its last words are in the message."""


def pyodide_version() -> str:
    """The version of Pyodide that the installed kernel takes; raises ``MissingExtraError`` where it is not installed."""
    return str(load_library("jupyterlite_pyodide_kernel.constants", "publish").PYODIDE_VERSION)


def kernel_wheels_folder() -> Path:
    """Where the kernel's extension keeps the wheels that it brings."""
    return _find_extension(_KERNEL) / "static" / "pypi"


def build_app(cache: Path) -> Path:
    """The built application, from the cache or built now: it depends on what is installed, not on the notebooks."""
    extensions = [_find_extension(name) for name in _PROVIDERS]
    folder = cache / f"app-{_digest(extensions)}"
    if not (folder / _CONFIG).exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as beside:
            out = _build(Path(beside), extensions)
            shutil.rmtree(folder, ignore_errors=True)
            out.rename(folder)
    return folder


def configure(app: Path, *, settings: Mapping[str, Any]) -> None:
    """Add settings to an application's configuration, mappings merged level by level."""
    path = app / _CONFIG
    told = json.loads(path.read_text(encoding="utf-8"))
    _merge(told.setdefault("jupyter-config-data", {}), settings)
    path.write_text(json.dumps(told, indent=1, sort_keys=True), encoding="utf-8")


def add_kernel_start(app: Path, version: str, start: Mapping[str, Any]) -> str:
    """Lay what starts the kernel, as soon as a page opens, into an application; returns the address that is to be Pyodide's.

    ``start`` has the variables, packages and imports of the kernel.
    """
    place = app / "static" / "pyodide"
    worker = next((app / "extensions" / _KERNEL / "static").glob("comlink.worker.*.js")).relative_to(app).as_posix()
    told = {"VERSION": version, '"START"': json.dumps(start)}
    _write_script("kernel.mjs", place, told)
    _write_script("kernel_worker.mjs", place, {**told, "WORKER": f"../../{worker}"})
    _write_script("start_worker.js", app, {**told, "WORKER": worker})
    head = '<head>\n    <link rel="icon" href="./favicon.ico">\n    <script src="../start_worker.js"></script>'
    _change_pages(app, {"<head>": head})
    return f"./static/pyodide/kernel.mjs?{version}"


def show_start(app: Path) -> None:
    """Let each page say at once what it waits for: it is blank else until the application's scripts are there, some seconds.

    JupyterLite has a sign for that, which it can show no sooner; its moons would take the processor's time from what they stand for.
    """
    _change_pages(
        app,
        {
            f'{_SIGN} class="hidden"': _SIGN,
            "Loading JupyterLite...": _STARTING,
            "</head>": f"<style>{_START_STYLE}</style>\n</head>",
        },
    )
    configure(app, settings={"showLoadingIndicator": True})


def _change_pages(app: Path, changes: Mapping[str, str]) -> None:
    """Replace what stands in the pages of the applications that have a kernel, each text once."""
    for name in _WITH_KERNEL:
        page = app / name / "index.html"
        text = page.read_text(encoding="utf-8")
        for before, after in changes.items():
            text = text.replace(before, after, 1)
        page.write_text(text, encoding="utf-8")


def add_extension(app: Path) -> None:
    """Add what makes a cell wait for its kernel, where the application would ask the reader for one."""
    place = app / "extensions" / _SITE / "static"
    place.mkdir(parents=True)
    _write_script("wait_for_kernel.js", place, {})
    path = app / _CONFIG
    told = json.loads(path.read_text(encoding="utf-8"))
    told["jupyter-config-data"]["federated_extensions"].append(
        {"name": _SITE, "load": "static/wait_for_kernel.js", "extension": "./extension"}
    )
    path.write_text(json.dumps(told), encoding="utf-8")


def _write_script(name: str, folder: Path, told: Mapping[str, str]) -> None:
    text = (Path(__file__).parent / "in_page" / name).read_text(encoding="utf-8")
    for mark, value in told.items():
        text = text.replace(mark, value)
    (folder / name).write_text(text, encoding="utf-8")


def kernel_settings(pyodide_url: str, packages: list[str]) -> dict[str, Any]:
    """How the kernel is started: nothing is asked of any other address, and nothing that a reader does is kept in the browser."""
    memory = ["memoryStorageDriver"]
    kernel = {
        "pyodideUrl": pyodide_url,
        "disablePyPIFallback": True,
        "loadPyodideOptions": {"packages": packages},
    }
    return {
        "contentsAllJsonFile": "all.json",
        "enableMemoryStorage": True,
        "contentsStorageDrivers": memory,
        "settingsStorageDrivers": memory,
        "workspacesStorageDrivers": memory,
        "litePluginSettings": {f"{_KERNEL}:kernel": kernel},
        "settingsOverrides": {"@jupyterlab/apputils-extension:themes": {"adaptive-theme": True}},  # dark where the reader's system is
    }


def _merge(into: dict[str, Any], more: Mapping[str, Any]) -> None:
    for name, value in more.items():
        if isinstance(value, Mapping) and isinstance(into.get(name), dict):
            _merge(into[name], value)
        else:
            into[name] = value


def _build(folder: Path, extensions: list[Path]) -> Path:
    source, out = folder / "source", folder / "out"
    source.mkdir()
    build = {
        "ignore_sys_prefix": True,  # whatever else the author has installed is no part of the site
        "apps": _APPS,
        "no_sourcemaps": True,
        "no_unused_shared_packages": True,
        "federated_extensions": [str(path) for path in extensions],
    }
    (source / "jupyter_lite_config.json").write_text(json.dumps({"LiteBuildConfig": build}), encoding="utf-8")
    command = [sys.executable, "-m", "jupyterlite_core", "build", "--lite-dir", str(source), "--output-dir", str(out)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)  # noqa: S603  # our own words
    if done.returncode or not (out / _CONFIG).exists():
        lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()] or ["it said nothing"]
        raise JupyterLiteError(f"JupyterLite could not be built: {lines[-1]}")
    icons = out / "static" / "favicons"  # the notebook's page asks for them, and JupyterLite has them not
    icons.mkdir(parents=True)
    for name in ("favicon-notebook.ico", "favicon-busy-1.ico"):
        shutil.copyfile(out / "notebooks" / "favicon.ico", icons / name)
    return out


def _digest(extensions: list[Path]) -> str:
    """Which application this is: versions, and the content of the extensions."""
    told = [metadata.version(name) for name in ("jupyterlite-core", "jupyterlite-pyodide-kernel")]
    told += [json.dumps(_APPS), *(line for folder in extensions for line in _contents(folder))]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]


def _contents(folder: Path) -> Iterator[str]:
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        yield f"{folder.name}/{path.relative_to(folder).as_posix()} {hashlib.sha256(path.read_bytes()).hexdigest()}"


def _find_extension(name: str) -> Path:
    """The folder of a prebuilt extension; of our own, in a checkout the one that the checkout holds."""
    checkout = Path(__file__).parent.parent / "labextension" / "prebuilt"
    if name == "tinyllm-magic" and checkout.exists():
        return checkout
    ending = f"labextensions/{name}/package.json"
    try:
        files = metadata.files(_PROVIDERS[name]) or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.as_posix().endswith(ending):
            return Path(str(file.locate())).resolve().parent
    hint = 'pip install "tinyllm-magic[publish]" installs what is needed here.'
    raise MissingExtraError(f"publishing needs the package {_PROVIDERS[name]}", hint=hint, extra="publish")
