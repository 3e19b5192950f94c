"""A page starts with what its first answer imports; the rest of its packages comes when it is imported."""

import importlib
import importlib.util
import random
import sys
import types
from pathlib import Path

import pytest

import tinyllm_magic
from tinyllm_magic.static_site import bytecode, page_packages, wheels

IN_PAGE = Path(tinyllm_magic.__file__).parent / "static_site" / "in_page"
MUCH = f"DATA = {random.Random(0).randbytes(200_000)!r}\n".encode()
PACKAGES = {
    "whole": {"tlm_whole/__init__.py": b"import tlm_whole.more", "tlm_whole/more.py": b"", "tlm_whole/other.py": b""},
    "large": {"tlm_large/__init__.py": b"FIRST = True", "tlm_large/much.py": MUCH, "tlm_large/tests/test_it.py": b""},
    "data": {"tlm_data/__init__.py": b"", "tlm_data/table.json": b"{}"},
    "later": {"tlm_later/__init__.py": b"", "tlm_later/__init__.pyi": b"", "tlm_later/words.txt": b"words"},
}
COMPILED = dict.fromkeys(("tlm_whole/__init__.py", "tlm_whole/more.py", "tlm_large/__init__.py", "tlm_data/__init__.py"), b"bytecode")


@pytest.fixture
def layout(tmp_path):
    """Four packages divided; of three of them modules are imported first."""
    (tmp_path / "found").mkdir()
    found = {name: wheels.write_wheel(tmp_path / "found", name, "1", files) for name, files in PACKAGES.items()}
    return page_packages.divide(found, COMPILED, tmp_path / "rewritten")


def load(name):
    """A module that runs in a page."""
    spec = importlib.util.spec_from_file_location(f"tlm_in_page_{name}", IN_PAGE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_is_imported_first_comes_at_the_start_and_the_rest_later(layout):
    modules = {name for name in layout.library if ".dist-info/" not in name}
    assert modules == {"tlm_whole/__init__.pyc", "tlm_whole/more.pyc", "tlm_whole/other.py", "tlm_large/__init__.pyc"}
    assert {"whole-1.dist-info/METADATA", "large-1.dist-info/METADATA", "later-1.dist-info/METADATA"} <= layout.library.keys()
    assert [*layout.at_start] == ["data"]
    assert {"tlm_data/__init__.pyc", "tlm_data/table.json"} <= wheels.read_files(layout.at_start["data"]).keys()
    assert layout.index() == {
        "tlm_large": {"file": "large-1-py3-none-any.whl", "unpack": False},
        "tlm_later": {"file": "later-1-py3-none-any.whl", "unpack": True},
    }
    names = {name for wheel in layout.on_import.values() for name in wheels.read_files(wheel)}
    assert "tlm_large/much.py" in names
    assert not {"tlm_large/tests/test_it.py", "tlm_later/__init__.pyi"} & names


def test_a_package_is_fetched_when_it_is_first_imported(layout, tmp_path, monkeypatch):
    on_import = load("on_import")
    started = tmp_path / "started" / "tlm_large"
    started.mkdir(parents=True)
    (started / "__init__.py").write_text("FIRST = True")
    site = tmp_path / "site-packages"
    site.mkdir()
    fetched = []

    def fetch(file):
        fetched.append(file)
        return next(path for path in layout.on_import.values() if path.name == file).read_bytes()

    monkeypatch.setattr(on_import, "WHEELS", str(tmp_path / "wheels"))
    monkeypatch.setattr(sys, "path", [str(site), str(started.parent), *sys.path])
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, on_import.OnImport(layout.index(), fetch)])
    for name in ("tlm_large", "tlm_large.much", "tlm_later"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    assert importlib.import_module("tlm_large").FIRST
    assert fetched == []
    assert len(importlib.import_module("tlm_large.much").DATA) == 200_000
    later = importlib.import_module("tlm_later")
    assert Path(later.__file__).with_name("words.txt").read_text() == "words"
    for absent in ("tlm_large.absent", "tlm_later.absent", "tlm_absent"):
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module(absent)
    assert fetched == ["large-1-py3-none-any.whl", "later-1-py3-none-any.whl"]


def test_an_installer_in_a_page_says_what_is_not_there(monkeypatch):
    import asyncio

    lockfile = types.SimpleNamespace(packages=types.SimpleNamespace(to_py=lambda: {"msgspec": {}}))
    monkeypatch.setitem(sys.modules, "pyodide_js", types.SimpleNamespace(lockfile=lockfile))
    for name in ("piplite.piplite", "piplite.cli", "tlm_in_page_piplite"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "tlm_in_page_piplite", None)
    spec = importlib.util.spec_from_file_location("tlm_in_page_piplite", IN_PAGE / "piplite.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "tlm_in_page_piplite", module)
    spec.loader.exec_module(module)
    code = asyncio.run(module.get_transformed_code(["install", "-q", "Msgspec>=0.1", "jinja2", "nowhere-at-all"]))
    assert code == "await __import__('piplite').install(['Msgspec>=0.1', 'jinja2', 'nowhere-at-all'])\n"
    asyncio.run(module.install(["Msgspec>=0.1", "jinja2"]))
    with pytest.raises(ImportError, match=r"This page has no nowhere-at-all: it holds what its notebooks need"):
        asyncio.run(module.install(["jinja2", "nowhere-at-all"]))


SAMPLE = bytecode.Sample("a.ipynb", {}, ["%load_ext tinyllm_magic"])


def test_only_what_has_changed_is_compiled_again(tmp_path, monkeypatch):
    own = wheels.write_wheel(tmp_path, "own", "1", {"own.py": b"ONE = 1"})
    other = wheels.write_wheel(tmp_path, "other", "1", {"other.py": b""})
    places, asked = {own: "site", other: "library"}, []

    def run(_node, told, _cache):
        asked.append((sorted(Path(path).name[:5] for path in told["wheels"]), told["modules"], "notebook" in told))
        found = {"own.py": own.read_bytes()}
        if told["modules"]:
            return bytecode.FirstAnswer([], found)
        return bytecode.FirstAnswer(["own", "other"], {**found, "other.py": b"theirs", "json.py": b"python's"})

    monkeypatch.setattr(bytecode, "_run", run)
    monkeypatch.setattr(bytecode, "find_node", lambda: "node")

    def compile_again():
        return bytecode.compile_first_answer(tmp_path, "314.0.6", places, own, SAMPLE, tmp_path / "kept")

    first = compile_again()
    assert first == compile_again()
    assert first.imports[-2:] == ["own", "other"]
    assert first.compiled == {"own.py": own.read_bytes(), "other.py": b"theirs", "json.py": b"python's"}
    wheels.write_wheel(tmp_path, "own", "1", {"own.py": b"TWO = 2"})
    second = compile_again()
    assert second.compiled["own.py"] == own.read_bytes() != first.compiled["own.py"]
    assert second.imports == first.imports
    assert asked == [(["other", "own-1"], None, True), (["own-1"], ["own.py"], False)]
    assert len(list((tmp_path / "kept").glob("*-*.zip"))) == 1


def test_without_node_nothing_is_compiled(tmp_path, monkeypatch):
    own = wheels.write_wheel(tmp_path, "own", "1", {"own.py": b""})
    monkeypatch.setattr(bytecode, "find_node", lambda: None)
    assert bytecode.compile_first_answer(tmp_path, "314.0.6", {own: "site"}, own, SAMPLE, tmp_path / "kept").compiled == {}
