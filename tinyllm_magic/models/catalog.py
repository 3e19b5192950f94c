"""Looks up facts about a model by its name (``facts``) in the dated data of `models.toml`: what it takes, its window, where it runs."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from fnmatch import fnmatchcase
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from ..errors import ConfigError

EMBEDDED = "SmolLM2-135M-Instruct.Q4_1"
"""The name of the embedded model, which is the stem of its file."""
TINY = "tiny"
"""Its short name."""
APIS = ("chat", "responses")
"""How a model may be asked."""
_PLAIN = re.compile(r"[^*?[]*")
_NO_OVERRIDES: Mapping[str, Any] = MappingProxyType({})
_WORDS = {**dict.fromkeys(("true", "yes", "on", "1"), True), **dict.fromkeys(("false", "no", "off", "0"), False)}


@dataclass(frozen=True)
class Facts:
    """What is known about a model; the defaults are a capable chat model of which nothing is known.

    ``refuses`` are parameters it does not take, ``renames`` those it takes under another name, ``params`` ones it takes beyond
    OpenAI's; ``developer_role`` says whether it knows that role. ``system``
    is the system message it needs where there is none. ``window`` and ``output_limit`` are tokens
    (``None``: not known here). ``encoding`` is tiktoken's name where its own table is silent; the
    two ``tokens_per`` belong to the counting formula, and ``overhead_known`` says that it is exact.
    ``image_side`` is the longest side in pixels to which larger images are scaled, ``pdf`` says that PDFs are taken as they are.
    ``image_tokens`` is the published formula of an image's tokens (`image_tokens.py`), empty where there is none.
    ``local`` models run on this machine. ``api`` is how its vendor's own address is asked, ``chat`` or ``responses``;
    ``returns_reasoning`` says that the vendor wants its reasoning back with the results of tools.
    ``default_max_tokens`` is sent where a call and its settings name no limit. ``as_of`` dates the latest fact (ISO 8601).
    """

    max_tokens_name: str = "max_tokens"
    refuses: frozenset[str] = frozenset()
    renames: Mapping[str, str] = field(default_factory=dict)
    params: frozenset[str] = frozenset()
    developer_role: bool = True
    tools: bool = True
    json_schema: bool = True
    images: bool = True
    image_side: int = 2048
    image_tokens: str = ""
    pdf: bool = False
    system: str | None = None
    window: int | None = None
    output_limit: int | None = None
    encoding: str | None = None
    tokens_per_message: int = 3
    tokens_per_name: int = 1
    overhead_known: bool = True
    local: bool = False
    api: str = "chat"
    returns_reasoning: bool = False
    default_max_tokens: int | None = None
    as_of: str = ""


FACT_NAMES = frozenset(f.name for f in fields(Facts))
_KINDS: Mapping[str, str] = MappingProxyType({f.name: str(f.type).removesuffix(" | None") for f in fields(Facts)})


def facts(model: str, overrides: Mapping[str, Any] = _NO_OVERRIDES, *, whose: str | None = None) -> Facts:
    """The facts about a model; a named model's table (``overrides``) wins over `models.toml`.

    ``whose`` is the vendor that serves it, or the API type: the same model may take less there.
    Keys of the table that are no facts are passed over. Raises ``ConfigError`` where a value
    cannot be read.

    >>> facts("o3-mini").max_tokens_name, facts("llama3").max_tokens_name
    ('max_completion_tokens', 'max_tokens')
    """
    known = _facts(model, whose)
    own = {k: _read(k, v) for k, v in overrides.items() if k in FACT_NAMES and v is not None}
    return replace(known, **own) if own else known


@functools.lru_cache(maxsize=512)
def _facts(model: str, whose: str | None) -> Facts:
    name = untuned_name(model).lower()
    names = (name, f"{whose}:{name}")
    found: dict[str, Any] = {}
    for block in read_data()["facts"]:
        if any(_fits(n, pattern) for n in names for pattern in block["match"]):
            found |= {k: _read(k, v) for k, v in block.items() if k != "match"}
    return Facts(**found)


def _fits(name: str, pattern: str) -> bool:
    """Whether a name is one of a pattern's: its plain beginning is compared first, for ``fnmatch`` compiles each pattern it is asked."""
    beginning = _PLAIN.match(pattern)[0]  # type: ignore[index]  # it matches whatever there is
    rest = pattern[len(beginning) :]
    return name.startswith(beginning) and (rest == "*" or fnmatchcase(name, pattern))


@functools.cache
def read_data() -> dict[str, Any]:
    """All of `models.toml`."""
    return tomllib.loads(files(__package__).joinpath("models.toml").read_text("utf-8"))


def _read(name: str, value: Any) -> Any:
    """A value of a table or of text in an INI file as the type of its fact."""
    kind = _KINDS[name]
    if name == "api" and value not in APIS:
        raise ConfigError(f"api = {value!r} of a named model is none of {', '.join(APIS)}", key=name)
    try:
        if kind == "int":
            return int(value)
        if kind == "bool":
            return _WORDS[str(value).strip().lower()]
        if kind == "frozenset[str]":
            words = value.replace(",", " ").split() if isinstance(value, str) else value
            return frozenset(map(str, words))
        if kind == "Mapping[str, str]":
            pairs = dict(word.split("=") for word in value.replace(",", " ").split()) if isinstance(value, str) else value
            return MappingProxyType({str(k): str(v) for k, v in pairs.items()})
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise ConfigError(f"{name} = {value!r} of a named model is no {kind}", key=name) from error
    return str(value)


def plain_name(model: str) -> str:
    """The vendor's own name of a model that a gateway spells with a prefix (``openai/gpt-4o``)."""
    return _drop_prefix(model, read_data()["names"]["same"])


def is_openai_name(model: str) -> bool:
    """Whether OpenAI names its models like this.

    >>> is_openai_name("ft:gpt-4o:me::1"), is_openai_name("llama3:8b")
    (True, False)
    """
    return any(_fits(untuned_name(model).lower(), pattern) for pattern in read_data()["names"]["openai"])


def untuned_name(model: str) -> str:
    """The name of the model that a fine-tuned one was made from; else the plain name."""
    return _drop_prefix(plain_name(model), read_data()["names"]["tuned"])


def _drop_prefix(model: str, prefixes: list[str]) -> str:
    found = next((p for p in prefixes if model.lower().startswith(p)), "")
    return model[len(found) :]
