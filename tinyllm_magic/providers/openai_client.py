"""Makes the OpenAI SDK's clients: keys, addresses, connections."""

from __future__ import annotations

import hashlib
import importlib
import os
import sys
import time
import weakref
from collections.abc import Callable, Mapping
from functools import partial
from types import FunctionType, MethodType
from typing import Any

from ..models.endpoints import Endpoint
from . import network
from .addresses import find_address, quote_query
from .deadline import apply_limits, current_attempt

_READ = ("AZURE_OPENAI_ENDPOINT", "OPENAI_API_VERSION")  # what find_address() takes from the environment but keys
RESOURCES = frozenset(
    (
        *("audio", "base_url", "batches", "beta", "chat", "completions", "containers", "conversations", "embeddings", "evals", "files"),
        *("fine_tuning", "images", "models", "moderations", "realtime", "responses", "uploads", "vector_stores", "videos", "webhooks"),
        *("with_options", "with_raw_response", "with_streaming_response"),
    )
)
"""Names under which the SDK's client holds the parts of its API."""
_SALT = os.urandom(16)
_marks: dict[Endpoint, tuple[object, str]] = {}


def connect(endpoint: Endpoint, *, environ: Mapping[str, str] | None = None, timeout: float | None = None) -> Any:
    """An SDK client for an endpoint (``OpenAI`` or ``AzureOpenAI``) that never retries by itself.

    ``timeout`` is in seconds. Nothing is sent. Raises what ``find_address`` raises, and ``ConfigError`` where the environment
    names proxies or certificates that cannot be used.
    """
    place = find_address(endpoint, os.environ if environ is None else environ)  # before the import: a missing key is told at once
    limit = timeout if timeout is not None else endpoint.timeout
    began = time.monotonic()

    import openai

    http = openai.DefaultHttpxClient(
        timeout=limit,
        auth=place.login,
        follow_redirects=False,  # prompt and key go to the address that was set, and to no other
        event_hooks={"request": [partial(_add_query, place.query)]} if place.query else None,
        **_connections(place.url, openai.DEFAULT_CONNECTION_LIMITS),
    )
    apply_limits(http)
    common: dict[str, Any] = {"timeout": limit, "max_retries": 0, "http_client": http}
    client: Any
    if place.version:
        secret = {"azure_ad_token_provider": place.key} if callable(place.key) else {"api_key": place.key}
        client = openai.AzureOpenAI(azure_endpoint=place.url, api_version=place.version, **secret, **common)
    else:
        client = openai.OpenAI(base_url=place.url, api_key=place.key, **common)
    _ = client.chat.completions  # the SDK imports it when it is first used, which would be within the time of the first question
    client.organization, client.project = place.headers["organization"], place.headers["project"]
    for connections in (http._transport, *http._mounts.values()):  # noqa: SLF001  # with the last of the SDK's clients that share them
        if connections is not None:
            weakref.finalize(http, connections.close)
    if call := current_attempt.get():
        call.postpone(time.monotonic() - began)
    return client


def _connections(url: str, limits: Any) -> dict[str, Any]:
    """Arguments of the HTTP client that say how connections to an address are made."""
    from .connection_pools import ConnectionPools

    library = importlib.import_module(type(limits).__module__.partition(".")[0])  # what this version of the SDK stands on
    context = network.load_certificates() if url.startswith("https:") else network.trusts_nobody()
    network.check_proxies(library.HTTPTransport, context)
    if network.is_proxied():  # which requests go through a proxy is the library's to decide
        return {"verify": context}
    return {"verify": context, "transport": ConnectionPools(library.HTTPTransport, limits, context)}


def _add_query(query: str, request: Any) -> None:
    """Send the query of an address with a request whose own address stays without it."""
    target = request.url.raw_path
    request.extensions["target"] = target + (b"&" if b"?" in target else b"?") + quote_query(query).encode()


def environment_mark(endpoint: Endpoint, environ: Mapping[str, str]) -> str:
    """A mark that changes when what a connection takes from the environment changes; the key cannot be read from it."""
    values = [environ.get(name, "") for name in (*endpoint.key_variables, *_READ)]
    return hashlib.sha256(_SALT + repr((values, network.network_state(environ))).encode()).hexdigest()


def present_mark(endpoint: Endpoint) -> str:
    """The mark of this process's environment, made anew where that, or a file of certificates, has changed."""
    now = network.quick_state()
    known = _marks.get(endpoint)
    if now is None or known is None or known[0] != now:
        if len(_marks) > 256:
            _marks.clear()
        known = _marks[endpoint] = (now, environment_mark(endpoint, os.environ))
    return known[1]


def message_object(message: Mapping[str, Any]) -> Any:
    """The SDK's ``ChatCompletionMessage`` for an assistant message in the chat format."""
    from openai.types.chat import ChatCompletionMessage

    return ChatCompletionMessage.model_validate(dict(message))


def create_in_one_piece(client_of_now: Callable[[], Any], model: str, chat_api_params: dict[str, Any]) -> Any:
    """The answer in one piece, as plain JSON: the SDK's models of it take two fifths of a call's work.

    Where somebody has put something else in the place of the SDK's ``create`` (a test, a tracer), it is asked.
    """
    client, params = client_of_now(), {**chat_api_params, "model": model}
    create = client.chat.completions.create
    if not is_sdk_method(create) or any(name.startswith("extra_") or name == "timeout" for name in params):
        return create(**params)
    return client.post("/chat/completions", body=params, cast_to=object)  # 1.1 ms of CPU; create 1.9, with_raw_response.create 1.7


def is_create_replaced(client: Any) -> bool:
    """Whether something else stands in the place of the SDK's ``create``: of this client, if there is one yet, or of its class."""
    if client is not None and not is_sdk_method(client.chat.completions.create):
        return True
    module = sys.modules.get("openai.resources.chat.completions.completions")
    create = None if module is None else getattr(getattr(module, "Completions", None), "create", None)
    return module is not None and not (type(create) is FunctionType and _is_of_the_sdk(create))


def is_sdk_method(method: Any) -> bool:
    """Whether a bound method was written in the SDK."""
    return type(method) is MethodType and _is_of_the_sdk(method.__func__)


def _is_of_the_sdk(function: Any) -> bool:
    """Where its code lives decides, which a wrapper cannot take over as it does its name."""
    return str(function.__globals__["__name__"]).partition(".")[0] == "openai"
