"""Packages are resolved for Pyodide by the real pip, here from a folder of wheels."""

import zipfile

import pytest

from tinyllm_magic.static_site import packages, wheels
from tinyllm_magic.static_site.packages import PackageError, Resolver, Target

TARGET = Target("314.0.6", "3.14.2", "2026_0")


@pytest.fixture
def index(tmp_path, monkeypatch):
    """An index of four packages, one of which has no wheel for the browser."""
    folder = tmp_path / "index"
    folder.mkdir()
    needs = ["beside>=1", "rpds-py>=0.25", "pexpect", "nowhere; sys_platform == 'emscripten'", "windows-only; sys_platform == 'win32'"]
    wheels.write_wheel(folder, "whole", "2", {"whole.py": b""}, requires=needs)
    wheels.write_wheel(folder, "whole", "1", {"whole.py": b""})
    wheels.write_wheel(folder, "beside", "1.5", {"beside/__init__.py": b""})
    made = wheels.write_wheel(tmp_path, "compiled", "1", {"compiled.py": b""})
    made.rename(folder / "compiled-1-cp314-cp314-pyemscripten_2026_0_wasm32.whl")
    for name, value in {"NO_INDEX": "1", "FIND_LINKS": str(folder), "CONFIG_FILE": "/dev/null", "RETRIES": "0"}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    return folder


def resolver(tmp_path, *, renew=False, told=None):
    told = told if told is not None else []
    return Resolver(TARGET, tmp_path / "kept", distribution=packages.Distribution(), progress=told.append, renew=renew)


def test_requirements_are_followed_with_the_browsers_markers_and_what_is_missing_is_told(index, tmp_path):
    found = resolver(tmp_path).resolve(["whole", "compiled==9"])
    assert {name: path.name.split("-")[1] for name, path in found.wheels.items()} == {
        "whole": "2",
        "beside": "1.5",
        "compiled": "1",  # not in the version asked for, but in another
        "rpds-py": "0",  # ours, in its place
    }
    assert found.missing == ["nowhere"]
    assert found.needs["whole"] == ["beside", "nowhere", "rpds-py"]
    assert found.closure(["compiled"]) == {"compiled"}
    for wheel in index.iterdir():
        wheel.unlink()
    told = []
    assert resolver(tmp_path, told=told).resolve(["whole", "compiled==9"]) == found  # kept: nothing is asked again
    assert told == []


def test_a_pip_that_fails_is_no_missing_package(index, tmp_path, monkeypatch):
    monkeypatch.setattr(packages.sys, "executable", "/bin/false")
    with pytest.raises(PackageError, match="pip could not fetch packages"):
        resolver(tmp_path).resolve(["whole"])


def test_a_compiled_part_that_can_be_done_without_is_left_out(tmp_path):
    name = "markupsafe-3.0.4-cp311-cp311-manylinux_2_17_x86_64.whl"
    with zipfile.ZipFile(tmp_path / name, "w") as archive:
        archive.writestr("markupsafe/__init__.py", "x = 1")
        archive.writestr("markupsafe/_speedups.cpython-311-x86_64-linux-gnu.so", "binary")
        archive.writestr("markupsafe-3.0.4.dist-info/METADATA", "Name: MarkupSafe\nVersion: 3.0.4\n")
        archive.writestr("markupsafe-3.0.4.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: cp311-cp311-manylinux\n")
        archive.writestr("markupsafe-3.0.4.dist-info/RECORD", "")
    (tmp_path / "pure").mkdir()
    pure = wheels.without_compiled_part(tmp_path / name, tmp_path / "pure")
    assert pure.name == "markupsafe-3.0.4-py3-none-any.whl"
    with zipfile.ZipFile(pure) as archive:
        assert not any(entry.endswith(".so") for entry in archive.namelist())
        told = archive.read("markupsafe-3.0.4.dist-info/WHEEL").decode()
        assert told == "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    assert wheels.list_modules(pure) == ["markupsafe"]
