"""Requests in, chunks out through the OpenAI SDK: OpenAI, Azure and any server that speaks their chat API.

Knows the SDK, keys, the wire's many dialects, what a call's time limit means, and which error means what.
Does not know retries, stores, settings files, model facts or the notebook.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import math
import os
import re
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from functools import partial
from types import MethodType
from typing import Any
from urllib.parse import unquote, urlsplit

from ..answers import Chunk
from ..errors import AuthError, CallTimeoutError, ConfigError, InvalidRequestError, TinyLLMError, UnsupportedError
from ..messages import Request
from ..models import Endpoint, is_loopback
from ..records import guard
from .dialects import PARAMETERS, chat_params, known_params, to_chunks, with_facts
from .failures import is_known, status_of, translate, unreadable

__all__ = [
    "PARAMETERS",
    "VENDOR_URL",
    "OpenAIProvider",
    "chat_params",
    "connect",
    "key_mark",
    "known_params",
    "message_object",
    "to_chunks",
    "translate",
    "whole",
]

VENDOR_URL = "https://api.openai.com/v1"
_AZURE_KEYS = ("AZURE_OPENAI_API_KEY", "AZURE_OPENAI_KEY")
_VENDOR_KEYS = ("OPENAI_API_KEY",)
_READ = ("AZURE_OPENAI_ENDPOINT", "OPENAI_API_VERSION")  # what connect() takes from the environment but keys
_SALT = os.urandom(16)

# -- keys and clients ---------------------------------------------------------------------------------------------


def connect(endpoint: Endpoint, *, environ: Mapping[str, str] | None = None, timeout: float | None = None) -> Any:
    """An SDK client for an endpoint (``OpenAI`` or ``AzureOpenAI``) that never retries by itself.

    ``timeout`` is in seconds. Raises ``AuthError`` where a key is missing and ``ConfigError`` where an
    address or version is; both name the variable. Nothing is sent. An endpoint of OpenAI without an
    address means the vendor's own: whether ``OPENAI_BASE_URL`` holds was decided with the route.
    """
    environ = os.environ if environ is None else environ
    azure = endpoint.api_type == "azure"
    url = endpoint.base_url or (environ.get("AZURE_OPENAI_ENDPOINT") if azure else VENDOR_URL)
    if not url:
        raise ConfigError("AZURE_OPENAI_ENDPOINT is not set", key="AZURE_OPENAI_ENDPOINT", hint="Set it to https://NAME.openai.azure.com.")
    if not url.startswith(("http://", "https://")):
        raise ConfigError(f"the endpoint {url!r} is no http address", key="AZURE_OPENAI_ENDPOINT" if azure else "BASE_URL")
    version = endpoint.api_version or environ.get("OPENAI_API_VERSION")
    if azure and not version:
        raise ConfigError(
            "Azure needs an API version: AZURE_API_VERSION is not set",
            key="AZURE_API_VERSION",
            hint="Set AZURE_API_VERSION in config.ini, or OPENAI_API_VERSION in the environment, for example to 2024-10-21.",
        )
    key = _key(endpoint, url, environ)  # before the import: a missing key is told at once
    limit = timeout if timeout is not None else endpoint.timeout
    began = time.monotonic()

    import openai

    from .lanes import lanes

    url, login = _without_login(url)
    hooks: dict[str, list[Callable[..., Any]]] = {"request": [_on_request], "response": [_on_response]}
    transport = lanes(openai.DEFAULT_CONNECTION_LIMITS)
    http = openai.DefaultHttpxClient(timeout=limit, auth=login, event_hooks=hooks, transport=transport)
    common: dict[str, Any] = {"timeout": limit, "max_retries": 0, "http_client": http}
    client: Any
    if azure:
        secret = {"azure_ad_token_provider": key} if callable(key) else {"api_key": key}
        client = openai.AzureOpenAI(azure_endpoint=url, api_version=version, **secret, **common)
    else:
        client = openai.OpenAI(base_url=url, api_key=key, **common)
    weakref.finalize(client, http.close)  # the SDK leaves a client that it was given open
    if call := _current.get():
        call.postpone(time.monotonic() - began)
    return client


def _without_login(url: str) -> tuple[str, tuple[str, str] | None]:
    """An address without ``user:password@``, which the HTTP library would write into its log, and that login."""
    found = urlsplit(url)
    if found.username is None:
        return url, None
    return found._replace(netloc=found.netloc.rpartition("@")[2]).geturl(), (unquote(found.username), unquote(found.password or ""))


def key_mark(endpoint: Endpoint, environ: Mapping[str, str]) -> str:
    """A mark that changes when what ``connect`` takes from the environment changes; the key cannot be read from it."""
    values = [environ.get(name, "") for name in (*_key_names(endpoint), *_READ)]
    return hashlib.sha256(_SALT + "\0".join(values).encode(errors="surrogateescape")).hexdigest()


def message_object(message: Mapping[str, Any]) -> Any:
    """The SDK's ``ChatCompletionMessage`` for an assistant message in the chat format."""
    from openai.types.chat import ChatCompletionMessage

    return ChatCompletionMessage.model_validate(dict(message))


