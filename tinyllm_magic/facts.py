"""A model's name in, facts about it out: what it takes, its window, its prices.

Knows `models.toml`, which holds the facts as dated data by patterns of names, and genai-prices.
Does not know endpoints, keys, settings, tokenizers or the notebook.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from .answers import Usage
from .errors import ConfigError

EMBEDDED = "SmolLM2-135M-Instruct.Q4_1"
"""The name of the embedded model, which is the stem of its file."""

_FREE = frozenset({"local", "echo"})
_NO_OVERRIDES: Mapping[str, Any] = MappingProxyType({})
_WORDS = {**dict.fromkeys(("true", "yes", "on", "1"), True), **dict.fromkeys(("false", "no", "off", "0"), False)}


@dataclass(frozen=True)
class Facts:
    """What is known about a model; the defaults are a capable chat model of which nothing is known.

    ``refuses`` are parameters it does not take, ``params`` ones it takes beyond OpenAI's. ``system``
    is the system message it needs where there is none. ``window`` and ``output_limit`` are tokens
    (``None``: not known here). ``encoding`` is tiktoken's name where its own table is silent; the
    two ``tokens_per`` belong to the counting formula, and ``overhead_known`` says that it is exact.
    ``local`` models run on this machine.
    ``default_max_tokens`` is sent where a call and its settings name no limit. ``as_of`` dates the latest fact (ISO 8601).
    """

    max_tokens_name: str = "max_tokens"
    refuses: frozenset[str] = frozenset()
    params: frozenset[str] = frozenset()
    tools: bool = True
    json_schema: bool = True
    images: bool = True
    system: str | None = None
    window: int | None = None
    output_limit: int | None = None
    encoding: str | None = None
    tokens_per_message: int = 3
    tokens_per_name: int = 1
    overhead_known: bool = True
    local: bool = False
    default_max_tokens: int | None = None
    as_of: str = ""


FACT_NAMES = frozenset(f.name for f in fields(Facts))
_KINDS: Mapping[str, str] = MappingProxyType({f.name: str(f.type).removesuffix(" | None") for f in fields(Facts)})


def facts(model: str, overrides: Mapping[str, Any] = _NO_OVERRIDES, *, api_type: str | None = None) -> Facts:
    """The facts about a model; a named model's table (``overrides``) wins over `models.toml`.

    Keys of the table that are no facts are passed over. Raises ``ConfigError`` where a value
    cannot be read.

    >>> facts("o3-mini").max_tokens_name, facts("llama3").max_tokens_name
    ('max_completion_tokens', 'max_tokens')
    """
    known = _facts(model, api_type)
    own = {k: _read(k, v) for k, v in overrides.items() if k in FACT_NAMES and v is not None}
    return replace(known, **own) if own else known


@functools.lru_cache(maxsize=512)
def _facts(model: str, api_type: str | None) -> Facts:
    name = untuned_name(model).lower()
    names = (name, f"{api_type}:{name}")
    found: dict[str, Any] = {}
    for block in _data()["facts"]:
        if any(fnmatchcase(n, pattern) for n in names for pattern in block["match"]):
            found |= {k: _read(k, v) for k, v in block.items() if k != "match"}
    return Facts(**found)


@functools.cache
def _data() -> dict[str, Any]:
    return tomllib.loads(files(__package__).joinpath("models.toml").read_text("utf-8"))


def _read(name: str, value: Any) -> Any:
    """A value of a table or of text in an INI file as the type of its fact."""
    kind = _KINDS[name]
    try:
        if kind == "int":
            return int(value)
        if kind == "bool":
            return _WORDS[str(value).strip().lower()]
        if kind == "frozenset[str]":
            words = value.replace(",", " ").split() if isinstance(value, str) else value
            return frozenset(map(str, words))
    except (TypeError, ValueError, KeyError) as error:
        raise ConfigError(f"{name} = {value!r} of a named model is no {kind}", key=name) from error
    return str(value)


def plain_name(model: str) -> str:
    """The vendor's own name of a model that a gateway spells with a prefix (``openai/gpt-4o``)."""
    return _without(model, _data()["names"]["same"])


def untuned_name(model: str) -> str:
    """The name of the model that a fine-tuned one was made from; else the plain name."""
    return _without(plain_name(model), _data()["names"]["tuned"])


def _without(model: str, prefixes: list[str]) -> str:
    found = next((p for p in prefixes if model.lower().startswith(p)), "")
    return model[len(found) :]


# ── money and windows: genai-prices, from its packaged data, never from the network ───────────────


def price(model: str, usage: Usage, *, vendor: str = "openai") -> float | None:
    """US dollars for these tokens, ``None`` where the price is unknown and for models on this machine.

    Prices go by the model's id; ``vendor`` (``openai``, ``azure`` or an API type of one's own) says
    whose list is looked into first. Cached tokens have their own price; reasoning is paid as output.
    """
    if vendor in _FREE or facts(model).local:
        return None
    return _total(model, vendor, usage.prompt_tokens, usage.completion_tokens, min(usage.cached_tokens, usage.prompt_tokens))


@functools.lru_cache(maxsize=4096)
def _total(model: str, vendor: str, tokens_in: int, tokens_out: int, cached: int) -> float | None:
    """The price of these tokens; remembered, because rows of a map are alike."""
    found = _priced(model, vendor, tokens_in, tokens_out, cached)
    return None if found is None else float(found.total_price)


def prices(model: str, *, vendor: str = "openai") -> tuple[float, float] | None:
    """US dollars for a million tokens in and out, at the price of short prompts; ``None`` where unknown."""
    tokens_in = price(model, Usage(prompt_tokens=1000), vendor=vendor)
    tokens_out = price(model, Usage(completion_tokens=1000), vendor=vendor)
    if tokens_in is None or tokens_out is None:
        return None
    return round(tokens_in * 1000, 6), round(tokens_out * 1000, 6)


def _priced(model: str, vendor: str, tokens_in: int, tokens_out: int, cached: int) -> Any:
    from genai_prices import Usage as Amounts
    from genai_prices import calc_price

    amounts = Amounts(input_tokens=tokens_in, output_tokens=tokens_out, cache_read_tokens=cached)
    for whose in (vendor, None):
        try:
            return calc_price(amounts, model_ref=plain_name(model), provider_id=whose)
        except LookupError:
            continue
    return None


def window(model: str) -> int | None:
    """Tokens that fit into a model's context, prompt and answer together; ``None`` where unknown."""
    return facts(model).window or _priced_window(model)


@functools.lru_cache(maxsize=512)
def _priced_window(model: str) -> int | None:
    found = _priced(untuned_name(model).partition(":")[0], "openai", 0, 0, 0)
    return None if found is None else found.model.context_window


def output_limit(model: str) -> int | None:
    """Tokens that a model answers at most; ``None`` where unknown."""
    return facts(model).output_limit
