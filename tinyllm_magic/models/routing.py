"""Decides which endpoint and model a name means (``choose_route``), from named models, settings, keys and the store's memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..errors import ConfigError, near, suggest
from ..redaction import bare_address
from .catalog import EMBEDDED, FACT_NAMES, TINY, Facts, facts
from .endpoints import API_TYPES, IN_PROCESS, Endpoint, is_loopback
from .vendors import find_vendor, split_vendor, vendor_by_prefix, vendors

_NOTHING: Mapping[str, Any] = MappingProxyType({})
_ADDRESS = frozenset({"base_url", "azure_endpoint", "api_key_env", "api_key", "api_version", "identity", "path", "timeout", "max_retries"})
_NOT_SENT = _ADDRESS | {"provider", "model"} | FACT_NAMES - {"system"}


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
    chosen_api: str | None = None
    """The API that the named model's table asks for."""

    @property
    def api(self) -> str:
        """How cells and calls are asked there: ``responses`` where a table says so, and models at OpenAI's own address that reason."""
        return self.chosen_api or (self.facts.api if self.endpoint.is_openais_own else "chat")

    @property
    def spelling(self) -> str:
        """What ``-m`` takes to come here: the named model, else the model with its vendor where it has one."""
        return self.name or (f"{self.endpoint.vendor}:{self.model}" if self.endpoint.vendor else self.model)

    def for_model(self, model: str) -> Route:
        """The same endpoint and defaults with another model of its vendor."""
        if model in (self.name, self.model):
            return self
        return replace(self, model=model, facts=facts(model, whose=self.endpoint.whose), memory=_NOTHING)


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
    own_types: frozenset[str]
    is_trusted: Callable[[str | None], bool]

    def has(self, *variables: str) -> bool:
        return any(self.environ.get(v, "").strip() for v in variables)

    @property
    def chosen_url(self) -> str | None:
        """The BASE_URL of a setting: the SDK's own variable is no more than a default."""
        return None if self.base_url == self.environ.get("OPENAI_BASE_URL") else self.base_url

    @property
    def has_address(self) -> bool:
        """Whether the user has set where models are asked: such an address takes any name."""
        return bool(self.base_url) or self.usual_vendor == "azure"

    @property
    def usual_vendor(self) -> str:
        """Who answers a name that says nothing of its vendor, key or no key."""
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
) -> Route:
    """Which endpoint and model is meant; a pure function of its arguments.

    ``model`` is what a cell, a call or a setting above the packaged file names; ``memory`` the
    store's header. ``is_trusted`` is asked with the name of a table whose address would get a key,
    and with ``None`` for BASE_URL.

    A table of that name comes first. Then ``VENDOR:MODEL``, whatever else is set. A set API_TYPE or address takes any
    other name whole. Else the embedded model for its own name and ``tiny``; a vendor by the prefix of its models' names;
    any other name means OpenAI, or Azure where its endpoint and no OPENAI_API_KEY is set. The first table is the default
    where no model is named. Only where nothing names a model: the store's memory, then BASE_URL, the keys, and at last
    the embedded model. Raises ``ConfigError`` for an unknown API type.
    """
    known = tuple(dict.fromkeys((*API_TYPES, *registered, *vendors())))
    forced = _check_type(api_type, known, "API_TYPE")
    base_url = base_url or environ.get("OPENAI_BASE_URL") or None
    own = frozenset(registered) - set(API_TYPES)
    now = _Situation(forced, packaged_model, models, memory, environ, base_url, api_version or None, known, own, is_trusted)
    if model and model not in models:
        kind, asked, why = _read_name(now, model)
        return _to_unlisted(now, kind, asked, why)
    name = model or _first_table(now)
    return _to_table(now, name, named=bool(model)) if name else _to_unnamed(now)


def _check_type(value: Any, known: tuple[str, ...], where: str) -> str | None:
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
    own = _check_type(table.get("provider"), now.known, f"models.{name}.provider")
    embedded = not table.get("base_url") and {EMBEDDED, TINY} & {table.get("model"), name}
    if own is None and (table.get("path") or embedded):
        return "local"
    return own or ("azure" if table.get("azure_endpoint") else None)


def _first_table(now: _Situation) -> str | None:
    """The default among the tables: the first, or the first that a set API_TYPE can reach."""
    for name in now.models:
        own = _own_type(now, name)
        if now.forced is None or own == now.forced or (own is None and now.forced not in IN_PROCESS):
            return name
    return None


def _to_table(now: _Situation, name: str, *, named: bool) -> Route:
    table = {k: v for k, v in now.models[name].items() if v is not None and v != ""}
    own = _own_type(now, name)
    asked = str(table.get("model", name))
    if own is None and not table.get("base_url"):
        kind, asked, _ = _read_name(now, asked)
    else:
        kind = now.forced or own or "openai"
    if own not in (None, kind):  # its address and key belong to another vendor than API_TYPE
        table = {k: v for k, v in table.items() if k not in _ADDRESS or k in ("timeout", "max_retries")}
    path = str(table["path"]) if kind == "local" and "path" in table else None
    if kind == "local" and ("model" not in table or asked == TINY):
        asked = Path(path).stem if path else EMBEDDED
    why = f"API_TYPE is {kind}" if now.forced else f"[models.{name}] has the API type {kind}"
    if not named:
        why += "; it is the first named model, and no MODEL is set"
    return _route(
        _endpoint(now, kind, table, name),
        asked,
        why,
        name=name,
        defaults=MappingProxyType({k: v for k, v in table.items() if k not in _NOT_SENT}),
        overrides=table,
    )


