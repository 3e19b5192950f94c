"""The seeds' table of named models (``ModelTable``), read from a dict, an INI file or an object with attributes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from configparser import RawConfigParser
from typing import Any

from ..errors import ConfigError
from .routing import Route, choose_route

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
        found: dict[str, dict[str, Any]] = {str(name): _copy_table(table or {}) for name, table in _items(_top(self.config, "models"))}
        for section, table in _sections(self.config):
            name = section[len(_SECTION) :].strip()
            found[name] = {**found.get(name, {}), **_copy_table(table)}
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


def _copy_table(table: Any) -> Any:
    """Mappings, lists and objects with attributes as new dicts and lists; other values are shared."""
    if isinstance(table, Mapping):
        return {k: _copy_value(v) for k, v in table.items()}
    return {k: _copy_value(v) for k, v in _attributes(table).items()}


def _copy_value(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _copy_value(v) for k, v in value.items()}
    return [_copy_value(v) for v in value] if isinstance(value, list) else value
