"""Named models and a model's name in; their tables, routes, token counts and prices out.

Knows the seeds' table of named models, and asks the rooms of routes, facts and tokens.
Does not know settings files, templates, stores, vendors' clients or the notebook.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from configparser import RawConfigParser
from typing import Any

from . import tokens
from .answers import Usage
from .errors import ConfigError
from .facts import EMBEDDED, Facts, facts, output_limit, price, prices, untuned_name, window
from .messages import Message, Request
from .routes import API_TYPES, Endpoint, Route, choose_route, is_loopback, key_state
from .tokens import TokenCount

__all__ = [
    "API_TYPES",
    "EMBEDDED",
    "Endpoint",
    "Facts",
    "ModelTable",
    "Route",
    "TokenCount",
    "choose_route",
    "count_messages",
    "count_text",
    "cut_text",
    "estimate_usage",
    "facts",
    "is_loopback",
    "key_state",
    "most_expensive",
    "output_limit",
    "price",
    "prices",
    "split_tokens",
    "window",
]

_DEFAULT_TIMEOUT = 120.0  # seconds, as in the seeds
_SECTION = "models."


class ModelTable:
    """The named models of a configuration, which is kept as ``config``.

    The configuration is a mapping with ``models``, an INI parser (or mapping) with sections
    ``[models.NAME]``, or an object with an attribute ``models``.

    >>> ModelTable({"models": {"small": {"temperature": 0}}}).get_model_config("small")
    {'temperature': 0}
    """

    def __init__(self, config: Any) -> None:
        self.config = config

    @property
    def models(self) -> dict[str, dict[str, Any]]:
        """All tables by name, in the order of the configuration, as they are now; new dicts each time."""
        found: dict[str, dict[str, Any]] = {str(name): _plain_copy(table or {}) for name, table in _items(_top(self.config, "models"))}
        for section, table in _sections(self.config):
            name = section[len(_SECTION) :].strip()
            found[name] = {**found.get(name, {}), **_plain_copy(table)}
        return found

    def get_model_config(self, model_name: str | None = None) -> dict[str, Any]:
        """A copy of a model's table, the first one's by default; ``ConfigError`` (a ``ValueError``) where there is none."""
        tables = self.models
        if not tables:
            raise ConfigError("No models found in configuration.", key="models")
        name = next(iter(tables)) if model_name is None else model_name
        if name not in tables:
            raise ConfigError(f"Model '{name}' not found in configuration. Available models: {list(tables)}", key=name)
        return tables[name]

    def route(self, model_name: str | None = None, *, environ: Mapping[str, str] | None = None, registered: Sequence[str] = ()) -> Route:
        """The route to a named model; ``timeout`` (120 seconds) and ``max_retries`` also from the top level.

        Raises ``ConfigError`` as ``get_model_config`` does.
        """
        table = self.get_model_config(model_name)
        name = next(iter(self.models)) if model_name is None else model_name
        general = {"timeout": _top(self.config, "timeout") or _DEFAULT_TIMEOUT, "max_retries": _top(self.config, "max_retries")}
        own = {k: v for k, v in table.items() if v is not None and v != ""}
        return choose_route(
            model=name,
            packaged_model=name,
            models={name: {**general, **own}},
            environ=os.environ if environ is None else environ,
            registered=registered,
        )


def _top(config: Any, key: str) -> Any:
    """A value of the configuration's top level: an item of a mapping, [OpenAI] of an INI file, else an attribute."""
    if isinstance(config, RawConfigParser):
        return config.get("OpenAI", key, raw=True, fallback=None)
    if isinstance(config, Mapping):
        return config.get(key)
    return getattr(config, key, None)


def _items(table: Any) -> Iterable[tuple[Any, Any]]:
    if table is None:
        return ()
    return table.items() if isinstance(table, Mapping) else _attributes(table).items()


