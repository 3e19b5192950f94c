"""Packaged defaults, ``config.ini`` files, environment and overrides in, one frozen ``Settings`` out.

Knows every setting with its range, the order of the layers, and where each value came from.
Does not know what a setting is used for: no model, store, client or notebook.

Later wins: packaged file < user file < ``config.ini`` in the working directory < environment
(``TINYLLM_<KEY>``, then the vendors' own variables) < whatever is laid on with ``Settings.over``.

* An empty value, or ``none``, takes back what lower layers set: the packaged value holds again, which
  for most settings is ``None``. An empty environment variable counts as absent.
* ``MODE`` and ``CACHE_API_CALLS`` are one fact: in each layer an explicit ``MODE`` wins; else ``false``
  means ``off``, and ``true`` means ``auto`` where nothing was recorded before. ``cache_api_calls``
  always says whether ``mode`` records.
* ``TINYLLM_MODE=replay`` beats every layer, also later ones.
* Relative paths are taken from the working directory, whichever file holds them.
* The models of the working directory's file come before those of the user file.
* ``[DEFAULT]`` is an ordinary section and is ignored, as all sections of other programs are.
"""

from __future__ import annotations

import configparser
import difflib
import json
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from .checks import Secret, Setting, is_secret, unquoted, without_login
from .errors import ConfigError, near, suggest
from .files import cache_folder, content, forget, sections, trust, trusted, user_folder

__all__ = [
    "BY_NAME",
    "MODEL_KEYS",
    "SETTINGS",
    "ConfigWarning",
    "Secret",
    "Setting",
    "Settings",
    "cache_folder",
    "find",
    "forget",
    "load",
    "parse",
    "read_files",
    "trust",
    "trusted",
    "user_folder",
]

PACKAGED_FILE = Path(__file__).with_name("config.ini")
_FORCING = "environment TINYLLM_MODE"
_STARTED = {"TINYLLM_MODE": "replay"} if os.environ.get("TINYLLM_MODE", "").strip().lower() == "replay" else {}
"""A process that was started in strict replay stays in it, whatever a cell does to the environment."""
_ADDRESSES = ("base_url", "azure_endpoint")
_OTHER_VARIABLES = ("TINYLLM_CACHE_DIR", "TINYLLM_CONFIG_DIR")


class ConfigWarning(UserWarning):
    """Something in a file or the environment that is not read, or should not be there; told once."""


def _table(*settings: Setting) -> Mapping[str, Setting]:
    return MappingProxyType({s.key: s for s in settings})


SETTINGS: Mapping[str, Setting] = _table(
    Setting("API_TYPE", "api_type", str, "openai, azure, local, echo or a registered name; unset: automatic"),
    Setting("MODEL", "model", str, "a named model or a vendor's model id"),
    Setting("MAX_TOKENS", "max_tokens", int, "longest answer, in tokens", low=1),
    Setting("TEMPERATURE", "temperature", float, "how much chance there is in sampling", low=0, high=2),
    Setting("TOP_P", "top_p", float, "share of probability that is sampled from", low=0, high=1),
    Setting("FREQ_PENALTY", "frequency_penalty", float, "weighs down words by how often they came", low=-2, high=2),
    Setting("PRESENCE_PENALTY", "presence_penalty", float, "weighs down words that came at all", low=-2, high=2),
    Setting("SEED", "seed", int, "start of the sampler's random numbers"),
    Setting("TIMEOUT", "timeout", float, "seconds for one whole call", above=0),
    Setting("MAX_ATTEMPTS", "max_attempts", int, "requests sent for one call, the first included", low=1),
    Setting("WAITING_TIME", "waiting_time", float, "seconds before the second attempt", low=0),
    Setting("EXPONENTIAL_BACKOFF_FACTOR", "exponential_backoff_factor", float, "growth of the wait", low=1),
    Setting("EMBEDDING_MODEL", "embedding_model", str, "the model of get_embedding"),
    Setting("CACHE_API_CALLS", "cache_api_calls", bool, "whether answers are recorded; false is MODE=off"),
    Setting("CACHE_FILE_NAME", "cache_file_name", str, "the store's path; unset: beside the notebook", spellings=("store",)),
    Setting("BASE_URL", "base_url", str, "the endpoint; unset: the vendor's own", variables=("OPENAI_BASE_URL",)),
    Setting("AZURE_API_VERSION", "azure_api_version", str, "Azure's api-version", variables=("OPENAI_API_VERSION",)),
    Setting(
        "MAX_CONCURRENT_MODEL_CALLS",
        "max_concurrent_model_calls",
        int,
        "calls at a time; unset, 0 or off: no cap",
        low=1,
        unset=("0", "off", "disable", "disabled"),
    ),
    Setting("MODE", "mode", str, "how recorded answers are used", choices=("auto", "replay", "refresh", "off")),
)

