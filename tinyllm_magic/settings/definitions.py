"""Every setting and every typed key of a ``[models.NAME]`` table, with its range; looks them up by name (``find``, ``parse``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from ..errors import ConfigError, near, suggest
from .fields import Setting


def _table(*settings: Setting) -> Mapping[str, Setting]:
    return MappingProxyType({s.key: s for s in settings})


SETTINGS: Mapping[str, Setting] = _table(
    Setting("API_TYPE", "api_type", str, "openai, azure, local, echo, a vendor or a registered name; unset: automatic"),
    Setting("MODEL", "model", str, "a named model or a vendor's model id"),
    Setting("MAX_TOKENS", "max_tokens", int, "longest answer, in tokens", low=1),
    Setting("MAX_COMPLETION_TOKENS", "max_completion_tokens", int, "longest answer with its reasoning, in tokens", low=1),
    Setting("REASONING_EFFORT", "reasoning_effort", str, "how much a reasoning model thinks: low, medium, high …"),
    Setting("TEMPERATURE", "temperature", float, "sampling temperature", low=0, high=2),
    Setting("TOP_P", "top_p", float, "nucleus sampling: the share of probability that is sampled from", low=0, high=1),
    Setting("FREQ_PENALTY", "frequency_penalty", float, "frequency penalty", low=-2, high=2),
    Setting("PRESENCE_PENALTY", "presence_penalty", float, "presence penalty", low=-2, high=2),
    Setting("SEED", "seed", int, "random seed"),
    Setting("TIMEOUT", "timeout", float, "seconds that one attempt may take as a whole", above=0),
    Setting("MAX_ATTEMPTS", "max_attempts", int, "attempts for one call, the first included", low=1),
    Setting("WAITING_TIME", "waiting_time", float, "seconds before the second attempt", low=0),
    Setting("EXPONENTIAL_BACKOFF_FACTOR", "exponential_backoff_factor", float, "backoff multiplier", low=1),
    Setting("EMBEDDING_MODEL", "embedding_model", str, "model for get_embedding"),
    Setting("CACHE_API_CALLS", "cache_api_calls", bool, "whether answers are recorded; false is MODE=off"),
    Setting(
        "CACHE_FILE_NAME",
        "cache_file_name",
        str,
        "the store, or a folder of them; by default beside the notebook",
        path=True,
        spellings=("store",),
    ),
    Setting("BASE_URL", "base_url", str, "endpoint; unset: the vendor's own", variables=("OPENAI_BASE_URL",)),
    Setting("AZURE_API_VERSION", "azure_api_version", str, "Azure API version", variables=("OPENAI_API_VERSION",)),
    Setting(
        "MAX_CONCURRENT_MODEL_CALLS",
        "max_concurrent_model_calls",
        int,
        "calls at a time; unset, 0 or off: no limit",
        low=1,
        unset=("0", "off", "disable", "disabled"),
    ),
    Setting("MAX_ANSWER_BYTES", "max_answer_bytes", int, "largest answer that is read, in bytes", low=1),
    Setting("MODE", "mode", str, "how recorded answers are used", choices=("auto", "replay", "refresh", "off")),
    Setting("TRANSPORT", "transport", str, "how plain chat calls are sent: auto, or always through the SDK", choices=("auto", "sdk")),
    Setting("METER", "meter", str, "whether prompt cells show their tokens while you type", choices=("on", "off")),
)

BY_NAME: Mapping[str, Setting] = MappingProxyType({s.name: s for s in SETTINGS.values()})

SAMPLING = ("temperature", "max_tokens", "top_p", "frequency_penalty", "presence_penalty", "seed")
"""Names of the settings that are sent as sampling parameters of a request."""

_MODEL_TEXTS = ("provider", "model", "identity", "base_url", "api_key_env", "api_key", "api_version", "azure_endpoint")
MODEL_KEYS: Mapping[str, Setting] = _table(
    *(Setting(name, name, str, "") for name in _MODEL_TEXTS),
    *(replace(BY_NAME[name], key=name) for name in (*SAMPLING, "max_completion_tokens", "timeout")),
    Setting("path", "path", str, "a GGUF file", path=True),
    Setting("max_retries", "max_retries", int, "further attempts after the first", low=0),
    Setting("system", "system", str, "system message", long=True),
)
"""Typed keys of a ``[models.NAME]`` table; other keys are kept, read as JSON where they are JSON."""

BY_SPELLING: Mapping[str, Setting] = MappingProxyType(
    {spelling.casefold(): s for s in SETTINGS.values() for spelling in (s.key, s.name, *s.spellings)}
)
"""Settings by everything a file may call them, in lower case."""

BY_VARIABLE: Mapping[str, Setting] = MappingProxyType(
    {
        variable: s
        for s in SETTINGS.values()
        for variable in (*(f"TINYLLM_{n.upper()}" for n in (*s.spellings, s.key, s.name)), *s.variables)
    }
)
"""Settings by their environment variables, the stronger variable of a setting first."""


def find(key_or_name: str) -> Setting:
    """The setting of that key or name in any case; raises ``ConfigError`` with near matches.

    >>> find("freq_penalty").name
    'frequency_penalty'
    """
    try:
        return BY_SPELLING[key_or_name.strip().casefold()]
    except KeyError:
        hint = suggest(near(key_or_name, BY_NAME)) or f"Settings are {', '.join(BY_NAME)}."
        raise ConfigError(f"there is no setting {key_or_name!r}", hint=hint, key=key_or_name) from None


def parse(key_or_name: str, value: Any, source: str) -> tuple[Setting, Any]:
    """The setting and its checked value, ``None`` where it is empty; raises ``ConfigError`` naming ``source``.

    >>> parse("max_attempts", "3", "session")[1]
    3
    """
    setting = find(key_or_name)
    return setting, setting.check(value, source)
