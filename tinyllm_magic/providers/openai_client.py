"""Makes the OpenAI SDK's clients: keys, addresses, connections."""

from __future__ import annotations

import hashlib
import importlib
import os
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from types import MethodType
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from ..errors import AuthError, ConfigError, UnsupportedError
from ..models.endpoints import TOKEN_VARIABLE, VENDOR_URL, Endpoint, is_loopback
from ..redaction import bare_address, drop_login, guard, guard_values, hide_private
from . import entra, network
from .deadline import apply_limits, current_attempt

_READ = ("AZURE_OPENAI_ENDPOINT", "OPENAI_API_VERSION")  # what connect() takes from the environment but keys
RESOURCES = frozenset(
    (
        *("audio", "base_url", "batches", "beta", "chat", "completions", "containers", "conversations", "embeddings", "evals", "files"),
        *("fine_tuning", "images", "models", "moderations", "realtime", "responses", "uploads", "vector_stores", "videos", "webhooks"),
        *("with_options", "with_raw_response", "with_streaming_response"),
    )
)
"""Names under which the SDK's client holds the parts of its API."""
_SALT = os.urandom(16)


def connect(endpoint: Endpoint, *, environ: Mapping[str, str] | None = None, timeout: float | None = None) -> Any:
    """An SDK client for an endpoint (``OpenAI`` or ``AzureOpenAI``) that never retries by itself.

    ``timeout`` is in seconds. Raises ``AuthError`` where a key is missing and ``ConfigError`` where an
    address or version is, or where the environment names headers, proxies or certificates that cannot be
    used; both name the variable. Nothing is sent. An endpoint of OpenAI without an
    address means the vendor's own: whether ``OPENAI_BASE_URL`` holds was decided with the route.
    """
    if endpoint.is_in_process:
        raise UnsupportedError(f"'{endpoint.api_type}' answers inside this process; it has no client of the SDK", hint="Use send_message.")
    environ = os.environ if environ is None else environ
    azure = endpoint.api_type == "azure"
    if azure and not endpoint.base_url:
        endpoint = replace(endpoint, base_url=environ.get("AZURE_OPENAI_ENDPOINT") or None)
    url = endpoint.base_url or (None if azure else VENDOR_URL)
    if not url:
        raise ConfigError("AZURE_OPENAI_ENDPOINT is not set", key="AZURE_OPENAI_ENDPOINT", hint="Set it to https://NAME.openai.azure.com.")
    if not _is_http(url):
        raise ConfigError(f"the endpoint {hide_private(url)!r} is no http address", key="AZURE_OPENAI_ENDPOINT" if azure else "BASE_URL")
    version = endpoint.api_version or environ.get("OPENAI_API_VERSION")
    deployed = azure and not endpoint.is_azure_v1
    if deployed and not version:
        raise ConfigError(
            "Azure needs an API version: AZURE_API_VERSION is not set",
            key="AZURE_API_VERSION",
            hint="Set AZURE_API_VERSION in config.ini, or OPENAI_API_VERSION in the environment, for example to 2024-10-21.",
        )
    _guard_address(url)
    key = _key(endpoint, url, environ)  # before the import: a missing key is told at once
    headers = network.read_headers(environ)
    limit = timeout if timeout is not None else endpoint.timeout
    began = time.monotonic()

    import openai

    url, login, query = _split_address(url)
    http = openai.DefaultHttpxClient(
        timeout=limit,
        auth=login,
        follow_redirects=False,  # prompt and key go to the address that was set, and to no other
        event_hooks={"request": [partial(_add_query, query)]} if query else None,
        **_connections(url, openai.DEFAULT_CONNECTION_LIMITS),
    )
    apply_limits(http)
    common: dict[str, Any] = {"timeout": limit, "max_retries": 0, "http_client": http}
    client: Any
    if deployed:
        secret = {"azure_ad_token_provider": key} if callable(key) else {"api_key": key}
        client = openai.AzureOpenAI(azure_endpoint=url, api_version=version, **secret, **common)
    else:
        client = openai.OpenAI(base_url=url, api_key=key, **common)
    _ = client.chat.completions  # the SDK imports it when it is first used, which would be within the time of the first question
    client.organization, client.project = headers["organization"], headers["project"]
    for connections in (http._transport, *http._mounts.values()):  # noqa: SLF001  # with the last of the SDK's clients that share them
        if connections is not None:
            weakref.finalize(http, connections.close)
    if call := current_attempt.get():
        call.postpone(time.monotonic() - began)
    return client


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets that do not match, a port that is no number
        return False