BY_NAME: Mapping[str, Setting] = MappingProxyType({s.name: s for s in SETTINGS.values()})

_MODEL_TEXTS = ("provider", "model", "identity", "base_url", "api_key_env", "api_key", "api_version", "azure_endpoint", "path")
_MODEL_NUMBERS = ("temperature", "max_tokens", "top_p", "seed", "frequency_penalty", "presence_penalty", "timeout")
MODEL_KEYS: Mapping[str, Setting] = _table(
    *(Setting(name, name, str, "") for name in _MODEL_TEXTS),
    *(replace(s, key=s.name) for s in SETTINGS.values() if s.name in _MODEL_NUMBERS),
    Setting("max_retries", "max_retries", int, "further attempts after the first", low=0),
    Setting("system", "system", str, "system message", long=True),
)
"""Typed keys of a ``[models.NAME]`` table; other keys are kept, read as JSON where they are JSON."""

_BY_SPELLING = {spelling.casefold(): s for s in SETTINGS.values() for spelling in (s.key, s.name, *s.spellings)}
_BY_VARIABLE = {  # the stronger variable of a setting first
    variable: s for s in SETTINGS.values() for variable in (*(f"TINYLLM_{n.upper()}" for n in (*s.spellings, s.key, s.name)), *s.variables)
}


@dataclass(frozen=True, repr=False)
class Settings:
    """Every setting with its value and where it came from.

    Values are attributes by name: ``settings.max_attempts``. ``models`` holds the ``[models.NAME]``
    tables, ``model_origins`` maps ``(model, key)`` to ``"user file"`` or ``"config.ini"``, ``folder``
    is the working directory that was read. ``origins`` are texts: ``packaged``, ``user file PATH``,
    ``config.ini PATH``, ``environment VARIABLE`` or what was given to ``over``.
    """

    values: Mapping[str, Any]
    origins: Mapping[str, str]
    models: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    model_origins: Mapping[tuple[str, str], str] = field(default_factory=dict)
    folder: Path = field(default_factory=Path)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["values"][name]
        except KeyError:
            raise AttributeError(f"there is no setting {name!r}") from None

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.values]

    def __repr__(self) -> str:
        shown = [f"{n}={without_login(v)!r}" for n, v in self.values.items() if v is not None]
        return f"Settings({', '.join([*shown, f'models={list(self.models)!r}'])})"

    def origin(self, name: str) -> str:
        """Where the value of a setting, by key or name, came from."""
        return self.origins[find(name).name]

    def named(self, name: str) -> bool:
        """Whether more than the packaged file set it."""
        return self.origin(name) != "packaged"

    @property
    def replay_forced(self) -> bool:
        """Whether ``TINYLLM_MODE=replay`` forbids every other mode."""
        return self.values["mode"] == "replay" and self.origins["mode"] == _FORCING

    def trusts(self, model: str | None = None) -> bool:
        """Whether a key may go to the address of a named model's table, or with ``None`` to ``BASE_URL``.

        Not where ``config.ini`` of a working directory names the address, unless the user trusts that folder.
        """
        if model is None:
            foreign = self.origins["base_url"].startswith("config.ini ")
        else:
            foreign = any(self.model_origins.get((model, key)) == "config.ini" for key in _ADDRESSES)
        return not foreign or trusted(self.folder)

    def over(self, layer: Mapping[str, Any], origin: str) -> Settings:
        """These settings with ``layer`` laid over them; ``origin`` says who asks (``session``, ``cell`` …).

        Keys or names in any case, values as text or as they are. Raises ``ConfigError`` on an unknown
        name or a value out of range.
        """
        if not layer:
            return self
        checked = dict(parse(key, value, origin) for key, value in layer.items())
        return _overlaid(self, {s.name: (value, origin) for s, value in checked.items()})


def find(key_or_name: str) -> Setting:
    """The setting of that key or name in any case; raises ``ConfigError`` with near matches.

    >>> find("freq_penalty").name
    'frequency_penalty'
    """
    try:
        return _BY_SPELLING[key_or_name.strip().casefold()]
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


