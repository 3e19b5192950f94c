"""Reads, writes and rewrites wheels for Pyodide; the same content gives the same bytes."""

from __future__ import annotations

import base64
import email
import hashlib
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from email.message import Message
from pathlib import Path

_ANY_TAG = "py3-none-any"
_COMPILED = (".so", ".pyd", ".dylib", ".c", ".pyx", ".pxd")
_MODULE = re.compile(r"([A-Za-z_]\w*)(?:\.py|\.(?:cpython|abi3)[\w.-]*\.so|\.so)?")
_EPOCH = (1980, 1, 1, 0, 0, 0)


def canonical_name(name: str) -> str:
    """The name of a distribution as indexes write it (PEP 503).

    >>> canonical_name("Jupyter_Client")
    'jupyter-client'
    """
    return re.sub(r"[-_.]+", "-", name).lower()


def required_name(requirement: str) -> str:
    """The distribution that a requirement asks for.

    >>> required_name("rfc8785>=0.1.4; sys_platform != 'emscripten'")
    'rfc8785'
    """
    match = re.match(r"\s*([A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?)", requirement)
    return canonical_name(match[1] if match else requirement)


def name_of(wheel: Path) -> str:
    """The distribution that a wheel's file name says."""
    return canonical_name(wheel.name.partition("-")[0])


def version_of(wheel: Path) -> str:
    """The version that a wheel's file name says."""
    return wheel.name.split("-")[1]


def read_metadata(wheel: Path) -> Message:
    """The METADATA of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        return email.message_from_string(archive.read(name).decode())


def list_modules(wheel: Path) -> list[str]:
    """The top-level modules that a wheel brings."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    found = (_MODULE.fullmatch(name.partition("/")[0]) for name in names if name.endswith((".py", ".so")))
    return sorted({match[1] for match in found if match})


def write_wheel(
    folder: Path, name: str, version: str, files: Mapping[str, bytes], *, requires: Iterable[str] = (), summary: str = ""
) -> Path:
    """Write a pure wheel of these files (path inside it → content) and return its path."""
    stem = f"{name.replace('-', '_')}-{version}"
    lines = [
        "Metadata-Version: 2.1",
        f"Name: {name}",
        f"Version: {version}",
        f"Summary: {summary}",
        *(f"Requires-Dist: {r}" for r in requires),
    ]
    info = {
        f"{stem}.dist-info/METADATA": "\n".join([*lines, ""]).encode(),
        f"{stem}.dist-info/WHEEL": f"Wheel-Version: 1.0\nGenerator: tinyllm-magic\nRoot-Is-Purelib: true\nTag: {_ANY_TAG}\n".encode(),
    }
    path = folder / f"{stem}-{_ANY_TAG}.whl"
    _write(path, {**dict(sorted(files.items())), **info}, f"{stem}.dist-info/RECORD")
    return path


def without_compiled_part(wheel: Path, folder: Path) -> Path:
    """The wheel of a package that works without its compiled part, as a pure wheel without that part."""
    with zipfile.ZipFile(wheel) as archive:
        files = {n: archive.read(n) for n in archive.namelist() if not n.endswith(("/", "/RECORD", *_COMPILED))}
    record = ""
    for name, data in files.items():
        if name.endswith(".dist-info/WHEEL"):
            record = f"{name.rpartition('/')[0]}/RECORD"
            head = re.sub(rb"^Tag: .*\n?", b"", data, flags=re.MULTILINE).rstrip(b"\n")
            files[name] = head.replace(b"Root-Is-Purelib: false", b"Root-Is-Purelib: true") + f"\nTag: {_ANY_TAG}\n".encode()
    path = folder / f"{'-'.join(wheel.name.split('-')[:2])}-{_ANY_TAG}.whl"
    _write(path, files, record)
    return path


def read_files(wheel: Path) -> dict[str, bytes]:
    """The files of a wheel, by their path inside it."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}


def rewrite(wheel: Path, files: Mapping[str, bytes], folder: Path) -> Path:
    """Write a wheel of the same name with other files; a list of them (``RECORD``) is made."""
    info = next(name for name in files if name.endswith(".dist-info/WHEEL")).rpartition("/")[0]
    path = folder / wheel.name
    _write(path, files, f"{info}/RECORD")
    return path


def _write(path: Path, files: Mapping[str, bytes], record: str) -> None:
    write_archive(path, {**files, record: "".join(_record_lines(files, record)).encode()})


def write_archive(path: Path, files: Mapping[str, bytes]) -> None:
    """Write an archive; the same files give the same bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data)


def _record_lines(files: Mapping[str, bytes], record: str) -> Iterator[str]:
    for name, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        yield f'"{name}",sha256={digest},{len(data)}\n'
    yield f"{record},,\n"
