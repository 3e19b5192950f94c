"""Runs llama.cpp (``xllamacpp``) in this process and speaks HTTP with it over a loopback socket that requires a key.

One engine serves each GGUF file; engines are started on first use, stopped in order at exit and left alone in a forked child.
"""

from __future__ import annotations

import atexit
import contextlib
import http.client
import json
import os
import re
import secrets
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..errors import (
    ConnectionFailedError,
    ContextLengthError,
    InvalidRequestError,
    LocalModelError,
    MissingExtraError,
    ProviderError,
    ServerError,
    UnsupportedError,
)
from .http_connection import ConnectionPool, HTTPAnswer, Server, write_request
from .sse import read_events

BROKEN = (ConnectionError, http.client.HTTPException)
"""What a broken connection to the engine raises."""

_LOG_HEAD = re.compile(r"^[\d.]+ E (?:\w+ +)?\w+: ")


def require() -> None:
    """See that the engine is installed; raises ``MissingExtraError`` or ``LocalModelError``."""
    try:
        import xllamacpp  # noqa: F401  (imported to see that it can be)
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            'the embedded model needs its engine: pip install "tinyllm-magic[local]" (or set OPENAI_API_KEY to use OpenAI)', extra="local"
        ) from error
    except ImportError as error:
        raise LocalModelError(
            "the engine of the embedded model is installed, but does not load on this machine",
            hint='Reinstall it: pip install --force-reinstall "tinyllm-magic[local]"',
        ) from error


def fingerprint() -> str:
    """The engine's name and version: another one may answer the same seed otherwise."""
    import xllamacpp

    return f"xllamacpp-{xllamacpp.__version__}"


def refused(error: Mapping[str, Any], model: str) -> ProviderError:
    """The engine's refusal, a JSON error, as one of our errors."""
    status, kind = int(error.get("code") or 500), error.get("type")
    words = re.sub(r"\[json\.exception\S* ", "", str(error.get("message") or "no reason given")).strip()
    if kind == "exceed_context_size_error":
        asked, window = error.get("n_prompt_tokens"), error.get("n_ctx")
        return ContextLengthError(f"the prompt has {asked} tokens, and the window of {model} has {window}", status=status)
    if status == http.HTTPStatus.NOT_IMPLEMENTED or "not supported" in words:
        return UnsupportedError(f"{model} does not take this request: {words}", status=status)
    if status < http.HTTPStatus.INTERNAL_SERVER_ERROR:
        return InvalidRequestError(f"{model} refused the request: {words}", status=status)
    return ServerError(f"the engine of {model} failed: {words}", status=status)


