"""A model's name and plain settings in, the way to it out: ``Endpoint``, ``Route``, ``choose_route``.

Knows API types, addresses, whose they are, and which model is meant where several could be.
Does not know settings files, stores, tokenizers, prices, vendors' clients or the notebook.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from .errors import ConfigError, near, suggest
from .facts import EMBEDDED, FACT_NAMES, Facts, facts

API_TYPES = ("openai", "azure", "local", "echo")
_VENDOR_URL = "https://api.openai.com/v1"
_KEY_NAMES = {"openai": ("OPENAI_API_KEY",), "azure": ("AZURE_OPENAI_API_KEY", "AZURE_OPENAI_KEY")}
_HERE = frozenset({"local", "echo"})
_NOTHING: Mapping[str, Any] = MappingProxyType({})
_ADDRESS = frozenset({"base_url", "azure_endpoint", "api_key_env", "api_key", "api_version", "identity", "path", "timeout", "max_retries"})
_NOT_SENT = _ADDRESS | {"provider", "model"} | FACT_NAMES - {"system"}


@dataclass(frozen=True)
class Endpoint:
    """Where a model lives. No key appears in its repr.

    ``api_type`` is ``openai``, ``azure``, ``local``, ``echo`` or a registered name; ``base_url``
    is ``None`` for the vendor's own address and the resource endpoint for Azure; ``api_key`` may
    be a callable that returns an Entra token; ``api_key_env`` names the environment variable that
    holds the key (``None``: the vendor's own names); ``identity`` stands for the address in keys;
    ``path`` is a GGUF file; ``timeout`` is in seconds. ``trusted`` is false where a file of a
    folder that the user has not trusted names an address beyond loopback: such an endpoint gets
    no key, neither from the environment nor from a file.
    """

    api_type: str
    base_url: str | None = None
    api_key_env: str | None = None
    api_key: str | Callable[[], str] | None = field(default=None, repr=False)
    api_version: str | None = None
    identity: str | None = None
    path: str | None = None
    timeout: float | None = None
    max_retries: int | None = None
    trusted: bool = True

    @property
    def provider(self) -> str:
        """The provider's identity in ``Request.provider``: what decides the answer, never a key.

        >>> Endpoint("openai", "http://localhost:8000/v1/").provider
        'openai:http://localhost:8000/v1'
        """
        if self.identity:
            return self.identity
        url = _without_login(self.base_url)
        if self.api_type in _HERE or not url or (self.api_type, url) == ("openai", _VENDOR_URL):
            return self.api_type
        return f"{self.api_type}:{url}"

    def __repr__(self) -> str:
        return f"Endpoint({self.api_type!r}, provider={self.provider!r}, trusted={self.trusted})"


@dataclass(frozen=True)
class Route:
    """The way to a model: ``endpoint``, ``model`` as it is sent, its ``facts``.

    ``name`` is the named model that led there, if any, and ``defaults`` the parameters of its table
    (sampling, ``system``, others). ``why`` is one sentence for the reader. ``memory`` holds what the
    store's header should remember (``api_type``, ``model``, ``endpoint``), where nothing had named a
    model.
    """

    endpoint: Endpoint
    model: str
    name: str | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    facts: Facts = field(default_factory=Facts)
    why: str = ""
    memory: Mapping[str, str | None] = field(default_factory=dict)

    def for_model(self, model: str) -> Route:
        """The same endpoint and defaults with another model of its vendor."""
        if model in (self.name, self.model):
            return self
        return replace(self, model=model, facts=facts(model, api_type=self.endpoint.api_type), memory=_NOTHING)


@dataclass(frozen=True)
class _Situation:
    """What the choice depends on, checked; see ``choose_route``."""

    forced: str | None
    packaged: str
    models: Mapping[str, Mapping[str, Any]]
    memory: Mapping[str, Any]
    environ: Mapping[str, str]
    base_url: str | None
    api_version: str | None
    known: tuple[str, ...]
    is_trusted: Callable[[str | None], bool]
    store_trusted: bool

    def has(self, *variables: str) -> bool:
        return any(self.environ.get(v, "").strip() for v in variables)

    @property
    def chosen_url(self) -> str | None:
        """The BASE_URL of a setting: the SDK's own variable is no more than a default."""
        return None if self.base_url == self.environ.get("OPENAI_BASE_URL") else self.base_url

    @property
    def vendor(self) -> str:
        """Who answers a name that no table has, key or no key."""
        azure = self.has("AZURE_OPENAI_ENDPOINT") and not self.has("OPENAI_API_KEY") and not self.chosen_url
        return "azure" if azure else "openai"


def choose_route(
    *,
    model: str | None,
    packaged_model: str,
    api_type: str | None = None,
    models: Mapping[str, Mapping[str, Any]] = _NOTHING,
    memory: Mapping[str, Any] = _NOTHING,
    environ: Mapping[str, str] = _NOTHING,
    base_url: str | None = None,
    api_version: str | None = None,
    registered: Collection[str] = (),
    is_trusted: Callable[[str | None], bool] = lambda _: True,
    store_trusted: bool = False,
) -> Route:
    """Which endpoint and model is meant; a pure function of its arguments.

    ``model`` is what a cell, a call or a setting above the packaged file names; ``memory`` the
    store's header. ``is_trusted`` is asked with the name of a table whose address would get a key,
    and with ``None`` for BASE_URL; ``store_trusted`` is the same for the address in the header.

    API_TYPE wins. Else a named model's own provider; the embedded model for its own name; any
    other name means OpenAI, or Azure where its endpoint and no OPENAI_API_KEY is set (a BASE_URL
    means an OpenAI-compatible endpoint). The first table is the default where no model is named.
    Only where nothing names a model: the store's memory, then BASE_URL, the keys, and at last the
    embedded model. Raises ``ConfigError`` for an unknown API type.
    """
    known = tuple(dict.fromkeys((*API_TYPES, *registered)))
    forced = _known_type(api_type, known, "API_TYPE")
    base_url = base_url or environ.get("OPENAI_BASE_URL") or None
    now = _Situation(forced, packaged_model, models, memory, environ, base_url, api_version or None, known, is_trusted, store_trusted)
    if model and model not in models:
        return _to_unlisted(now, model)
    name = model or _first_table(now)
    return _to_table(now, name, named=bool(model)) if name else _to_unnamed(now)


def _known_type(value: Any, known: tuple[str, ...], where: str) -> str | None:
    text = str(value or "").strip()
    if not text:
        return None
    if text in known or text.lower() in known:
        return text if text in known else text.lower()
    raise ConfigError(
        f"unknown API type '{text}' in {where}: it must be one of {', '.join(known)}",
        key="API_TYPE",
        source=where,
        hint=suggest(near(text, known)) or "`register_client(NAME, client)` adds one.",
    )


def _own_type(now: _Situation, name: str) -> str | None:
    """The API type that a table itself decides, or ``None`` where it leaves that open."""
    table = now.models[name]
    own = _known_type(table.get("provider"), now.known, f"models.{name}.provider")
    if own is None and (table.get("path") or EMBEDDED in (table.get("model"), name)):
        return "local"
    return own or ("azure" if table.get("azure_endpoint") else None)


def _first_table(now: _Situation) -> str | None:
    """The default among the tables: the first, or the first that a set API_TYPE can reach."""
    for name in now.models:
        own = _own_type(now, name)
        if now.forced is None or own == now.forced or (own is None and now.forced not in _HERE):
            return name
    return None


def _to_table(now: _Situation, name: str, *, named: bool) -> Route:
    table = {k: v for k, v in now.models[name].items() if v is not None and v != ""}
    own = _own_type(now, name)
    kind = now.forced or own or ("openai" if table.get("base_url") else now.vendor)
    if own not in (None, kind):  # its address and key belong to another vendor than API_TYPE
        table = {k: v for k, v in table.items() if k not in _ADDRESS or k in ("timeout", "max_retries")}
    path = str(table["path"]) if kind == "local" and "path" in table else None
    fallback = name if kind != "local" else Path(path).stem if path else EMBEDDED
    why = f"API_TYPE is {kind}" if now.forced else f"[models.{name}] leads to {kind}"
    if not named:
        why += "; it is the first named model, and no MODEL is set"
    return _route(
        _endpoint(now, kind, table, name),
        str(table.get("model", fallback)),
        why,
        name=name,
        defaults=MappingProxyType({k: v for k, v in table.items() if k not in _NOT_SENT}),
        overrides=table,
    )


def _to_unlisted(now: _Situation, model: str) -> Route:
    if now.forced is None and model == EMBEDDED:
        return _route(Endpoint("local"), model, "the embedded model is named")
    kind = now.forced or now.vendor
    if kind == "local":
        return _to_file(model)
    why = f"API_TYPE is {kind}" if now.forced else f"no table is called '{model}', so {kind} is asked for it"
    return _route(_endpoint(now, kind), model, why)


def _to_file(model: str) -> Route:
    if model == EMBEDDED:
        return _route(Endpoint("local"), model, "API_TYPE is local")
    if Path(model).suffix.lower() == ".gguf":
        return _route(Endpoint("local", path=model), Path(model).stem, "API_TYPE is local")
    raise ConfigError(
        f"API_TYPE is local, but there is no local model '{model}'",
        key="MODEL",
        hint=f"Name a GGUF file, a named model with its `path`, or {EMBEDDED}.",
    )


def _to_unnamed(now: _Situation) -> Route:
    if now.forced:
        model = {"local": EMBEDDED, "echo": "echo"}.get(now.forced, now.packaged)
        return _route(_endpoint(now, now.forced), model, f"API_TYPE is {now.forced}, and no model is named")
    if now.memory.get("api_type") in now.known and now.memory.get("model"):
        return _remembered(now)
    kind, why = _by_keys(now)
    model = EMBEDDED if kind == "local" else now.packaged
    return _with_memory(_route(_endpoint(now, kind), model, f"no model is named, and {why}"))


def _by_keys(now: _Situation) -> tuple[str, str]:
    if now.chosen_url:
        return "openai", "BASE_URL is set"
    if now.has("OPENAI_API_KEY"):
        return "openai", "OPENAI_API_KEY is set"
    if now.has("AZURE_OPENAI_ENDPOINT") and now.has(*_KEY_NAMES["azure"]):
        return "azure", "Azure's endpoint and key are set"
    if now.base_url:
        return "openai", "OPENAI_BASE_URL is set"
    return "local", "there is no key: the embedded model answers"


def _remembered(now: _Situation) -> Route:
    kind, model = str(now.memory["api_type"]), str(now.memory["model"])
    endpoint = Endpoint(kind)
    if kind not in _HERE:
        url = str(now.memory.get("endpoint") or "") or None
        usual = _endpoint(now, kind)
        chosen = kind != "azure" and now.chosen_url  # what the user sets by hand comes before the header
        ours = chosen or _without_login(url) == _without_login(usual.base_url)
        safe = url is None or is_loopback(url) or now.store_trusted
        endpoint = usual if ours else replace(usual, base_url=url, trusted=safe)
    return _with_memory(_route(endpoint, model, "no model is named, and the store remembers this one"))


def _with_memory(route: Route) -> Route:
    endpoint = route.endpoint
    url = _without_login(endpoint.base_url) or None
    return replace(route, memory={"api_type": endpoint.api_type, "model": route.model, "endpoint": url})


def _route(
    endpoint: Endpoint,
    model: str,
    why: str,
    *,
    name: str | None = None,
    defaults: Mapping[str, Any] = _NOTHING,
    overrides: Mapping[str, Any] = _NOTHING,
) -> Route:
    return Route(endpoint, model, name, defaults, facts(model, overrides, api_type=endpoint.api_type), why)


def _endpoint(now: _Situation, kind: str, table: Mapping[str, Any] = _NOTHING, name: str | None = None) -> Endpoint:
    """The endpoint of an API type; a table's own address first, then the settings', the environment's."""
    given = str(table.get("azure_endpoint") or table.get("base_url") or "") or None
    usual = now.base_url
    if kind == "azure":
        usual = now.environ.get("AZURE_OPENAI_ENDPOINT") or now.chosen_url
    url = None if kind in _HERE else given or usual
    named_by_user = url is None or is_loopback(url) or (not given and url != now.chosen_url)
    return Endpoint(
        kind,
        base_url=url,
        api_key_env=table.get("api_key_env"),
        api_key=table.get("api_key"),
        api_version=str(table.get("api_version") or now.api_version or "") or None if kind == "azure" else None,
        identity=table.get("identity"),
        path=str(table["path"]) if kind == "local" and "path" in table else None,
        timeout=_number(table, "timeout", float),
        max_retries=_number(table, "max_retries", int),
        trusted=named_by_user or now.is_trusted(name if given else None),
    )


def _number(table: Mapping[str, Any], key: str, kind: type[int | float]) -> Any:
    value = table.get(key)
    try:
        return None if value is None else kind(value)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{key} = {value!r} of a named model is no number", key=key) from error


def _without_login(url: str | None) -> str:
    """An address without a slash at its end and without a password: that is a key."""
    return re.sub("(?<=//)[^/@]*@", "", url or "").rstrip("/")


def is_loopback(url: str) -> bool:
    """Whether a URL names this machine.

    >>> is_loopback("http://127.0.0.1:8000/v1"), is_loopback("https://localhost@example.org")
    (True, False)
    """
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or host.endswith(".localhost") or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def key_state(endpoint: Endpoint, environ: Mapping[str, str]) -> str:
    """Whether the key for an endpoint is there, in words that never show it."""
    if endpoint.api_type in _HERE:
        return "not needed"
    nearby = is_loopback(endpoint.base_url or "")
    if not endpoint.trusted and not nearby:
        return "not sent: this folder is not trusted"
    if endpoint.api_key:
        return "given"
    names = (endpoint.api_key_env,) if endpoint.api_key_env else _KEY_NAMES.get(endpoint.api_type, _KEY_NAMES["openai"])
    found = next((n for n in names if environ.get(n, "").strip()), None)
    if found:
        return f"{found} is set"
    return "not needed" if nearby else f"{names[0]} is missing"