def load(folder: Path | None = None, environ: Mapping[str, str] | None = None, *, user_folder: Path | None = None) -> Settings:
    """Packaged file < user file < ``config.ini`` in ``folder`` (the working directory) < environment.

    Cheap when nothing changed. Raises ``ConfigError`` naming key, file and range; a near-miss of a key
    and a key for an API in a file are told once as ``ConfigWarning``.
    """
    if environ is None:
        environ = {**os.environ, **_STARTED} if _STARTED else os.environ
    place = str(folder or os.getcwd())  # noqa: PTH109  # runs for every cell; Path costs as much again
    user, here = _both(place, user_folder, environ)
    found = tuple((variable, text) for variable in _BY_VARIABLE if (text := environ.get(variable)))
    known = _built.get((place, user, here, found))
    if known is not None:
        return known
    if len(_built) > 64:
        _built.clear()
    settings = _assembled(Path(place).resolve(), user, here, found)
    _built[place, user, here, found] = settings
    _tell((*user.notes, *here.notes, *_near_variables(environ)))
    return settings


def read_files(folder: Path | None = None, *, user_folder: Path | None = None) -> configparser.ConfigParser:
    """The packaged file, the user file and ``config.ini`` of the folder, laid over each other as text.

    Sections of other programs are kept, keys for an API in ``[OpenAI]`` are not.
    """
    merged = configparser.ConfigParser(interpolation=None)
    for file in (_packaged(), *_both(str(folder or Path.cwd()), user_folder, os.environ)):
        merged.read_dict({name: keys for name, keys in file.texts.items() if name != merged.default_section})
    ours, packaged = merged["OpenAI"], _packaged().texts["OpenAI"]
    for key in [key for key, text in ours.items() if not text]:
        del ours[key]
        if key in packaged:
            ours[key] = packaged[key]
    return merged


# ── layers ───────────────────────────────────────────────────────────────────────────────────────


def _assembled(folder: Path, user: _File, here: _File, found: Iterable[tuple[str, str]]) -> Settings:
    settings = Settings(dict.fromkeys(BY_NAME), dict.fromkeys(BY_NAME, "packaged"), folder=folder)
    for file in (_packaged(), user, here):
        settings = _overlaid(settings, {name: (value, file.source) for name, value in file.values.items()})
    from_environment: dict[str, tuple[Any, str]] = {}
    for variable, text in found:
        setting, origin = _BY_VARIABLE[variable], f"environment {variable}"
        from_environment.setdefault(setting.name, (setting.check(text, origin), origin))
    models, origins = _overlaid_models(user, here)
    return replace(_overlaid(settings, from_environment), models=models, model_origins=origins)


def _overlaid(settings: Settings, layer: Mapping[str, tuple[Any, str]]) -> Settings:
    """One layer of checked values, each with its origin, over the settings."""
    packaged, values, origins = _packaged().values, dict(settings.values), dict(settings.origins)
    for name, (value, origin) in _agreed(settings, layer).items():
        values[name] = packaged.get(name) if value is None else value
        origins[name] = "packaged" if value is None else origin
    return replace(settings, values=MappingProxyType(values), origins=MappingProxyType(origins))


def _agreed(settings: Settings, layer: Mapping[str, tuple[Any, str]]) -> dict[str, tuple[Any, str]]:
    """The layer with ``mode`` and ``cache_api_calls`` made to agree; without them under forced replay."""
    agreed = dict(layer)
    mode, recording = agreed.pop("mode", None), agreed.pop("cache_api_calls", None)
    if settings.replay_forced or (mode is None and recording is None):
        return agreed
    if mode is None and recording is not None:
        kept = "auto" if settings.values["mode"] in (None, "off") else settings.values["mode"]
        mode = ({True: kept, False: "off", None: None}[recording[0]], recording[1])
    if mode is not None:
        agreed["mode"] = mode
        agreed["cache_api_calls"] = (None if mode[0] is None else mode[0] != "off", mode[1])
    return agreed


def _overlaid_models(user: _File, here: _File) -> tuple[Mapping[str, Mapping[str, Any]], Mapping[tuple[str, str], str]]:
    tables: dict[str, dict[str, Any]] = {name: {} for name in (*here.models, *user.models)}
    origins: dict[tuple[str, str], str] = {}
    for file, kind in ((user, "user file"), (here, "config.ini")):
        for name, table in file.models.items():
            tables[name] |= table
            origins |= dict.fromkeys(((name, key) for key in table), kind)
    kept = {n: MappingProxyType({k: v for k, v in table.items() if v is not None}) for n, table in tables.items()}
    return MappingProxyType(kept), MappingProxyType({(n, k): o for (n, k), o in origins.items() if k in kept[n]})