class Engine:
    """llama.cpp with one file loaded, which listens on the loopback interface and requires a key.

    Requests go over HTTP and not through its Python callbacks: an exception cannot leave those, so
    they could not be interrupted.
    """

    def __init__(self, path: Path, window: int) -> None:
        self._name = path.stem
        self._key = secrets.token_urlsafe(32)
        self._native: Any = _start(path, window, self._key)
        address = urlsplit(self._native.listening_address)
        self._pool = ConnectionPool(Server("http", str(address.hostname), int(address.port or 0)))
        abilities = self._exchange("GET", "/props", None).get("chat_template_caps") or {}
        self.takes_tools = bool(abilities.get("supports_tools", True))

    def ask(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """One question with one answer; raises ``InvalidRequestError`` and its kin."""
        try:
            return self._exchange("POST", path, body)
        except BROKEN as error:
            raise ConnectionFailedError(f"the engine of {self._name} stopped answering", last=error) from error

    @contextlib.contextmanager
    def stream(self, path: str, body: Mapping[str, Any]) -> Iterator[Iterator[dict[str, Any]]]:
        """The events of a streamed answer; leaving stops the engine's work. The attempt under way bounds it."""
        log: list[str] = []
        # a wrong grammar is the one thing that the engine reports on stderr at any verbosity
        captured = _native_stderr(log) if "grammar" in body else contextlib.nullcontext()
        with captured:
            answer = self._send("POST", path, body)
        with contextlib.closing(answer):
            if answer.status_code != http.HTTPStatus.OK:
                refusal = json.loads(answer.read())["error"]
                raise refused({**refusal, "message": " ".join([refusal["message"], *log[:1]])}, self._name)
            yield _events(answer, self._name)

    def close(self) -> None:
        """Stop the engine and free its memory; open answers end first, or it would wait for them."""
        self._pool.hang_up()
        self._native = None

    def abandon(self) -> None:
        """Leave the native engine as it is, for ever: in a forked child its end aborts the process."""
        import ctypes

        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._native))

    def _exchange(self, method: str, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        with contextlib.closing(self._send(method, path, body)) as whole:
            answer: dict[str, Any] = json.loads(whole.read())
        if "error" in answer:
            raise refused(answer["error"], self._name)
        return answer

    def _send(self, method: str, path: str, body: Mapping[str, Any] | None) -> HTTPAnswer:
        # a connection that is kept would hold one of the engine's few threads
        headers = {"Host": self._pool.server.origin.partition("://")[2], "Connection": "close"}
        headers |= {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        return self._pool.send(write_request(method, path, headers, b"" if body is None else json.dumps(body).encode()))


def _events(answer: HTTPAnswer, model: str) -> Iterator[dict[str, Any]]:
    """The JSON values of a server-sent stream, as they arrive; raises what the engine reports instead of one."""
    for _, data in read_events(answer.iter_bytes()):
        if data.strip() == "[DONE]":
            return
        event = json.loads(data)
        if "error" in event:
            raise refused(event["error"], model)
        yield event


def _serve(path: str, window: int, key: str, verbosity: int) -> Any:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = path
    params.n_ctx, params.n_parallel, params.cache_ram_mib = window, 1, 0
    if hasattr(params, "hostnames"):
        params.hostnames = ["127.0.0.1"]
    else:  # until 2026.9
        params.hostname = "127.0.0.1"
    params.port, params.api_keys, params.ui = 0, [key], False
    params.verbosity = verbosity
    params.n_batch = params.n_ubatch = 64  # between batches a closed connection is noticed; larger ones read prompts no faster on a CPU
    # threads that wait for each other spin: on as many as there are cores, any other program's load makes them crawl
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = max(1, min(8, _cores() // 2))
    return xllamacpp.Server(params)


def _cores() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _start(path: Path, window: int, key: str) -> Any:
    """A running engine; raises ``LocalModelError`` with llama.cpp's own reason."""
    try:
        return _serve(str(path), window, key, -1)
    except RuntimeError as error:
        raise LocalModelError(
            f"the engine cannot load '{path.name}' (llama.cpp: {_reason(path, window)})",
            hint="The file must be a whole GGUF model, and must fit into memory.",
            path=str(path),
        ) from error


def _reason(path: Path, window: int) -> str:
    """Why a file does not load: what the engine writes to stderr when it tries again, in a process of its own."""
    code = (  # a traceback of Python would come between the engine's lines, which are written by another thread
        f"import contextlib, sys; from {__name__} import _serve\n"
        "with contextlib.suppress(RuntimeError): _serve(sys.argv[1], int(sys.argv[2]), 'k', 1)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    command = [sys.executable, "-c", code, str(path), str(window)]
    try:
        tried = subprocess.run(command, capture_output=True, env=environment, timeout=60, check=False)  # noqa: S603  (our own arguments)
    except (OSError, subprocess.TimeoutExpired):
        return "it gave no reason"
    lines = tried.stderr.decode(errors="replace").splitlines()
    reason = next((_LOG_HEAD.sub("", line) for line in lines if _LOG_HEAD.match(line)), "it gave no reason")
    return reason.removeprefix("error loading model: ").replace(str(path), path.name)


@contextlib.contextmanager
def _native_stderr(lines: list[str]) -> Iterator[None]:
    """What native code writes to file descriptor 2 meanwhile goes to ``lines``, not into the cell."""
    with _registry.stderr_lock, tempfile.TemporaryFile() as sink:
        kept = os.dup(2)
        os.dup2(sink.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            sink.seek(0)
            lines.extend(line for line in sink.read().decode(errors="replace").splitlines() if line.strip())


def running(path: Path, window: int) -> Engine:
    """The engine of a file, started where none runs in this process; ``window`` counts tokens."""
    with _registry.lock:
        engine = _registry.engines.get((path, window))
        if engine is None:
            engine = _registry.engines[path, window] = Engine(path, window)
        return engine


def is_running(path: Path, window: int) -> bool:
    """Whether the engine of a file runs in this process already."""
    return (path, window) in _registry.engines


class EngineRegistry:
    """The engines of this process, one for each file and window."""

    def __init__(self, *, forked: bool = False) -> None:
        self.engines: dict[tuple[Path, int], Engine] = {}
        self.lock = threading.Lock()
        self.stderr_lock = threading.Lock()
        self.forked = forked  # from a process that ran an engine: llama.cpp's log thread is missing here


_registry = EngineRegistry()


def _close_all() -> None:
    """Stop them in order, while the interpreter is whole."""
    if _registry.forked:
        _skip_native_ends()
    while _registry.engines:
        _registry.engines.popitem()[1].close()


def _skip_native_ends() -> None:
    """End a forked child without native destructors: they wait for the log thread, and abort."""
    import ctypes

    for engine in _registry.engines.values():
        engine.abandon()
    libc: Any = ctypes.CDLL(None)
    with contextlib.suppress(AttributeError):  # on_exit is no standard; without it the child ends as it can
        libc.on_exit(libc["_exit"], None)  # runs first after Python's own end, and keeps the exit status


def _after_fork() -> None:
    """In a forked child: begin afresh, without the parent's engines and perhaps locked locks."""
    global _registry  # noqa: PLW0603  (a forked child is a new process)
    for engine in _registry.engines.values():
        engine.abandon()
    _registry = EngineRegistry(forked=_registry.forked or bool(_registry.engines))


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
