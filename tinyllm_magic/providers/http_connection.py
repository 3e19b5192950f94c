"""HTTP/1.1 connections that are kept open, each read and write bounded by the attempt under way (``ConnectionPool``).

They are the standard library's: a call over http.client took 0.27 ms of CPU time, over urllib3 0.54 to 0.81, over aiohttp
0.40 (2,000 calls, 64 at a time, side by side); what is faster (httpr, pyreqwest: 0.20 to 0.34) waits in Rust, where neither
an interrupt nor the deadline of an attempt reaches a read. Knows nothing of chats.
"""

from __future__ import annotations

import base64
import http
import http.client
import io
import os
import re
import socket
import ssl
import threading
import time
import weakref
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from ..errors import CallTimeoutError
from .deadline import Attempt, current_attempt
from .timed_socket import TimedSocket, time_left

_LONGEST_IDLE, _MOST_IDLE = 5.0, 100  # seconds and connections: the SDK's own limits
_PIECE = 2**16  # bytes that are read at a time
_LONGEST_LINE, _MOST_HEADERS = 2**16, 100  # bytes, and headers of an answer: http.client's own limits
_BLANK = (b"\r\n", b"\n", b"")
_PLAIN_STATUS = re.compile(r"(HTTP/1\.[01]) ([1-9]\d\d) ([^\r\n]*)\r?\n", re.ASCII)
_PLAIN_HEADER = re.compile(rb"[!-9;-~]+:[^\r\n]*\r?\n")
_PATIENCE = 0.02  # seconds for the end of a body whose message was complete before


