"""The JupyterLab extension as it is shipped; that its files are what the source gives is shown by ``.ci/labextension --check``."""

import io
import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "tinyllm_magic" / "labextension"
SCRIPTS = sorted((FOLDER / "prebuilt").rglob("*.js"))
LOCK = json.loads((FOLDER / "package-lock.json").read_text("utf-8"))
MANIFEST = json.loads((FOLDER / "package.json").read_text("utf-8"))


def test_the_extension_has_the_version_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert MANIFEST["version"] == LOCK["version"] == project["version"]


def test_versions_are_exact_and_the_lockfile_names_no_registry():
    wanted = {**MANIFEST["dependencies"], **MANIFEST["devDependencies"]}
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in wanted.values())
    packages = {name: facts for name, facts in LOCK["packages"].items() if name}
    assert [name for name, facts in packages.items() if "resolved" in facts or "integrity" not in facts] == []
    assert {name: packages[f"node_modules/{name}"]["version"] for name in wanted} == wanted


def test_it_is_small():
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.add(FOLDER / "prebuilt")
    assert len(packed.getvalue()) < 150_000


def test_the_editor_itself_is_jupyterlabs_and_not_bundled():
    text = "".join(script.read_text("utf-8") for script in SCRIPTS)
    assert "Unrecognized extension value in extension set" not in text  # @codemirror/state
    assert "cm-activeLineGutter" not in text  # @codemirror/view
    assert "@codemirror/state" in text


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q", "-w", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def test_the_wheel_brings_the_extension_where_jupyter_finds_it(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    data = next(tmp_path.glob("*.data")) / "data"

    done = subprocess.run(
        [sys.executable, "-m", "jupyter", "labextension", "list"],
        env={**os.environ, "JUPYTER_PATH": str(data / "share" / "jupyter"), "JUPYTER_CONFIG_DIR": str(tmp_path / "config")},
        capture_output=True,
        text=True,
        check=True,
    )

    listed = re.sub(r"\x1b\[[\d;]*m", "", done.stdout + done.stderr)
    assert re.search(rf"tinyllm-magic v{re.escape(MANIFEST['version'])} enabled +OK \(python, tinyllm-magic\)", listed), listed


def test_the_wheel_holds_the_built_files_once_and_no_source(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert [name for name in names if name.startswith("tinyllm_magic/labextension")] == []
    built = [file.relative_to(FOLDER / "prebuilt").as_posix() for file in (FOLDER / "prebuilt").rglob("*") if file.is_file()]
    place = "share/jupyter/labextensions/tinyllm-magic/"
    assert {name.partition(place)[2] for name in names if place in name} == {*built, "install.json"}