def _guard_address(url: str) -> None:
    """Take for secrets what an address holds of them: a password, and what is named like a key in its query."""
    parts, shown = urlsplit(url), bare_address(url)
    if parts.password:
        guard(f"the password of {shown}", unquote(parts.password))
    guard_values(f"the query of {shown}", dict(parse_qsl(parts.query)))


def _split_address(url: str) -> tuple[str, tuple[str, str] | None, str]:
    """An address without ``user:password@`` and query, which the HTTP library would write into its log; that login; that query."""
    found = urlsplit(url)
    bare = urlsplit(drop_login(url))._replace(query="", fragment="").geturl()
    login = None if found.username is None else (unquote(found.username), unquote(found.password or ""))
    return bare, login, found.query


def _connections(url: str, limits: Any) -> dict[str, Any]:
    """Arguments of the HTTP client that say how connections to an address are made."""
    from .connection_pools import ConnectionPools

    library = importlib.import_module(type(limits).__module__.partition(".")[0])  # what this version of the SDK stands on
    context = network.load_certificates(library.create_ssl_context) if url.startswith("https:") else network.trusts_nobody()
    network.check_proxies(library.HTTPTransport, context)
    if network.is_proxied():  # which requests go through a proxy is the library's to decide
        return {"verify": context}
    return {"verify": context, "transport": ConnectionPools(library.HTTPTransport, limits, context)}


def _add_query(query: str, request: Any) -> None:
    """Send the query of an address with a request whose own address stays without it."""
    target = request.url.raw_path
    request.extensions["target"] = target + (b"&" if b"?" in target else b"?") + quote(query, safe="=&%+,;:@/?!$'()*~").encode()


def environment_mark(endpoint: Endpoint, environ: Mapping[str, str]) -> str:
    """A mark that changes when what ``connect`` takes from the environment changes; the key cannot be read from it."""
    values = [environ.get(name, "") for name in (*endpoint.key_variables, *_READ)]
    return hashlib.sha256(_SALT + repr((values, network.network_state(environ))).encode()).hexdigest()


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
    if not _is_sdk_method(create) or any(name.startswith("extra_") or name == "timeout" for name in params):
        return create(**params)
    return client.post("/chat/completions", body=params, cast_to=object)  # 1.1 ms of CPU; create 1.9, with_raw_response.create 1.7


def _is_sdk_method(method: Any) -> bool:
    """Whether a bound method was written in the SDK: where its code lives, which a wrapper cannot take over as it does its name."""
    return type(method) is MethodType and method.__func__.__globals__["__name__"].partition(".")[0] == "openai"


def _key(endpoint: Endpoint, url: str, environ: Mapping[str, str]) -> str | Callable[[], str]:
    """The key for an endpoint, from the code or the environment; ``AuthError`` says which variable is missing."""
    azure = endpoint.api_type == "azure"
    names, shown = endpoint.key_variables, bare_address(url)
    if not endpoint.trusted and not is_loopback(url):  # a key in a file is no exception: it may be the user's own file
        raise AuthError(
            f"a file in this folder names the endpoint {shown}; no key was sent there",
            hint="If you trust this folder, run `%llm_config trust` once. Recorded cells need no key.",
        )
    if callable(endpoint.api_key):
        return partial(_called_key, endpoint.api_key, shown)
    variable = None if endpoint.api_key else next((n for n in names if environ.get(n, "").strip()), None)
    found = endpoint.api_key or environ.get(variable or "", "")
    key = _clean_key(str(found), "the key given" if variable is None else f"the key in {variable}")
    if not key and not azure and not endpoint.needs_key:
        return "no-key"
    if not key:
        missing = f"{' and '.join(names)} {'are' if len(names) > 1 else 'is'} not set"
        if azure and not endpoint.api_key_env and entra.is_installed():
            return partial(_called_key, partial(entra.get_token, missing), shown)
        raise AuthError(
            f"no API key for {shown}: {missing}",
            hint=f"Set {names[0]} in the environment, or choose another model. Recorded cells need no key.",
            variable=names[0],
        )
    guard(variable or f"the key of {shown}", key)
    return key if variable != TOKEN_VARIABLE else lambda: key


def _called_key(find: Callable[[], object], shown: str) -> str:
    """The key that the user's own function finds, anew for each request."""
    found = find()
    if not isinstance(found, str) or not found.strip():
        raise AuthError(f"the function that finds the key of {shown} returned none")
    key = _clean_key(found, f"what the function that finds the key of {shown} returned")
    guard(f"the key of {shown}", key)
    return key


def _clean_key(found: str, where: str) -> str:
    key = found.strip()
    if not key.isascii() or not key.isprintable():
        raise AuthError(f"{where} holds characters that no key has (a line break or a typographic sign)")
    return key
