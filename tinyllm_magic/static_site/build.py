"""Plans a site and writes it: what each notebook needs, what of it can be had in a browser, and then the files."""

from __future__ import annotations

import gzip
import hashlib
import html
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from ..recording.names import SUFFIX
from ..recording.store import Store
from ..settings.paths import cache_folder
from . import jupyterlite, pages, pyodide, wheels
from .bytecode import FirstAnswer, Sample, compile_first_answer
from .notebooks import PublishError, SourceNotebook, code_of, read_notebooks, read_published
from .packages import LEFT_OUT, Distribution, Packages, Resolver, installed_versions
from .page_packages import Layout, divide, is_modules_alone, trim, write_library

_MARK = ".tinyllm-site.json"
_SITE = "tinyllm_magic_site"
_SITE_NAME = "tinyllm-magic-site"
_OWN = "tinyllm-magic"
_IN_PAGE = Path(__file__).parent / "in_page"
_KERNEL = ("micropip", "piplite", "ipykernel", "comm", "pyodide-kernel", "jedi", "ipython")
"""What the kernel loads where it is not told that it is there."""
_HOME = "/home/pyodide"
_ENVIRON = {
    "HOME": _HOME,
    "TINYLLM_MODE": "replay",
    "TINYLLM_CONFIG_DIR": f"{_HOME}/.tinyllm",
}
_FOR_LIVE_CALLS = frozenset({"filelock", "nh3", "openai", "stamina", "tiktoken", "truststore"})
"""Requirements of ours that a page does without, where every answer is recorded."""
_ON_DEMAND = frozenset({"narwhals", "pillow"})
"""Requirements of ours that only some notebooks need."""
_EXTRAS = {
    "images": ("pillow",),
    "files": ("pypdf",),
    "sdk": ("openai",),
    "stats": ("numpy", "scipy", "scikit-learn", "statsmodels", "krippendorff"),
}
_FRAMES = frozenset({"pandas", "polars", "pyarrow"})

_FRONT_END = 2_200_000
"""Bytes of JupyterLite's own scripts that a notebook's page fetches, compressed."""

Progress = Callable[[str], None]


@dataclass(frozen=True)
class PublishOptions:
    """How a site is made; ``title`` stands on its first page, ``distribution`` is a folder with Pyodide's own builds."""

    title: str = "Notebooks"
    distribution: Path | None = None
    renew: bool = False
    """Whether packages are looked for anew, where they were found before."""


@dataclass(frozen=True)
class PlannedNotebook:
    """A notebook, the packages that it loads when it runs, and what it needs that a browser cannot have."""

    source: SourceNotebook
    packages: tuple[str, ...]
    absent: tuple[str, ...]

    def sentences(self) -> list[str]:
        """What a reader cannot run of it."""
        if not self.absent:
            return []
        names = ", ".join(self.absent)
        return [f"Cells that need {names} fail when they are run here: there is no build for the browser."]


@dataclass
class Plan:
    """All that is known before anything is written."""

    options: PublishOptions
    notebooks: list[PlannedNotebook]
    packages: Packages
    core: pyodide.Core
    distribution: Distribution = field(default_factory=Distribution)

    def warnings(self) -> list[str]:
        """What the author should know before the site is written."""
        lines = []
        for planned in self.notebooks:
            name = planned.source.path.name
            if planned.absent:
                lines.append(f"{name}: {', '.join(planned.absent)} cannot be had for the browser; it can be read, and runs without them")
            lines += [f"{name}: {warning}" for warning in planned.source.warnings]
        return lines


def plan_site(paths: Sequence[Path], options: PublishOptions, progress: Progress) -> Plan:
    """Find all that a site of these notebooks needs; nothing is written but the cache."""
    cache = cache_folder() / "publish"
    sources = read_notebooks(paths)
    core = pyodide.bring_core(jupyterlite.pyodide_version(), cache)
    distribution = core.read_distribution(options.distribution)
    resolver = Resolver(core.target, cache / "wheels", distribution=distribution, progress=progress, renew=options.renew)
    modules = {source.folder: source.mentions.foreign(source.path.absolute().parent) for source in sources}
    known = installed_versions({module for names in modules.values() for module in names})
    wanted = {source.folder: _requirements(source, modules[source.folder], known) for source in sources}
    packages = resolver.resolve([*_own_requirements(), *(r for needed in wanted.values() for r in needed)])
    return Plan(options, [_plan(s, wanted[s.folder], packages) for s in sources], packages, core, distribution)


