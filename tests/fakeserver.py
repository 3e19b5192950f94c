"""A script of turns in, real HTTP answers out: a small OpenAI-compatible server on loopback.

Knows the wire format of chat completions, embeddings and models, and many ways to answer badly.
Does not know the package under test.

::

    with FakeServer([429, "hello", {"tool_calls": [("add", {"a": 1})]}]) as fake:
        client = openai.OpenAI(base_url=fake.url, api_key="k")

A turn is a status (``200`` answers "ok"), text, a dict of ``Turn``'s fields, a ``Turn``, or a callable
that makes one of these from the request's body. One turn is used for each request; when all are used
up, the answer is "ok".
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

AUTO = "auto"
_PATIENCE = 30.0  # seconds after which a hanging turn gives up even when the client stays
_WORDS = {
    400: ("Invalid value for a parameter.", "invalid_request_error", "invalid_value"),
    401: ("Incorrect API key provided.", "invalid_request_error", "invalid_api_key"),
    403: ("Your project may not use this model.", "invalid_request_error", "permission_denied"),
    404: ("The model does not exist or you do not have access to it.", "invalid_request_error", "model_not_found"),
    422: ("The request could not be processed.", "invalid_request_error", "unprocessable"),
    429: ("Rate limit reached for requests.", "requests", "rate_limit_exceeded"),
}


@dataclass
class Turn:
    """One answer. Times are in seconds; ``text=None`` is an answer without content.

    ``finish_reason`` ``None`` leaves it out, ``done=False`` a stream's last event; ``usage`` ``None`` reports none.
    ``body`` replaces the whole body (a dict as JSON, text and bytes as they are, with ``content_type``).
    ``delay`` waits before the headers, ``chunk_delay`` between chunks, ``drip`` between single bytes. ``cut`` closes
    the socket after so many chunks; ``hang`` falls silent after so many (``0``: before the headers).
    """

    text: str | None = "ok"
    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str | None = None
    tool_calls: Iterable[Any] = ()
    finish_reason: str | None = AUTO
    usage: Any = AUTO
    reasoning_content: str | None = None
    refusal: str | None = None
    echo: bool = False
    garbage: str | None = None
    no_choices: bool = False
    json_for_stream: bool = False
    done: bool = True
    delay: float = 0.0
    chunk_delay: float = 0.0
    drip: float = 0.0
    cut: int | None = None
    hang: int | None = None

    @classmethod
    def of(cls, value: Any, body: Mapping[str, Any]) -> Turn:
        if callable(value):
            value = value(body)
        if isinstance(value, int):
            return cls(status=value)
        if isinstance(value, str):
            return cls(text=value)
        return cls(**value) if isinstance(value, Mapping) else value

    def says(self, body: Mapping[str, Any]) -> str | None:
        if not self.echo:
            return self.text
        users = [m["content"] for m in body["messages"] if m["role"] == "user"]
        last = users[-1] if users else ""
        return last if isinstance(last, str) else " ".join(p.get("text", "") for p in last)

    def calls(self) -> list[dict[str, Any]]:
        made = []
        for i, call in enumerate(self.tool_calls):
            if not isinstance(call, Mapping):
                name, arguments = call
                text = arguments if isinstance(arguments, str) else json.dumps(arguments)
                call = {"id": f"call_{i}", "type": "function", "function": {"name": name, "arguments": text}}  # noqa: PLW2901
            made.append(dict(call))
        return made

    def ends(self) -> str | None:
        if self.finish_reason != AUTO:
            return self.finish_reason
        return "tool_calls" if list(self.tool_calls) else "stop"

    def counts(self, body: Mapping[str, Any]) -> dict[str, Any] | None:
        if self.usage != AUTO:
            return self.usage
        asked = sum(len(str(m.get("content") or "").split()) for m in body.get("messages", ()))
        said = len((self.says(body) or "").split())
        return {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said}


def whole(turn: Turn, body: Mapping[str, Any]) -> dict[str, Any]:
    """The body of an answer that is not streamed."""
    message: dict[str, Any] = {"role": "assistant", "content": turn.says(body)}
    extra = {"tool_calls": turn.calls(), "reasoning_content": turn.reasoning_content, "refusal": turn.refusal}
    message |= {k: v for k, v in extra.items() if v}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": turn.ends()}
    answer = {"object": "chat.completion", "choices": [] if turn.no_choices else [choice], **_facts(body)}
    usage = turn.counts(body)
    return answer | ({"usage": usage} if usage else {})


def pieces(turn: Turn, body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The chunks of an answer that is streamed."""

    def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return {"object": "chat.completion.chunk", "choices": [choice], **_facts(body)}

    if not turn.no_choices:
        said = turn.says(body)
        yield chunk({"role": "assistant", "content": None if said is None else ""})
        for word in re.findall(r"\S+\s*|\s+", turn.reasoning_content or ""):
            yield chunk({"reasoning_content": word})
        for word in re.findall(r"\S+\s*|\s+", said or ""):
            yield chunk({"content": word})
        if turn.refusal:
            yield chunk({"refusal": turn.refusal})
        for i, call in enumerate(turn.calls()):
            function = call["function"]
            arguments = function["arguments"]
            half = len(arguments) // 2
            yield chunk({"tool_calls": [{"index": i, **call, "function": {"name": function["name"], "arguments": ""}}]})
            for part in (arguments[:half], arguments[half:]):
                yield chunk({"tool_calls": [{"index": i, "function": {"arguments": part}}]})
        if turn.ends():
            yield chunk({}, turn.ends())
    usage = turn.counts(body)
    if usage and (body.get("stream_options") or {}).get("include_usage"):
        yield {"object": "chat.completion.chunk", "choices": [], "usage": usage, **_facts(body)}


