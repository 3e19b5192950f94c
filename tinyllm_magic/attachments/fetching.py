"""Fetches a file from a web address: bounded in size and time, and never from a private address, by a redirect neither."""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import time
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from ..errors import PromptError
from ..redaction import hide_private
from .sources import MAX_BYTES, Bytes

PATIENCE = 30.0
"""Seconds that a fetch may take in all."""
_MOST_REDIRECTS = 5
_REDIRECTS = (301, 302, 303, 307, 308)
_PIECE = 2**16


def fetch(url: str) -> Bytes:
    """The file at a web address; raises ``PromptError`` where there is none that may be fetched."""
    deadline, place = time.monotonic() + PATIENCE, url
    try:
        for _ in range(_MOST_REDIRECTS + 1):
            found = _get(place, deadline)
            if isinstance(found, bytes):
                return Bytes(found, unquote(PurePosixPath(urlsplit(url).path).name))
            place = urljoin(place, found)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise PromptError(f"{hide_private(url)} cannot be fetched: {str(error) or type(error).__name__}") from error
    raise PromptError(f"{hide_private(url)} cannot be fetched: more than {_MOST_REDIRECTS} redirects")


def _get(url: str, deadline: float) -> bytes | str:
    """The body of an answer, or the address that it redirects to."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{hide_private(url)} is no http or https address")
    kind = _SecureConnection if parts.scheme == "https" else _Connection
    connection = kind(parts.hostname, parts.port, timeout=_left(deadline))
    try:
        path = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
        connection.request("GET", path, headers={"User-Agent": "tinyllm-magic", "Accept": "*/*"})
        response = connection.getresponse()
        if response.status in _REDIRECTS and (to := response.getheader("Location")):
            return to
        if response.status != http.client.OK:
            raise ValueError(f"the server answers {response.status}")
        return _read(response, connection, deadline)
    finally:
        connection.close()


def _read(response: http.client.HTTPResponse, connection: http.client.HTTPConnection, deadline: float) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while piece := response.read1(_PIECE):
        pieces.append(piece)
        size += len(piece)
        if size > MAX_BYTES:
            raise ValueError(f"it is larger than {MAX_BYTES >> 20} MB")
        if connection.sock is not None:  # closed where the server said that it would hang up
            connection.sock.settimeout(_left(deadline))
        _left(deadline)
    if response.length:
        raise ValueError("the connection ended before the file did")
    return b"".join(pieces)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError(f"it took more than {PATIENCE:g} s")
    return left


def is_public(address: str) -> bool:
    """Whether an IP address is one of the open internet: not of this machine, a private network, a cloud's inner services."""
    found = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_global and not found.is_multicast


def _open(host: str, port: int, timeout: float) -> socket.socket:
    """A connection to a host's address, which is looked up once: what was checked is what is reached."""
    failure: OSError | None = None
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        if not is_public(str(address[0])):
            raise ValueError(f"{host} leads to {address[0]}, which is no public address")
        opened = socket.socket(family, kind, protocol)
        opened.settimeout(timeout)
        try:
            opened.connect(address)
        except OSError as error:
            opened.close()
            failure = error
        else:
            return opened
    raise failure or OSError(f"{host} has no address")


class _Connection(http.client.HTTPConnection):
    """A connection to a public address alone."""

    timeout: float

    def connect(self) -> None:
        self.sock: Any = _open(self.host, self.port, self.timeout)


class _SecureConnection(_Connection):
    """The same with TLS, whose certificate is checked for the host's name."""

    default_port = http.client.HTTPS_PORT

    def connect(self) -> None:
        super().connect()
        self.sock = ssl.create_default_context().wrap_socket(self.sock, server_hostname=self.host)
