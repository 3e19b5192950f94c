"""Writes files whole or not at all, and opens only regular files: no link is followed, no pipe or device is waited for."""

from __future__ import annotations

import contextlib
import errno
import filecmp
import io
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterable
from pathlib import Path

_COARSEST_NS = 2_000_000_000  # the clock of a file system (FAT)
_NEVER_WAIT = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


def open_regular(path: Path, mode: str = "rb") -> io.FileIO:
    """Open a file, unbuffered; raises ``OSError`` where the path is a symbolic link, a pipe, a device or a folder."""
    require_regular(path)
    return io.FileIO(path, mode, opener=_open_at_once)


def require_regular(path: Path) -> None:
    """Raise ``OSError`` where something stands at the path that is no regular file; nothing at all is fine."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    _require_regular(found, path)


def _open_at_once(path: str, flags: int) -> int:
    descriptor = os.open(path, flags | _NEVER_WAIT, 0o666)
    try:
        _require_regular(os.fstat(descriptor), path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _require_regular(found: os.stat_result, path: Path | str) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = "a symbolic link" if stat.S_ISLNK(found.st_mode) else "a folder" if stat.S_ISDIR(found.st_mode) else "a pipe or device"
        raise OSError(errno.EINVAL, f"{Path(path).name} is {kind}, not a regular file", str(path))


def is_settled(found: os.stat_result) -> bool:
    """Whether a change of the file from now on will show in its time; a younger file may change unseen."""
    return abs(time.time_ns() - found.st_mtime_ns) > _COARSEST_NS


def append_whole(file: io.FileIO, data: bytes) -> None:
    """Write at the end in one call; where it does not fit, cut the file back to its size."""
    size = os.fstat(file.fileno()).st_size
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[file.write(rest) :]
    except BaseException:
        with contextlib.suppress(OSError):
            file.truncate(size)
        raise


def replace_whole(path: Path, lines: Iterable[bytes], old: io.FileIO | None = None) -> None:
    """Write a file beside ``path``, wait for the disk, and put it in its place; ``old`` is closed when the lines are read.

    A file that would not change is not touched. An existing file keeps its permissions, a new one gets those of any new file.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with beside.open("xb") as new:
            new.writelines(lines)
            new.flush()
            os.fsync(new.fileno())
        if old is not None:
            old.close()  # Windows replaces no open file
        if path.exists():
            if filecmp.cmp(beside, path, shallow=False):
                return
            shutil.copymode(path, beside)
        beside.replace(path)
        _sync_folder(path.parent)
    finally:
        beside.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # Windows opens no folders
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