def _read_name(now: _Situation, model: str) -> tuple[str, str, str]:
    """Whose model a name means that is no table's: the API type or vendor, the name as it is sent, and why."""
    stays = now.forced == "echo" or now.forced in now.own_types  # a stand-in or a client of the user's: it answers whatever is asked
    if (found := split_vendor(model)) and not stays:
        return *found, f"'{model}' names its vendor"
    if now.forced:
        return now.forced, model, f"API_TYPE is {now.forced}"
    if model == EMBEDDED or (model == TINY and not now.has_address):
        return "local", EMBEDDED, "it is the embedded model"
    vendor = None if now.has_address else vendor_by_prefix(model)
    if vendor:
        return vendor, model, f"{vendors()[vendor].title} names its models so"
    usual = now.usual_vendor
    return usual, model, f"'{model}' is not one of the named models, so it is taken for a model of {usual}"


def _to_unlisted(now: _Situation, kind: str, model: str, why: str) -> Route:
    return _to_file(model, why) if kind == "local" else _route(_endpoint(now, kind), model, why)


def _to_file(model: str, why: str) -> Route:
    if model in (EMBEDDED, TINY):
        return _route(Endpoint("local"), EMBEDDED, why)
    if Path(model).suffix.lower() == ".gguf":
        return _route(Endpoint("local", path=model), Path(model).stem, why)
    raise ConfigError(
        f"API_TYPE is local, but there is no local model '{model}'",
        key="MODEL",
        hint=f"Name a GGUF file, a named model with its `path`, or {TINY}.",
    )


def _to_unnamed(now: _Situation) -> Route:
    if now.forced in vendors() and now.forced not in API_TYPES:  # which models it has, only the user knows
        raise ConfigError(
            f"API_TYPE is {now.forced}, but no model is named",
            key="MODEL",
            hint="Name one with `-m` or as MODEL; `%llm_models` shows what a server on this machine has.",
        )
    if now.forced:
        model = {"local": EMBEDDED, "echo": "echo"}.get(now.forced, now.packaged)
        return _route(_endpoint(now, now.forced), model, f"API_TYPE is {now.forced}, and no model is set")
    if now.memory.get("api_type") in now.known and now.memory.get("model"):
        return _to_remembered(now)
    kind, why = _by_keys(now)
    model = EMBEDDED if kind == "local" else now.packaged
    return with_memory(_route(_endpoint(now, kind), model, f"no model is set, and {why}"))


def _by_keys(now: _Situation) -> tuple[str, str]:
    if now.chosen_url:
        return "openai", "BASE_URL is set"
    if now.has("OPENAI_API_KEY"):
        return "openai", "OPENAI_API_KEY is set"
    if now.has("AZURE_OPENAI_ENDPOINT") and now.has(*vendors()["azure"].keys):
        return "azure", "Azure's endpoint and key are set"
    if now.base_url:
        return "openai", "OPENAI_BASE_URL is set"
    return "local", "there is no key, so the embedded model answers"


def _to_remembered(now: _Situation) -> Route:
    """The API type and model of the recorded answers, at the address in force: the header's serves to find records, never to send to."""
    kind, model = str(now.memory["api_type"]), str(now.memory["model"])
    return with_memory(_route(_endpoint(now, kind), model, "no model is set, and the recorded answers are of this one"))


def with_memory(route: Route) -> Route:
    """The route with what the store's header is to keep of it: who has none of the author's settings then asks the same."""
    endpoint = route.endpoint
    url = bare_address(endpoint.base_url or "") or None
    return replace(route, memory={"api_type": endpoint.whose, "model": route.model, "endpoint": url})


def _route(
    endpoint: Endpoint,
    model: str,
    why: str,
    *,
    name: str | None = None,
    defaults: Mapping[str, Any] = _NOTHING,
    overrides: Mapping[str, Any] = _NOTHING,
) -> Route:
    known = facts(model, overrides, whose=endpoint.whose)
    return Route(endpoint, model, name, defaults, known, why, chosen_api=known.api if overrides.get("api") else None)


def _endpoint(now: _Situation, kind: str, table: Mapping[str, Any] = _NOTHING, name: str | None = None) -> Endpoint:
    """The endpoint of an API type; a table's own address first, then the settings', the environment's."""
    given = str(table.get("azure_endpoint") or table.get("base_url") or "") or None
    vendor = None if kind in (*API_TYPES, *now.own_types) else find_vendor(kind)
    usual = now.base_url
    if kind == "azure":
        usual = now.environ.get("AZURE_OPENAI_ENDPOINT") or now.chosen_url
    elif vendor:
        usual = (now.chosen_url if now.forced == kind else None) or vendor.base_url
    url = None if kind in IN_PROCESS else given or usual
    named_by_user = url is None or is_loopback(url) or (not given and url != now.chosen_url)
    return Endpoint(
        "openai" if vendor else kind,
        base_url=url,
        api_key_env=table.get("api_key_env"),
        api_key=table.get("api_key"),
        api_version=str(table.get("api_version") or now.api_version or "") or None if kind == "azure" else None,
        identity=table.get("identity"),
        path=str(table["path"]) if kind == "local" and "path" in table else None,
        timeout=_number(table, "timeout", float),
        max_retries=_number(table, "max_retries", int),
        trusted=named_by_user or now.is_trusted(name if given else None),
        vendor=vendor.name if vendor else None,
    )


def _number(table: Mapping[str, Any], key: str, kind: type[int | float]) -> Any:
    value = table.get(key)
    try:
        return None if value is None else kind(value)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{key} = {value!r} of a named model is no number", key=key) from error