def write_site(plan: Plan, folder: Path) -> list[str]:
    """Write the site into a folder that is empty, new, or was one before; returns what there is to say."""
    _require_own(folder)
    cache = cache_folder() / "publish"
    app = jupyterlite.build_app(cache)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as beside:
        new = Path(beside) / "site"
        shutil.copytree(app, new / "run")
        _write_run(plan, new / "run", Path(beside))
        _write_pages(plan, new)
        (new / _MARK).write_text(json.dumps({"made by": _OWN, "version": metadata.version(_OWN)}), encoding="utf-8")
        (new / ".nojekyll").touch()  # GitHub Pages leaves files out otherwise whose names begin with _
        if folder.exists():
            shutil.rmtree(folder)
        new.rename(folder)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return [
        f"Written: {len(plan.notebooks)} notebook{'s' * (len(plan.notebooks) != 1)} in {folder}, {size / 1e6:.0f} MB.",
        f"Look at it: {Path(sys.executable).name} -m http.server -d {folder} 8000, then http://localhost:8000",
    ]


def _require_own(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise PublishError(f"{folder} is a file")
    if folder.exists() and any(folder.iterdir()) and not (folder / _MARK).exists():
        hint = "Name a new or empty folder, or one that `tinyllm-magic publish` has written."
        raise PublishError(f"{folder} holds something that is no published site", hint=hint)


def _own_requirements() -> list[str]:
    """What this package needs in a page, without what only some notebooks need, and what the kernel needs beside it."""
    own = [line for line in metadata.requires(_OWN) or () if "extra ==" not in line]
    kept = [line.partition(";")[0].strip() for line in own if wheels.required_name(line) not in LEFT_OUT | _FOR_LIVE_CALLS | _ON_DEMAND]
    return [*kept, "comm", "ipython"]


def _requirements(source: SourceNotebook, modules: set[str], known: Mapping[str, str]) -> list[str]:
    """What a notebook imports, in the versions that are installed here, and what the parts of this package need that it uses."""
    found = {known.get(module, wheels.canonical_name(module)) for module in modules}
    found |= {name for extra in source.mentions.extras for name in _EXTRAS[extra]}
    if modules & _FRAMES:
        found.add("narwhals")
    return sorted(found)


def _plan(source: SourceNotebook, wanted: Sequence[str], packages: Packages) -> PlannedNotebook:
    names = [wheels.required_name(requirement) for requirement in wanted]
    closure = packages.closure(names)
    absent = sorted(closure & set(packages.missing)) + sorted(source.mentions.absent)
    loaded = tuple(sorted(name for name in names if name in packages.wheels))
    return PlannedNotebook(source, loaded, tuple(absent))


def _write_run(plan: Plan, run: Path, scratch: Path) -> None:
    """The application with Pyodide, its packages and the notebooks."""
    found, own = _collect_wheels(plan, scratch)
    first, layout = _divide_packages(plan, found, own, scratch)
    builds = _builds(plan, found)
    loaded = Packages({**layout.at_start, **builds}, dict(plan.packages.needs))
    loaded.wheels[_SITE_NAME] = _site_wheel(plan, scratch, layout.index())
    place = run / "static" / "pyodide"
    plan.core.write(place, loaded, plan.distribution)
    (place / "on_import").mkdir()
    for wheel in layout.on_import.values():
        shutil.copyfile(wheel, place / "on_import" / wheel.name)
    write_library(plan.core.folder / "python_stdlib.zip", first.compiled, layout.library, place / "python_stdlib.zip")
    startup = f"/lib/python{'.'.join(plan.core.target.python.split('.')[:2])}/site-packages/{_SITE}/console.py"
    start = {
        "env": {**_ENVIRON, "PYTHONSTARTUP": startup},
        "packages": [*layout.at_start, *sorted(builds.keys() & _own_closure(plan)), _SITE_NAME],
        "imports": first.imports,
    }
    kernel = jupyterlite.add_kernel_start(run, plan.core.target.version, start)
    jupyterlite.add_extension(run)
    jupyterlite.show_start(run)
    jupyterlite.configure(run, settings=jupyterlite.kernel_settings(kernel, [*_KERNEL]))
    _write_contents(plan, run)


def _collect_wheels(plan: Plan, scratch: Path) -> tuple[dict[str, Path], Path]:
    """All wheels of the site by package, and this package's own."""
    found = dict(plan.packages.wheels) | pyodide.list_kernel_wheels(jupyterlite.kernel_wheels_folder())
    for name, files in _stand_ins().items():
        found[name] = wheels.write_wheel(scratch, name, "0", files, summary="Stands in for the package of this name in a web page")
    own = found[_OWN] = _own_wheel(scratch)
    return found, own


def _divide_packages(plan: Plan, found: Mapping[str, Path], own: Path, scratch: Path) -> tuple[FirstAnswer, Layout]:
    """What of the packages comes at the start, and the bytecode of what is imported first; Pyodide's own builds stay as they are."""
    theirs = {name: wheel for name, wheel in found.items() if name not in _builds(plan, found)}
    first_names = {*_KERNEL, _OWN} | _own_closure(plan)
    paths = [path for name, path in theirs.items() if name in first_names]
    places = {path: "library" if is_modules_alone(trim(wheels.read_files(path))) else "site" for path in paths}
    cache = cache_folder() / "publish" / "compiled"
    first = compile_first_answer(plan.core.folder, plan.core.target.version, places, own, _sample(plan), cache)
    layout = divide(theirs, first.compiled, scratch / "wheels", whole_at_start=_OWN)
    if _OWN not in layout.at_start:  # nothing could be compiled
        layout.at_start[_OWN] = layout.on_import.pop(_OWN)
    return first, layout


def _builds(plan: Plan, found: Mapping[str, Path]) -> dict[str, Path]:
    """Pyodide's own builds among these wheels: it loads them itself, for they may need libraries beside them."""
    return {name: wheel for name, wheel in found.items() if plan.distribution.wheels.get(name) == wheel}


def _own_closure(plan: Plan) -> set[str]:
    """What this package and the kernel need, whatever the notebooks import."""
    return plan.packages.closure(map(wheels.required_name, _own_requirements()))


def _sample(plan: Plan) -> Sample:
    """The cells of a notebook until its first prompt, with its store: what they import is what any first answer imports."""
    source = next((planned.source for planned in plan.notebooks if planned.source.prompts), plan.notebooks[0].source)
    stores = {name: path.read_text(encoding="utf-8") for name, path in source.files.items() if name.endswith(SUFFIX)}
    cells = code_of(source.content)
    prompt = next((number for number, cell in enumerate(cells) if cell.startswith("%%llm")), -1)
    return Sample(source.path.name, stores, cells[: prompt + 1])


def _stand_ins() -> dict[str, dict[str, bytes]]:
    """What the kernel asks for by name and a page does without: its installers, and Jedi, without which IPython completes too."""
    installer = (_IN_PAGE / "piplite.py").read_bytes()
    return {"jedi": {}, "micropip": {"micropip.py": b"from piplite import install\n"}, "piplite": {"piplite.py": installer}}


def _own_wheel(folder: Path) -> Path:
    """This package as it is installed here, without what only a Jupyter server or a shell needs."""
    home = Path(__file__).parent.parent
    left_out = {"changes", "labextension", "static_site", "verify", "__pycache__"}
    files = {
        f"{home.name}/{path.relative_to(home).as_posix()}": path.read_bytes()
        for path in sorted(home.rglob("*"))
        if path.is_file() and not left_out & set(path.relative_to(home).parts[:-1])
    }
    return wheels.write_wheel(folder, _OWN, metadata.version(_OWN), files)


def _site_wheel(plan: Plan, folder: Path, on_import: Mapping[str, object]) -> Path:
    """The notebooks' stores and files, each content once, and what lays them out when a kernel starts."""
    files = {f"{_SITE}/__init__.py": b"", f"{_SITE}/on_import.json": json.dumps(on_import).encode()}
    for name in ("startup.py", "console.py", "on_import.py"):
        files[f"{_SITE}/{name}"] = (_IN_PAGE / name).read_bytes()
    told = {}
    for planned in plan.notebooks:
        layout = {}
        for name, path in planned.source.files.items():
            data = read_published(name, path)
            digest = hashlib.sha256(data).hexdigest()[:20]
            files[f"{_SITE}/files/{digest}"] = data
            layout[name] = digest
        told[planned.source.folder] = {"name": planned.source.path.name, "packages": _unpacked(plan, planned), "files": layout}
    files[f"{_SITE}/notebooks.json"] = json.dumps(told, indent=1).encode()
    return wheels.write_wheel(folder, _SITE_NAME, "0", files)


def _unpacked(plan: Plan, planned: PlannedNotebook) -> list[str]:
    """The packages of a notebook that Pyodide has to load when it is opened."""
    return sorted(plan.packages.closure(planned.packages) & _builds(plan, plan.packages.wheels).keys())


def _write_contents(plan: Plan, run: Path) -> None:
    """The drive of the application: one folder for each notebook, and the lists that JupyterLite reads."""
    folders = []
    for planned in plan.notebooks:
        source = planned.source
        place = run / "files" / source.folder
        place.mkdir(parents=True)
        content = {**source.content, "metadata": {**source.content.metadata, "kernelspec": _KERNELSPEC}}
        data = json.dumps(content, indent=1, ensure_ascii=False)
        (place / source.path.name).write_text(data, encoding="utf-8")
        changed = datetime.fromtimestamp(source.path.stat().st_mtime, UTC).isoformat(timespec="seconds")
        listed = _model("notebook", f"{source.folder}/{source.path.name}", changed, size=len(data.encode()))
        _write_list(run, source.folder, changed, [listed])
        folders.append(_model("directory", source.folder, changed))
    _write_list(run, "", max(str(folder["created"]) for folder in folders), folders)


_KERNELSPEC = {"name": "python", "display_name": "Python (Pyodide)", "language": "python"}


def _model(kind: str, path: str, changed: str, *, size: int | None = None, content: object = None) -> dict[str, object]:
    """A file or folder as Jupyter's contents API tells it."""
    told = {"content": content, "created": changed, "format": "json" if content is not None else None, "last_modified": changed}
    return {**told, "mimetype": None, "name": path.rpartition("/")[2], "path": path, "size": size, "type": kind, "writable": True}


def _write_list(run: Path, folder: str, changed: str, content: Sequence[Mapping[str, object]]) -> None:
    place = run / "api" / "contents" / folder
    place.mkdir(parents=True, exist_ok=True)
    (place / "all.json").write_text(json.dumps(_model("directory", folder, changed, content=content)), encoding="utf-8")


def _write_pages(plan: Plan, folder: Path) -> None:
    entries = [_entry(planned) for planned in plan.notebooks]
    for planned, entry in zip(plan.notebooks, entries, strict=True):
        page = pages.draw_saved_page(planned.source.content, entry, plan.options.title, planned.source.path.absolute().parent)
        (folder / f"{entry.folder}.html").write_text(page, encoding="utf-8")
    size = _first_visit(folder)
    footer = (
        f"The first notebook that you run brings Python into your browser: about {size} MB, once. What you change is gone when the page "
        f"is closed. Published with tinyllm-magic {html.escape(metadata.version(_OWN))}."
    )
    (folder / "index.html").write_text(pages.draw_first_page(plan.options.title, entries, footer), encoding="utf-8")


def _entry(planned: PlannedNotebook) -> pages.Entry:
    source = planned.source
    answers = sum(len(Store(path)) for name, path in source.files.items() if name.endswith(SUFFIX))
    others = [name for name in source.files if not name.endswith(SUFFIX)]
    facts = [
        f"{source.prompts} prompt cell{'s' * (source.prompts != 1)}",
        f"{answers} recorded answer{'s' * (answers != 1)}",
        *([f"needs {', '.join(planned.packages)}"] if planned.packages else []),
        *([f"with {', '.join(others)}"] if others else []),
    ]
    return pages.Entry(source.folder, source.path.name, source.title, source.introduction, facts, planned.sentences())


def _first_visit(folder: Path) -> int:
    """About how many megabytes a reader's browser fetches for the first run, served compressed."""
    place = folder / "run" / "static" / "pyodide"
    lock = json.loads((place / "pyodide-lock.json").read_text(encoding="utf-8"))["packages"]
    at_start = {str(entry["file_name"]) for entry in lock.values()}
    size = sum((place / name).stat().st_size for name in {*at_start, "python_stdlib.zip"})
    size += sum(
        len(gzip.compress(path.read_bytes(), 5)) for path in place.iterdir() if path.is_file() and path.suffix not in (".whl", ".zip")
    )
    return round((size + _FRONT_END) / 1e6)