def _attributes(value: Any) -> dict[str, Any]:
    return {k: v for k, v in vars(value).items() if not k.startswith("_")}


def _sections(config: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(config, RawConfigParser):
        # raw: a percent sign in a key is no reference
        return [(s, dict(config.items(s, raw=True))) for s in config.sections() if s.lower().startswith(_SECTION)]
    if isinstance(config, Mapping):
        return [(s, t) for s, t in config.items() if isinstance(s, str) and s.lower().startswith(_SECTION)]
    return ()


def _plain_copy(table: Any) -> Any:
    """Mappings, lists and objects with attributes as new dicts and lists; other values are shared."""
    if isinstance(table, Mapping):
        return {k: _copied(v) for k, v in table.items()}
    return {k: _copied(v) for k, v in _attributes(table).items()}


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _copied(v) for k, v in value.items()}
    return [_copied(v) for v in value] if isinstance(value, list) else value


# ── counting ─────────────────────────────────────────────────────────────────────────────────────


def _encoding(model: str) -> str | None:
    return facts(model).encoding or tokens.encoding_name(untuned_name(model))


def count_text(text: str, model: str) -> TokenCount:
    """Tokens of a text for a model: exact with its vocabulary, else an estimate and marked as one."""
    return tokens.count(text, _encoding(model))


def count_messages(messages: Iterable[Message | Mapping[str, Any]], model: str, *, tools: Sequence[Mapping[str, Any]] = ()) -> TokenCount:
    """Tokens of a chat prompt for a model, by OpenAI's formula (``tokens.count_messages``).

    The count is an estimate where the model's vocabulary or its overhead for messages is not
    known, and where the prompt has images or tools.

    >>> int(count_messages([], "gpt-4"))
    3
    """
    known = facts(model)
    counted = tokens.count_messages(
        messages, _encoding(model), per_message=known.tokens_per_message, per_name=known.tokens_per_name, tools=tools
    )
    exact = known.overhead_known and _encoding(model) is not None
    return counted if exact else TokenCount(counted, estimated=True)


def split_tokens(text: str, model: str) -> list[str] | None:
    """A text in pieces of one token each, for display; ``None`` where no exact tokenizer is at hand."""
    return tokens.split(text, _encoding(model))


def cut_text(text: str, n: int, model: str) -> str:
    """The longest beginning of a text that has at most ``n`` tokens; for a model of unknown vocabulary, of OpenAI's o200k.

    What is cut becomes part of a request: it must be the same on every machine, whatever tokenizers are at hand.
    """
    return tokens.cut(text, n, _encoding(model) or "o200k_base")


def estimate_usage(messages: Iterable[Message | Mapping[str, Any]], text: str, model: str) -> Usage:
    """Usage of an answer for which the provider reported none, marked as an estimate."""
    return Usage(int(count_messages(messages, model)), int(count_text(text, model)), estimated=True)


def most_expensive(request: Request, route: Route) -> float | None:
    """US dollars that a request can cost at most: its prompt and the longest answer, ``None`` where unknown.

    The longest answer is the request's own limit, else the model's, for each of its ``n`` choices.
    What runs on this machine costs nothing.
    """
    vendor = route.endpoint.api_type
    if vendor in ("local", "echo") or route.facts.local:
        return 0.0
    if request.kind == "embedding":
        texts = request.params.get("input") or ()
        counted = sum(count_text(str(t), request.model) for t in ([texts] if isinstance(texts, str) else texts))
        return price(request.model, Usage(prompt_tokens=int(counted)), vendor=vendor)
    params = request.params
    longest = params.get("max_completion_tokens") or params.get("max_tokens") or route.facts.output_limit or window(request.model)
    if longest is None:
        return None
    prompt = count_messages(request.messages, request.model, tools=request.tools)
    answers = int(params.get("n") or 1)
    return price(request.model, Usage(int(prompt), int(longest) * answers), vendor=vendor)