@dataclass(frozen=True)
class Server:
    """Where connections lead: ``context`` is for TLS; ``proxy`` is the address of an HTTP proxy, with its login, or empty."""

    scheme: str
    host: str
    port: int
    context: ssl.SSLContext | None = None
    proxy: str = ""

    @property
    def origin(self) -> str:
        """Scheme, host and port as they stand in a request; the usual port is left out."""
        usual = {"http": 80, "https": 443}[self.scheme]
        name = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{name}" if self.port == usual else f"{self.scheme}://{name}:{self.port}"

    @property
    def proxy_login(self) -> dict[str, str]:
        """The header that a proxy wants, where its address holds a login."""
        parts = urlsplit(self.proxy)
        if parts.username is None:
            return {}
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        return {"Proxy-Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}

    def connect(self) -> TimedSocket:
        """A connection to the server, through the proxy and with TLS where they are wanted; raises ``OSError`` or ``HTTPException``."""
        proxy = urlsplit(self.proxy)
        host, port = (proxy.hostname or "", proxy.port or 80) if self.proxy else (self.host, self.port)
        limit = time_left()
        made: http.client.HTTPConnection
        if self.scheme == "https":
            made = http.client.HTTPSConnection(host, port, timeout=limit, context=self.context)
            if self.proxy:
                made.set_tunnel(self.host, self.port, self.proxy_login)
        else:
            made = http.client.HTTPConnection(host, port, timeout=limit)
        made.response_class = _TunnelResponse
        try:
            made.connect()
        except BaseException:
            made.close()
            raise
        return TimedSocket(made.sock)


def write_request(method: str, target: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """A whole request; headers are of ASCII, checked by who gives them."""
    lines = [
        f"{method} {target} HTTP/1.1",
        *(f"{name}: {value}" for name, value in headers.items()),
        f"Content-Length: {len(body)}",
        "",
        "",
    ]
    return "\r\n".join(lines).encode("ascii") + body


class ConnectionPool:
    """Keeps the connections to one server that are free; the last one that was used is the first to be used again."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._idle: list[TimedSocket] = []
        self._busy: set[TimedSocket] = set()
        self._process = os.getpid()
        self._lock = threading.Lock()
        weakref.finalize(self, _close_all, self._idle)

    def send(self, request: bytes) -> HTTPAnswer:
        """Send a whole request, as ``write_request`` makes it, and read the head of its answer; raises ``OSError`` or ``HTTPException``."""
        wire = self._take() or self.server.connect()
        self._busy.add(wire)
        try:
            wire.send(request)
            response = _Response(wire, method="POST")  # type: ignore[arg-type]  # of a socket it asks for a file alone
            response.begin()
        except BaseException:
            self.drop(wire)
            raise
        return HTTPAnswer(self, wire, response)

    def drop(self, wire: TimedSocket) -> None:
        """Close a connection that cannot be used again."""
        self._busy.discard(wire)
        wire.close()

    def give_back(self, wire: TimedSocket) -> None:
        """Keep a connection whose last answer was read to its end."""
        self._busy.discard(wire)
        if len(self._idle) >= _MOST_IDLE or self._process != os.getpid():
            wire.close()
            return
        wire.since = time.monotonic()
        self._idle.append(wire)

    def hang_up(self) -> None:
        """End all connections, also those on which somebody waits for an answer."""
        _close_all(self._idle)
        for wire in list(self._busy):
            wire.hang_up()

    def _take(self) -> TimedSocket | None:
        """A free connection that is still open."""
        if self._process != os.getpid():  # a forked child: the connections are its parent's
            with self._lock:
                self._process, inherited = os.getpid(), self._idle[:]
                self._idle.clear()
            _close_all(inherited)
        while self._idle:
            try:
                wire = self._idle.pop()
            except IndexError:  # another thread was faster
                break
            if time.monotonic() - wire.since < _LONGEST_IDLE and wire.is_open:
                return wire
            wire.close()
        return None


class CutAnswerError(http.client.HTTPException):
    """A body that ended before its end, in the words of the SDK's HTTP library."""

    def __init__(self, received: int, expected: int | None) -> None:
        missing = "incomplete chunked read" if expected is None else f"received {received} bytes, expected {expected}"
        super().__init__(f"peer closed connection without sending complete message body ({missing})")


class HTTPAnswer:
    """One answer: status and headers at once, its body as it arrives, unpacked, bounded by the attempt that asked."""

    def __init__(self, pool: ConnectionPool, wire: TimedSocket, response: _Response) -> None:
        self._pool, self._wire, self._response = pool, wire, response
        self._attempt = current_attempt.get()
        self.status_code = response.status
        self.headers = response.fields
        self._body: bytes | None = None
        self._expected = response.length  # None in chunks, and where the end of the connection is the end of the body
        self._size = 0  # bytes read so far, as they were sent
        self._done = False
        if self._attempt is not None:
            self._attempt.response = self

    def iter_bytes(self) -> Iterator[bytes]:
        """The body as it arrives. Raises ``OSError``, ``HTTPException`` where it is cut, ``zlib.error`` and ``AnswerTooLargeError``."""
        size = 0
        for part in self._unpacked():
            size += len(part)
            if self._attempt is not None:
                self._attempt.check_size(size)
            yield part

    def read(self) -> bytes:
        """The whole body; errors as of ``iter_bytes``."""
        if self._body is None:
            length, limit = self._response.length, None if self._attempt is None else self._attempt.max_bytes
            if length is not None and (limit is None or length <= limit) and not self.headers.get("content-encoding"):
                try:
                    self._body = self._response.read()
                except http.client.IncompleteRead as error:
                    raise CutAnswerError(len(error.partial), self._expected) from None
                self._release()
            else:
                self._body = b"".join(self.iter_bytes())
        return self._body

    @property
    def text(self) -> str:
        """The whole body as text, by the charset that its headers name."""
        kind = self.headers.get("content-type")
        charset = (_find_charset(kind) if "charset" in kind.lower() else None) or "utf-8"
        try:
            return self.read().decode(charset, "replace")
        except LookupError:  # a charset that nobody knows
            return self.read().decode("utf-8", "replace")

    def drain(self) -> None:
        """Read the end of a body of whose message nothing is missing, where it is there already: the connection can be kept."""
        token = current_attempt.set(Attempt(_PATIENCE))
        try:
            for _ in () if self._done else self._raw():
                pass
        except (OSError, http.client.HTTPException, CallTimeoutError):
            self.close()
        finally:
            current_attempt.reset(token)

    def close(self) -> None:
        """Hang up, where the answer was not read to its end."""
        if not self._done:
            self._done = True
            self._response.close()
            self._pool.drop(self._wire)

    def _raw(self) -> Iterator[bytes]:
        try:
            while part := self._response.read1(_PIECE):
                self._size += len(part)
                yield part
        except http.client.IncompleteRead:  # in chunks
            raise CutAnswerError(self._size, None) from None
        if self._expected is not None and self._size < self._expected:
            raise CutAnswerError(self._size, self._expected)
        self._release()

    def _unpacked(self) -> Iterator[bytes]:
        if not (inflate := _DECODERS.get(self.headers.get("content-encoding").strip().lower())):
            return self._raw()
        return inflate(self._raw())

    def _release(self) -> None:
        """The body is complete: the connection is free, or closed where the server says so."""
        self._done, keep = True, not self._response.will_close
        self._response.close()
        (self._pool.give_back if keep else self._pool.drop)(self._wire)


def _find_charset(kind: str) -> str | None:
    """The charset in the value of a header ``Content-Type``."""
    headers = http.client.HTTPMessage()
    headers.set_raw("Content-Type", kind)
    return headers.get_content_charset()


def _gunzip(parts: Iterator[bytes]) -> Iterator[bytes]:
    unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
    for part in parts:
        yield unpacker.decompress(part)
        while rest := unpacker.unused_data:  # a file of several members
            unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
            yield unpacker.decompress(rest)
    yield unpacker.flush()


def _inflate(parts: Iterator[bytes]) -> Iterator[bytes]:
    """With zlib's head, as the standard has it, or without, as many servers send it."""
    first = next(parts, b"")
    unpacker = zlib.decompressobj()
    try:
        yield unpacker.decompress(first)
    except zlib.error:
        unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
        yield unpacker.decompress(first)
    for part in parts:
        yield unpacker.decompress(part)
    yield unpacker.flush()


_DECODERS = {"gzip": _gunzip, "x-gzip": _gunzip, "deflate": _inflate}
ENCODINGS = "gzip, deflate"
"""What a request may say that it accepts."""


class _Response(http.client.HTTPResponse):
    """An answer that passes over interim ones.

    http.client reads headers by a parser of e-mail, which takes a third of its time. What is plain is read here, the rest is its own.
    """

    def begin(self, **_limits: object) -> None:
        """Read status and headers; raises ``HTTPException`` where they are none."""
        version, self.status, self.reason = self._read_status()
        if not version.startswith(("HTTP/1.", "HTTP/0.9")):
            raise http.client.UnknownProtocol(version)
        self.code, self.version = self.status, 10 if version in ("HTTP/1.0", "HTTP/0.9") else 11
        self.fields = read_headers(self.fp)
        self.chunked = self.fields.get("transfer-encoding").lower() == "chunked"
        self.chunk_left = None
        length = self.fields.get("content-length").strip()
        is_number = length.isascii() and length.isdecimal() and len(length) < 20
        self.length = int(length) if is_number and not self.chunked else None
        if self.status in (http.HTTPStatus.NO_CONTENT, http.HTTPStatus.NOT_MODIFIED):
            self.length = 0
        has_end = self.chunked or self.length is not None
        kept = self.fields.get("connection").lower()
        self.will_close = not has_end or "close" in kept or (self.version == 10 and "keep-alive" not in kept)

    def _read_status(self) -> tuple[str, int, str]:
        """The status that counts: http.client itself skips 100 alone (Early Hints are 103); 101 is no interim answer."""
        while True:
            line = self.fp.readline(_LONGEST_LINE + 1)
            plain = _PLAIN_STATUS.fullmatch(line.decode("iso-8859-1"))
            version, status, reason = (plain[1], int(plain[2]), plain[3]) if plain else self._read_odd_status(line)
            if not 100 <= status < 200 or status == 101:
                return version, status, reason.strip()
            while self.fp.readline(_PIECE) not in _BLANK:
                pass

    def _read_odd_status(self, line: bytes) -> tuple[str, int, str]:
        """What http.client makes of a first line; raises what it raises."""
        file, self.fp = self.fp, io.BufferedReader(io.BytesIO(line))
        try:
            return super()._read_status()  # type: ignore[misc,no-any-return]  # it is not declared
        finally:
            self.fp = file


class _TunnelResponse(_Response):
    """A proxy's answer to ``CONNECT``, read within the limits too; it gets the socket itself, on which TLS begins afterwards."""

    def __init__(self, sock: socket.socket, *args: object, **options: object) -> None:
        super().__init__(TimedSocket(sock), *args, **options)  # type: ignore[arg-type]  # of a socket it asks for a file alone


class Headers:
    """The headers of an answer, in their order; ``get`` finds a value by a name in small letters, of several of one name the first."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._pairs = pairs
        self._first = {name.lower(): value for name, value in reversed(pairs)}

    def get(self, name: str, otherwise: str = "") -> str:
        """The value of a header."""
        return self._first.get(name, otherwise)

    def items(self) -> list[tuple[str, str]]:
        """All of them, by their names as they were sent."""
        return self._pairs


def read_headers(file: io.BufferedIOBase) -> Headers:
    """The headers of an answer, up to the blank line behind them; what is odd among them is left to http.client's own parser."""
    lines: list[bytes] = []
    while (line := file.readline(_LONGEST_LINE + 1)) not in _BLANK:
        if len(line) > _LONGEST_LINE:
            raise http.client.LineTooLong("header line")
        lines.append(line)
        if len(lines) > _MOST_HEADERS:
            raise http.client.HTTPException(f"got more than {_MOST_HEADERS} headers")
    if not all(map(_PLAIN_HEADER.fullmatch, lines)):
        return Headers(http.client.parse_headers(io.BytesIO(b"".join((*lines, b"\r\n")))).items())
    named = (line.decode("iso-8859-1").partition(":") for line in lines)
    return Headers([(name, value.lstrip(" \t").rstrip("\r\n")) for name, _, value in named])


def _close_all(idle: list[TimedSocket]) -> None:
    while idle:
        idle.pop().close()