def whole(client_of_now: Callable[[], Any], model: str, chat_api_params: dict[str, Any]) -> Any:
    """The answer in one piece, as plain JSON: the SDK's models of it take two fifths of a call's work.

    Where somebody has put something else in the place of the SDK's ``create`` (a test, a tracer), it is asked.
    """
    client, params = client_of_now(), {**chat_api_params, "model": model}
    create = client.chat.completions.create
    if not _is_own(create) or any(name.startswith("extra_") or name == "timeout" for name in params):
        return create(**params)
    return client.post("/chat/completions", body=params, cast_to=object)


def _is_own(create: Any) -> bool:
    """Whether this is the SDK's own method."""
    import openai

    home = os.path.dirname(openai.__file__)  # noqa: PTH120  # asked at each call
    return type(create) is MethodType and create.__func__.__code__.co_filename.startswith(home)


def _key_names(endpoint: Endpoint) -> tuple[str, ...]:
    if endpoint.api_key_env:
        return (endpoint.api_key_env,)
    return _AZURE_KEYS if endpoint.api_type == "azure" else _VENDOR_KEYS


def _key(endpoint: Endpoint, url: str, environ: Mapping[str, str]) -> str | Callable[[], str]:
    """The key for an endpoint, from the code or the environment; ``AuthError`` says which variable is missing."""
    azure = endpoint.api_type == "azure"
    names = _key_names(endpoint)
    shown = re.sub(r"//[^/@]*@", "//", url)  # an address may hold a password
    if not endpoint.trusted and not is_loopback(url):  # a key in a file is no exception: it may be the user's own file
        raise AuthError(
            f"a file in this folder names the endpoint {shown}; no key was sent there",
            hint="If you trust this folder, run `%llm_config trust` once. Recorded cells need no key.",
        )
    if callable(endpoint.api_key):
        return endpoint.api_key
    found = endpoint.api_key or next((environ[n] for n in names if environ.get(n, "").strip()), "")
    key = str(found).strip()
    if not key.isascii() or not key.isprintable():
        where = "the key given" if endpoint.api_key else f"the key in {' or '.join(names)}"
        raise AuthError(f"{where} holds characters that no key has (a line break or a typographic sign)")
    if not key and not azure and is_loopback(url):
        return "no-key"
    if not key:
        raise AuthError(
            f"no API key for {shown}: {' and '.join(names)} {'are' if len(names) > 1 else 'is'} not set",
            hint=f"Set {names[0]} in the environment before Jupyter starts, or choose another model with `-m`. Recorded cells need no key.",
        )
    guard(names[0] if not endpoint.api_key else f"the key of {shown}", key)
    if login := urlsplit(url).password:
        guard(f"the password of {shown}", login)
    return key


# -- one call and its time limit ----------------------------------------------------------------------------------


class _Call:
    """One call on its way: its deadline, and the connection to close when it is over.

    The SDK's timeout bounds each wait for bytes, not the call, and is read once for a whole body.
    So every wait, up to the last byte, gets what is left of the call's limit.
    """

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self.response: Any = None
        self._end = None if seconds is None else time.monotonic() + seconds
        self._undo: Callable[[], None] | None = None

    def postpone(self, seconds: float) -> None:
        """Move the deadline: importing the SDK and making its client is no waiting for an answer."""
        if self._end is not None:
            self._end += seconds

    def left(self) -> float:
        """Seconds until the deadline (infinite without one), never quite 0: a socket takes that for "do not wait"."""
        return math.inf if self._end is None else max(self._end - time.monotonic(), 0.001)

    @property
    def expired(self) -> bool:
        return self._end is not None and time.monotonic() >= self._end

    def check(self) -> None:
        if self.expired:
            raise CallTimeoutError(f"no complete answer within {self.seconds:g} s")

    def watch(self, response: Any) -> None:
        """Take note of the HTTP response that is now being read, and bound each read of its connection."""
        self.response = response
        stream = response.extensions.get("network_stream")
        if self._end is None or not hasattr(stream, "__dict__"):
            return
        plain = type(stream).read

        def read(max_bytes: int, timeout: float | None = None) -> Any:
            if response.is_closed:  # read to its end: the connection may serve another call by now
                return plain(stream, max_bytes, timeout)
            self.check()
            return plain(stream, max_bytes, self.left())

        def undo() -> None:
            if vars(stream).get("read") is read:
                del stream.read

        self._undo = undo
        stream.read = read

    def close(self) -> None:
        """Hang up where the answer was not read to its end: the provider stops billing."""
        undo, self._undo = self._undo, None  # and with it the circle that would keep all of this for the garbage collector
        if undo is not None:
            undo()
        response, self.response = self.response, None
        if response is not None:
            response.close()