def vectors(turn: Turn, body: Mapping[str, Any]) -> dict[str, Any]:
    """The body of an answer with embeddings: length and first character of each text."""
    texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
    data = []
    for i, text in enumerate(texts):
        numbers = [float(len(text)), float(ord(str(text)[:1] or " ")), 1.0]
        packed = base64.b64encode(struct.pack("<3f", *numbers)).decode()
        data.append({"object": "embedding", "index": i, "embedding": packed if body.get("encoding_format") == "base64" else numbers})
    usage = turn.usage if turn.usage != AUTO else {"prompt_tokens": len(texts), "total_tokens": len(texts)}
    return {"object": "list", "model": body.get("model"), "data": data, "usage": usage}


def failure(turn: Turn, body: Mapping[str, Any]) -> dict[str, Any]:
    """The body of an error as OpenAI words it; a 400 to a request with tools complains of the tools."""
    words, kind, code = _WORDS.get(turn.status, ("The server had an error while processing your request.", "server_error", None))
    param = None
    if turn.status in (400, 422) and body.get("tools"):
        words, code, param = "'tools' is not supported with this model.", "unsupported_parameter", "tools"
    return {"error": {"message": words, "type": kind, "param": param, "code": code}}


def _facts(body: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": "chatcmpl-fake", "created": 1_700_000_000, "model": body.get("model"), "system_fingerprint": "fp_fake"}


class _Cut(Exception):
    """The turn wants the connection closed here."""


class FakeServer:
    """The server: starts at once, stops with ``close()`` or at the end of a ``with`` block.

    ``n`` requests, ``last`` JSON body, ``path`` (last, with query), ``headers`` (last, names in lower case),
    ``bodies``, ``paths``, ``url`` (ends in ``/v1``), ``root`` (without it), ``active`` and ``most_active``
    requests at one time. ``GET …/models`` uses up no turn and is not counted in ``n``.
    """

    handler: type[BaseHTTPRequestHandler]

    def __init__(self, script: Iterable[Any] = ()) -> None:
        self._script: list[Any] = list(script)
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self.closing = threading.Event()
        self.hung_up = threading.Event()  # set when a client left before its answer was complete
        self.n = self.active = self.most_active = self.connections = 0
        self.bodies: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.headers: dict[str, str] = {}
        self._http = _Server(("127.0.0.1", 0), self.handler)
        self._http.fake = self
        self.root = f"http://127.0.0.1:{self._http.server_address[1]}"
        self.url = f"{self.root}/v1"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def last(self) -> dict[str, Any]:
        return self.bodies[-1]

    @property
    def path(self) -> str:
        return self.paths[-1]

    def add(self, *turns: Any) -> None:
        """Append turns to the script."""
        with self._lock:
            self._script += turns

    def take(self, path: str, headers: Mapping[str, str], body: dict[str, Any]) -> Turn:
        """Note a request and take its turn."""
        with self._lock:
            self.n += 1
            self.paths.append(path)
            self.bodies.append(body)
            self.headers = {k.lower(): v for k, v in headers.items()}
            value = self._script.pop(0) if self._script else 200
        return Turn.of(value, body)

    def look(self, path: str) -> None:
        """Note a request that uses up no turn."""
        with self._lock:
            self.paths.append(path)

    def enter(self) -> Callable[[], None]:
        """Count a request as active until the returned function is called (once or more)."""
        with self._lock:
            self.active += 1
            self.most_active = max(self.most_active, self.active)
        left = threading.Event()

        def leave() -> None:
            with self._lock:
                if not left.is_set():
                    left.set()
                    self.active -= 1

        return leave

    def track(self, connection: socket.socket, *, gone: bool = False) -> None:
        with self._lock:
            self.connections += not gone
            (self._sockets.discard if gone else self._sockets.add)(connection)

    def close(self) -> None:
        """Stop listening and drop every open connection."""
        if self.closing.is_set():
            return
        self.closing.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
        with self._lock:
            for connection in self._sockets:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    fake: FakeServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no error of the server's."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing is printed."""

    def setup(self) -> None:
        super().setup()
        self.server.fake.track(self.connection)

    def finish(self) -> None:
        self.server.fake.track(self.connection, gone=True)
        with contextlib.suppress(OSError):
            super().finish()

    def do_GET(self) -> None:
        self.server.fake.look(self.path)
        if not self.path.split("?")[0].endswith("/models"):
            self._whole(Turn(status=404), failure(Turn(status=404), {}), lambda: None)
            return
        model = {"id": "fake-model", "object": "model", "created": 0, "owned_by": "fake"}
        self._whole(Turn(), {"object": "list", "data": [model]}, lambda: None)

    def do_POST(self) -> None:
        fake = self.server.fake
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        leave = fake.enter()
        try:
            self._answer(fake.take(self.path, dict(self.headers), body), body, leave)
        except (_Cut, OSError) as end:
            if isinstance(end, OSError):
                fake.hung_up.set()
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)
        finally:
            leave()

    def _answer(self, turn: Turn, body: dict[str, Any], leave: Callable[[], None]) -> None:
        self._wait(turn.delay)
        if turn.hang == 0:
            self._wait(_PATIENCE)
            raise _Cut
        if turn.cut == 0:
            raise _Cut
        chat = self.path.split("?")[0].endswith("/chat/completions")
        if turn.garbage is not None or turn.body is not None:
            self._whole(turn, turn.garbage if turn.garbage is not None else turn.body, leave)
        elif turn.status != 200:
            self._whole(turn, failure(turn, body), leave)
        elif chat and body.get("stream") and not turn.json_for_stream:
            self._stream(turn, body, leave)
        elif chat:
            self._whole(turn, whole(turn, body), leave)
        else:
            self._whole(turn, vectors(turn, body), leave)

    def _wait(self, seconds: float) -> None:
        """Wait, but not longer than the client stays and the server runs."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not self.server.fake.closing.is_set():
            readable, _, _ = select.select([self.connection], [], [], min(left, 0.05))
            if readable and not self.connection.recv(1, socket.MSG_PEEK):
                raise ConnectionResetError("the client hung up")

    def _head(self, turn: Turn, content_type: str, **more: str) -> None:
        self.send_response(turn.status)
        for name, value in {"Content-Type": content_type, "x-request-id": f"req_{self.server.fake.n}", **more, **turn.headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def _send(self, data: bytes, drip: float) -> None:
        if not drip:
            self.wfile.write(data)
            return
        for i in range(len(data)):
            self.wfile.write(data[i : i + 1])
            self._wait(drip)

    def _whole(self, turn: Turn, body: Any, leave: Callable[[], None]) -> None:
        default = "application/json" if not isinstance(body, (str, bytes)) else "text/html"
        data = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
        self._head(turn, turn.content_type or default, **{"Content-Length": str(len(data))})
        if turn.cut is not None:
            self.wfile.write(data[: len(data) // 2])
            raise _Cut
        leave()
        self._send(data, turn.drip)

    def _stream(self, turn: Turn, body: dict[str, Any], leave: Callable[[], None]) -> None:
        self._head(turn, turn.content_type or "text/event-stream; charset=utf-8", **{"Transfer-Encoding": "chunked"})
        for i, piece in enumerate(pieces(turn, body)):
            if i == turn.cut:
                raise _Cut
            if i == turn.hang:
                self._wait(_PATIENCE)
                raise _Cut
            if i and turn.chunk_delay:
                self._wait(turn.chunk_delay)
            self._event(json.dumps(piece), turn.drip)
        leave()  # before the last event: a client may send its next request as soon as it has read that
        if turn.done:
            self._event("[DONE]", 0)
        self.wfile.write(b"0\r\n\r\n")

    def _event(self, text: str, drip: float) -> None:
        data = f"data: {text}\n\n".encode()
        parts = [data[i : i + 1] for i in range(len(data))] if drip else [data]
        for part in parts:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            self._wait(drip)


FakeServer.handler = Handler