def _near_variables(environ: Mapping[str, str]) -> Iterator[str]:
    known = [*_BY_VARIABLE, *_OTHER_VARIABLES]
    for variable in environ:
        if variable.startswith("TINYLLM_") and variable not in known:
            alike = difflib.get_close_matches(variable, known, n=1, cutoff=0.9)
            if alike:
                yield f"environment {variable} is not a setting and is ignored. {suggest(alike)}"


# ── files ────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, eq=False)
class _File:
    """One file, read and checked; ``notes`` are warnings to be told once."""

    source: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    models: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    texts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


_NO_FILE = _File()
_built: dict[tuple[Any, ...], Settings] = {}
_told: set[str] = set()


def _tell(notes: Iterable[str]) -> None:
    for note in notes:
        if note not in _told:
            _told.add(note)
            warnings.warn(note, ConfigWarning, stacklevel=3)


@cache
def _packaged() -> _File:
    return _parsed(str(PACKAGED_FILE), PACKAGED_FILE.read_bytes(), "packaged")


def _both(folder: str, user: Path | None, environ: Mapping[str, str]) -> tuple[_File, _File]:
    """The user file and the working directory's; a directory that is both counts as the user's."""
    ours, here = os.path.join(user or user_folder(environ), "config.ini"), os.path.join(folder, "config.ini")  # noqa: PTH118
    return _read(ours, "user file"), _NO_FILE if here == ours else _read(here, "config.ini")


def _read(path: str, kind: str) -> _File:
    data = content(path)
    return _NO_FILE if data is None else _parsed(path, data, kind)


@lru_cache(maxsize=32)
def _parsed(path: str, data: bytes, kind: str) -> _File:
    source = kind if kind == "packaged" else f"{kind} {path}"
    values: dict[str, Any] = {}
    models: dict[str, dict[str, Any]] = {}
    texts: dict[str, dict[str, str]] = {}
    notes: list[str] = []
    for section, given in sections(path, data).items():
        if section.casefold() == "openai":
            notes += _take_settings(given, source, values)
            ours = {(_BY_SPELLING[k].key.lower() if k in _BY_SPELLING else k): text for k, text in given.items() if not is_secret(k)}
            texts.setdefault("OpenAI", {}).update(ours)
            continue
        texts[section] = given
        if section.casefold().startswith("models."):
            name = section[len("models.") :].strip()
            models[name] = {key: _model_value(key, text, f"[models.{name}] in {source}") for key, text in given.items()}
            notes += _model_notes(name, models[name], source)
    return _File(source, values, models, texts, tuple(notes))


def _take_settings(given: Mapping[str, str], source: str, values: dict[str, Any]) -> Iterator[str]:
    """Put the checked settings of an ``[OpenAI]`` section into ``values``; yield notes on the other keys."""
    for key, text in given.items():
        if key in _BY_SPELLING:
            setting, value = parse(key, text, source)
            values[setting.name] = value
        elif is_secret(key):
            yield f"{source}: {key.upper()} is not read from a file; put it into an environment variable and remove it there"
        elif alike := difflib.get_close_matches(key, _BY_SPELLING, n=1, cutoff=0.8):
            yield f"{source}: {key.upper()} is not a setting and is ignored. {suggest([_BY_SPELLING[alike[0]].key])}"


def _model_value(key: str, text: str, source: str) -> Any:
    if is_secret(key):
        return Secret(unquoted(text)) if text else None
    if key in MODEL_KEYS:
        return MODEL_KEYS[key].check(text, source)
    try:
        return json.loads(text, parse_constant=_refuse) if text else None
    except ValueError:
        return unquoted(text)


def _refuse(constant: str) -> None:
    raise ValueError(constant)  # NaN and Infinity are no JSON


def _model_notes(name: str, table: Mapping[str, Any], source: str) -> Iterator[str]:
    for key, value in table.items():
        if isinstance(value, Secret):
            yield f"{source}: [models.{name}] holds a key ({key}); name an environment variable with api_key_env instead"
        elif key not in MODEL_KEYS and (alike := difflib.get_close_matches(key, MODEL_KEYS, n=1, cutoff=0.85)):
            yield f"{source}: [models.{name}] has {key}, which is passed on as it is. {suggest(alike)}"
