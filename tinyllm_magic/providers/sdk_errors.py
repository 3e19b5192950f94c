"""Makes the SDK's own errors of calls that failed without it: the SDK is imported, and told of the failure, only then."""

from __future__ import annotations

import functools
import http.client
import importlib
import socket
import ssl
import sys
import threading
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import CallTimeoutError, TinyLLMError
from .http_connection import CutAnswerError, HTTPAnswer

_ABOUT_THE_BODY = frozenset(("connection", "content-encoding", "content-length", "transfer-encoding"))
_TIMEOUTS = (TimeoutError, CallTimeoutError)
_under_way = threading.local()


@dataclass(frozen=True)
class FailedCall:
    """What was asked: the address without login and query, and the headers."""

    url: str
    headers: Mapping[str, str] = field(repr=False)


class TimedOut(TimeoutError):
    """A call that took too long before the SDK was imported, whose import would take as long again."""

    def __init__(self, call: FailedCall, error: Exception) -> None:
        super().__init__(str(error))
        self.request = call
        self.__cause__ = error


def refused(call: FailedCall, answer: HTTPAnswer) -> Exception:
    """The SDK's error for an answer with a status that is none of success; its body has been read."""
    headers = [(name, value) for name, value in answer.headers.items() if name.lower() not in _ABOUT_THE_BODY]
    return _replay(call, _http_library().Response(answer.status_code, headers=headers, content=answer.read()))


def failed(call: FailedCall, error: Exception) -> Exception:
    """The SDK's error for a call that got no answer."""
    found = broken(call, error)
    return found if isinstance(found, TimedOut) else _replay(call, found)


def broken(call: FailedCall, error: Exception) -> Exception:
    """The error of the SDK's HTTP library for what broke a connection, as it is met while a stream is read."""
    if isinstance(error, _TIMEOUTS) and "openai" not in sys.modules:
        return TimedOut(call, error)
    library = _http_library()
    kind, words = _kind(error)
    made: Exception = getattr(library, kind)(words, request=library.Request("POST", call.url, headers=dict(call.headers)))
    made.__cause__ = http.client.HTTPException(words) if isinstance(error, http.client.HTTPException) else error
    return made


def _kind(error: Exception) -> tuple[str, str]:
    """The class of the HTTP library, by its name, and its message."""
    if isinstance(error, _TIMEOUTS):
        return "ReadTimeout", str(error)
    if isinstance(error, http.client.RemoteDisconnected):
        return "RemoteProtocolError", "Server disconnected without sending a response."
    if isinstance(error, http.client.HTTPException):
        return "RemoteProtocolError", str(error) if isinstance(error, CutAnswerError) else f"{type(error).__name__}: {error}"
    if isinstance(error, zlib.error):
        return "DecodingError", str(error)
    return "ConnectError" if isinstance(error, (ssl.SSLError, socket.gaierror, ConnectionRefusedError)) else "ReadError", str(error)


def _replay(call: FailedCall, outcome: Any) -> Exception:
    """What the SDK raises where its HTTP library has this outcome: an answer, or an error."""
    import openai

    _under_way.outcome = outcome
    try:
        _client().post(call.url, cast_to=object, body={}, options={"headers": dict(call.headers)})
    except openai.OpenAIError as error:
        return error
    finally:
        del _under_way.outcome
    raise TinyLLMError(f"the SDK takes this answer for none that failed: {outcome!r}")


@functools.cache
def _client() -> Any:
    """A client of the SDK's that meets, in place of a server, the outcome under way in its thread."""
    import openai

    def meet(_request: Any) -> Any:
        if isinstance(_under_way.outcome, Exception):
            raise _under_way.outcome
        return _under_way.outcome

    http = openai.DefaultHttpxClient(transport=_http_library().MockTransport(meet), follow_redirects=False)
    return openai.OpenAI(api_key="no-key", base_url="http://unused.invalid", max_retries=0, http_client=http)


def _http_library() -> Any:
    """The HTTP library that this version of the SDK stands on."""
    import openai

    return importlib.import_module(type(openai.DEFAULT_CONNECTION_LIMITS).__module__.partition(".")[0])