class _Left(dict[str, float]):
    """The timeouts of one HTTP request, each of them what is left of the call's limit when it is asked for."""

    def __init__(self, call: _Call) -> None:
        super().__init__()
        self._call = call

    def get(self, key: str, default: Any = None) -> Any:  # noqa: ARG002  # connect, read, write, pool: all alike
        return self._call.left()


_current: ContextVar[_Call | None] = ContextVar("tinyllm_magic_call", default=None)


def _on_request(request: Any) -> None:
    call = _current.get()
    if call is not None and call.seconds is not None:
        request.extensions["timeout"] = _Left(call)


def _on_response(response: Any) -> None:
    call = _current.get()
    if call is not None:
        call.watch(response)


class OpenAIProvider:
    """Answers requests through a ``create`` callable, as a rule the SDK's.

    ``create(model, params)`` receives the keyword arguments of ``client.chat.completions.create``
    (``model`` among them), ``embed(texts, model, **params)`` those of embeddings; both return what
    the SDK's methods return, or a dict, or text.
    ``extract`` turns the raw answer into a message dict (the answer is then asked for in one piece).
    ``timeout`` bounds one whole call in seconds, streams included; ``None`` is no bound.
    """

    def __init__(
        self,
        create: Callable[[str, dict[str, Any]], Any],
        extract: Callable[[Any], Any] | None = None,
        *,
        stream: bool = True,
        embed: Callable[..., Any] | None = None,
        timeout: float | None = None,
    ) -> None:
        self._create = create
        self._extract = extract
        self._embed = embed
        self._timeout = timeout
        self._refused: set[str] = set() if stream and extract is None else {"stream"}

    def send(self, request: Request) -> Iterator[Chunk]:
        """Yield the answer in pieces. Raises ``ProviderError``; an interrupt passes and hangs up."""
        call = _Call(self._timeout)
        finished = False
        try:
            for chunk in to_chunks(self._raw(request, call)):
                finished = finished or chunk.finish_reason is not None
                if not finished:
                    call.check()
                yield chunk
        except Exception as error:
            if finished:  # the answer is complete; only its tail (token counts) is lost
                return
            found = _explain(error, call)
            if found is error:
                raise
            raise found from error
        finally:
            call.close()

    def _raw(self, request: Request, call: _Call) -> Any:
        """The raw answer; a server that refuses to stream, or to count tokens while it does, is asked again without."""
        if request.kind == "embedding":
            if self._embed is None:
                raise UnsupportedError("this provider makes no embeddings", feature="embeddings")
            return self._ask(_embedding(self._embed, request), call)
        while True:
            params = chat_params(request, stream="stream" not in self._refused)
            if "stream_options" in self._refused:
                params.pop("stream_options", None)
            try:
                raw = self._ask(partial(self._create, request.model, params), call)
            except Exception as error:
                feature = getattr(translate(error), "feature", None)
                if feature not in ("stream", "stream_options") or feature not in params:
                    raise
                self._refused.add(feature)
            else:
                return raw if self._extract is None else self._message(raw)

    def _message(self, raw: Any) -> dict[str, Any]:
        extract = self._extract or (lambda whole: whole)
        try:
            return with_facts(extract(raw), raw)
        except TinyLLMError:
            raise
        except Exception as error:  # the user's code: whatever it raises is no fault of the server
            raise translate(error) from error

    @staticmethod
    def _ask(ask: Callable[[], Any], call: _Call) -> Any:
        token = _current.set(call)
        try:
            raw = ask()
        finally:
            _current.reset(token)
        if isinstance(raw, str) and call.response is not None:  # so the SDK hands on a body that is no JSON
            raise unreadable(raw)
        if call.response is None and hasattr(getattr(raw, "response", None), "extensions"):
            call.watch(raw.response)  # a stream of a client that connect() did not make
        return raw


def _embedding(embed: Callable[..., Any], request: Request) -> Callable[[], Any]:
    params = copy.deepcopy({k: v for k, v in request.params.items() if v is not None})
    return partial(embed, params.pop("input"), request.model, **params)


def _explain(error: Exception, call: _Call) -> TinyLLMError:
    """The error to raise for whatever ended a call."""
    if call.expired and not isinstance(error, (InvalidRequestError, CallTimeoutError)) and status_of(error) is None:
        return CallTimeoutError(f"no complete answer within {call.seconds:g} s")
    if isinstance(error, TinyLLMError):
        return error
    answered = call.response is not None and call.response.status_code < 400
    if answered and not is_known(error):  # the SDK stumbled over the body of a 200
        with contextlib.suppress(Exception):  # the body may be gone; then the error's own words must do
            return unreadable(call.response.text)
    return translate(error)
