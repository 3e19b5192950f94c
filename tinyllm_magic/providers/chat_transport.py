"""Asks for plain chat completions over the standard library's HTTP, in place of the SDK (``open_transport``).

The SDK takes 1.5 ms of CPU time for a call and 0.4 s for its import. What is sent, what comes back and every error is as
through the SDK; an address that needs more of it than this module knows is left to it.
"""

from __future__ import annotations

import base64
import http.client
import json
import logging
import re
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

from ..errors import CallTimeoutError
from ..models.endpoints import Endpoint
from . import network, sdk_errors
from .addresses import Address, find_address, quote_query
from .deadline import current_attempt
from .http_connection import ENCODINGS, ConnectionPool, HTTPAnswer, Server, write_request

logger = logging.getLogger("tinyllm_magic")
_PLAIN_HOST = re.compile(r"[\w.-]+|[\da-fA-F:]+", re.ASCII)
_PLAIN_PATH = re.compile(r"[\w./~!$&'()*+,;=:@-]*", re.ASCII)
_PLAIN_MODEL = re.compile(r"[\w.-]+", re.ASCII)  # of a deployment, whose name stands in the address
_OWN_HEADERS = frozenset(("accept-encoding", "connection", "content-length", "content-type", "host", "transfer-encoding"))
_FAILURES = (OSError, http.client.HTTPException, zlib.error)


def open_transport(endpoint: Endpoint, environ: Mapping[str, str]) -> ChatTransport | None:
    """The thin transport to an endpoint; ``None`` where the SDK has to be asked: Entra tokens, unusual proxies and addresses.

    Nothing is sent. Raises what ``find_address`` raises, and ``ConfigError`` where certificates cannot be read.
    """
    began = time.monotonic()
    place = find_address(endpoint, environ)
    parts = urlsplit(place.url)
    proxy = network.find_proxy(place.url)
    host = parts.hostname or ""
    if proxy is None or (endpoint.api_type == "azure" and callable(place.key)) or network.has_more_headers(environ):
        return None
    if not _PLAIN_HOST.fullmatch(host) or not _PLAIN_PATH.fullmatch(parts.path):
        return None
    context = network.load_certificates() if parts.scheme == "https" else None
    if context is not None:
        context.set_alpn_protocols(["http/1.1"])
    port = parts.port or (443 if parts.scheme == "https" else 80)
    transport = ChatTransport(place, Server(parts.scheme, host, port, context, proxy))
    if call := current_attempt.get():
        call.postpone(time.monotonic() - began)
    return transport


class ChatTransport:
    """Sends chat completions to one address over connections that are kept; many threads may share it."""

    def __init__(self, place: Address, server: Server) -> None:
        self._place, self._pool = place, ConnectionPool(server)
        self._path, self._origin = urlsplit(place.url).path.rstrip("/"), server.origin
        fixed = {
            "Host": self._origin.partition("://")[2],
            "Accept": "application/json",
            "Accept-Encoding": ENCODINGS,
            "Content-Type": "application/json",
            "User-Agent": f"tinyllm-magic/{version('tinyllm-magic')}",
        }
        named = {"OpenAI-Organization": place.headers["organization"], "OpenAI-Project": place.headers["project"]}
        self._headers = fixed | {name: value for name, value in named.items() if value is not None}
        self._proxy_headers = server.proxy_login if server.proxy and server.scheme == "http" else {}
        self._prefix = self._origin if server.proxy and server.scheme == "http" else ""

    def takes(self, model: str, params: Mapping[str, Any]) -> bool:
        """Whether a call can be sent from here; the SDK knows ways for others."""
        if "extra_query" in params or "timeout" in params or (self._place.version and not _PLAIN_MODEL.fullmatch(model)):
            return False
        more = params.get("extra_headers")
        return not more or not any(str(name).lower() in _OWN_HEADERS for name in more)

    def create(self, model: str, params: Mapping[str, Any]) -> Any:
        """The raw answer of ``client.chat.completions.create(model=model, **params)``: text, or a stream to be read.

        Raises the SDK's own errors.
        """
        body = {**params, "model": model}
        headers, extra = self._make_headers(body.pop("extra_headers", None) or {}), body.pop("extra_body", None) or {}
        path, query = self._find_target(model)
        data = json.dumps({**body, **extra}, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
        try:
            answer = self._pool.send(write_request("POST", f"{self._prefix}{path}{query}", headers | self._proxy_headers, data))
            logger.debug("POST %s%s: %d", self._origin, path, answer.status_code)
            if 200 <= answer.status_code < 300:
                return Reply(answer, self._describe(path, headers)) if params.get("stream") else answer.text
            answer.read()
        except (CallTimeoutError, *_FAILURES) as error:
            failure = error
        else:
            raise sdk_errors.refused(self._describe(path, headers), answer)
        raise sdk_errors.failed(self._describe(path, headers), failure)

    def _describe(self, path: str, headers: Mapping[str, str]) -> sdk_errors.FailedCall:
        return sdk_errors.FailedCall(f"{self._origin}{path}", headers)

    def _find_target(self, model: str) -> tuple[str, str]:
        """Path and query of a call."""
        query = [quote_query(self._place.query)] if self._place.query else []
        path = f"{self._path}/chat/completions"
        if self._place.version:
            path = f"{self._path}/openai/deployments/{model}/chat/completions"
            query.insert(0, f"api-version={quote_query(self._place.version)}")
        return path, f"?{'&'.join(query)}" if query else ""

    def _make_headers(self, more: Mapping[str, str]) -> dict[str, str]:
        """The headers of one call: its own come before ours, and a login of the address before every other, as through the SDK."""
        key = self._place.key() if callable(self._place.key) else self._place.key
        headers = self._headers | ({"api-key": key} if self._place.version else {"Authorization": f"Bearer {key}"})
        if self._place.login is not None:
            more = {name: value for name, value in more.items() if str(name).lower() != "authorization"}
            more |= {"Authorization": f"Basic {base64.b64encode(':'.join(self._place.login).encode()).decode()}"}
        names = {str(name).lower() for name in more}
        return {**{name: value for name, value in headers.items() if name.lower() not in names}, **more} if more else headers


class Reply:
    """A stream that has begun, as ``to_chunks`` takes one from the SDK: it has a ``response`` whose bytes are read."""

    def __init__(self, answer: HTTPAnswer, call: sdk_errors.FailedCall) -> None:
        self._answer, self._call = answer, call
        self.response = self
        self.headers, self.status_code = answer.headers, answer.status_code
        self.drain: Callable[[], None] = answer.drain
        self.close: Callable[[], None] = answer.close

    def iter_bytes(self) -> Iterator[bytes]:
        """The body as it arrives; raises the errors of the SDK's HTTP library, as the SDK's stream does."""
        try:
            yield from self._answer.iter_bytes()
        except _FAILURES as error:
            failure = error
        else:
            return
        raise sdk_errors.broken(self._call, failure)

    def read(self) -> bytes:
        """The whole body; errors as of ``iter_bytes``."""
        try:
            return self._answer.read()
        except _FAILURES as error:
            failure = error
        raise sdk_errors.broken(self._call, failure)

    @property
    def text(self) -> str:
        """The whole body as text."""
        return self._answer.text
