"""Lays defaults, ``config.ini`` files, the environment and later choices over each other: ``Settings``.

Later wins: defaults < user file < ``config.ini`` in the working directory < environment
(``TINYLLM_<KEY>``, then the vendors' own variables) < whatever is laid on with ``Settings.over``.

* An empty value, or the word none, takes back what lower layers set: the default holds again, which
  for most settings is none at all. An empty environment variable counts as absent.
* ``mode`` and ``cache_api_calls`` are one fact: in each layer an explicit ``mode`` wins; else false
  means off, and true means auto where nothing was recorded before. ``cache_api_calls``
  always says whether ``mode`` records.
* ``TINYLLM_MODE=replay`` beats every layer, also later ones.
* Relative paths are taken from the working directory, whichever file holds them.
* The models of the working directory's file come before those of the user file.
* ``[DEFAULT]`` is an ordinary section and is ignored, as all sections of other programs are.
"""

from __future__ import annotations

import configparser
import difflib
import functools
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..environ_version import environ_version
from ..errors import ConfigError, suggest
from ..redaction import hide_private
from ..user_warnings import warn
from .config_files import NO_FILE, ConfigFile, read_file, read_packaged
from .definitions import BY_NAME, BY_VARIABLE, find, parse
from .origins import Origin, Source, Sourced
from .paths import user_folder
from .trust import is_trusted

_FORCING = Source(Origin.ENVIRONMENT, "TINYLLM_MODE")
_PACKAGED_SOURCE = Source(Origin.PACKAGED)
_STARTED = {"TINYLLM_MODE": "replay"} if os.environ.get("TINYLLM_MODE", "").strip().lower() == "replay" else {}
"""A process that was started in strict replay stays in it, whatever a cell does to the environment."""
_ADDRESSES = frozenset({"base_url", "azure_endpoint"})
_KEYS = frozenset({"api_key", "api_key_env"})
_OTHER_VARIABLES = ("TINYLLM_CACHE_DIR", "TINYLLM_CONFIG_DIR")
_built: dict[tuple[Any, ...], Settings] = {}
_warned: set[str] = set()
_read: tuple[int, tuple[tuple[str, str], ...]] = (-1, ())


class ConfigWarning(UserWarning):
    """Something in a file or the environment that is not read, or should not be there; shown once."""


@dataclass(frozen=True, repr=False)
class Settings:
    """Every setting with its value and where it came from.

    Values are attributes by name: ``settings.max_attempts``. ``models`` holds the ``[models.NAME]``
    tables, ``model_origins`` maps ``(model, key)`` to the file's layer, ``folder`` is the working
    directory that was read. ``sources`` says of each setting where its value came from.
    """

    values: Mapping[str, Any]
    sources: Mapping[str, Source]
    models: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    model_origins: Mapping[tuple[str, str], Origin] = field(default_factory=dict)
    folder: Path = field(default_factory=Path)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["values"][name]
        except KeyError:
            raise AttributeError(f"there is no setting {name!r}") from None

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.values]

    def __repr__(self) -> str:
        shown = [f"{n}={hide_private(v)!r}" for n, v in self.values.items() if v is not None]
        return f"Settings({', '.join([*shown, f'models={list(self.models)!r}'])})"

    def source(self, name: str) -> Source:
        """Where the value of a setting, by key or name, came from."""
        return self.sources[find(name).name]

    def origin(self, name: str) -> str:
        """Where the value of a setting, by key or name, came from, layer and place: ``'user file …/config.ini'``."""
        return str(self.source(name))

    def named(self, name: str) -> bool:
        """Whether anything but the defaults set it."""
        return self.source(name).origin is not Origin.PACKAGED

    @property
    def replay_forced(self) -> bool:
        """Whether ``TINYLLM_MODE=replay`` forbids every other mode."""
        return self.values["mode"] == "replay" and self.sources["mode"] == _FORCING

    @functools.cached_property
    def leans_on_trust(self) -> bool:
        """Whether what may be done with these settings hangs on the user's trust in their folder, which may come or go at any time."""
        said = (self.sources[name].origin for name in ("base_url", "cache_file_name"))
        return Origin.FOLDER_FILE in (*said, *self.model_origins.values())

    def trusts(self, model: str | None = None) -> bool:
        """Whether a key may go to the address of a named model's table, or with ``None`` to ``BASE_URL``.

        Not where ``config.ini`` of a working directory names the address, unless the user trusts that folder.
        """
        if model is None:
            foreign = self.source("base_url").origin is Origin.FOLDER_FILE
        else:
            foreign = any(self.model_origins.get((model, key)) is Origin.FOLDER_FILE for key in _ADDRESSES)
        return not foreign or is_trusted(self.folder)

    def usable_models(self) -> Mapping[str, Mapping[str, Any]]:
        """The tables of ``models`` as they may be used: no key of the user's goes where a folder that is not trusted leads.

        A table without an address leads to ``BASE_URL``; what is no loopback address gets no key anyway.
        """
        if self.trusts():
            return self.models
        return {
            name: table
            if table.keys() & _ADDRESSES
            else {k: v for k, v in table.items() if k not in _KEYS or self.model_origins[name, k] is Origin.FOLDER_FILE}
            for name, table in self.models.items()
        }

    def store_place(self) -> Path | None:
        """The file, or the folder for stores, that CACHE_FILE_NAME names; ``None`` where it is unset.

        Raises ``ConfigError`` where ``config.ini`` of a folder that is not trusted names one outside that folder.
        """
        named, source = self.values["cache_file_name"], self.source("cache_file_name")
        if not named:
            return None
        place = self.folder / Path(named).expanduser()
        inside = source.origin is not Origin.FOLDER_FILE or place.resolve().is_relative_to(self.folder.resolve())
        if not inside and not is_trusted(self.folder):
            raise ConfigError(
                f"CACHE_FILE_NAME in config.ini names a file outside this folder: {named}",
                key="CACHE_FILE_NAME",
                source=str(source),
                hint="Trust this folder once with `%llm_config trust`, or name a file inside it.",
            )
        return place

    def over(self, layer: Mapping[str, Any], origin: Origin) -> Settings:
        """These settings with ``layer`` laid over them; ``origin`` says which layer it is.

        Keys or names in any case, values as text or as they are. Raises ``ConfigError`` on an unknown
        name or a value out of range.
        """
        if not layer:
            return self
        checked = dict(parse(key, value, origin) for key, value in layer.items())
        return _overlay(self, {s.name: Sourced(value, Source(origin)) for s, value in checked.items()})


def load(folder: Path | None = None, environ: Mapping[str, str] | None = None, *, user_folder: Path | None = None) -> Settings:
    """Defaults < user file < ``config.ini`` in ``folder`` (the working directory) < environment.

    Cheap when nothing changed. Raises ``ConfigError`` naming key, file and range; a near-miss of a key
    and a key for an API in a file are shown once as ``ConfigWarning``.
    """
    given = environ
    if environ is None:
        environ = {**os.environ, **_STARTED} if _STARTED else os.environ
    place = str(folder or os.getcwd())  # noqa: PTH109  # runs for every cell; Path costs as much again
    user, here = _read_both(place, user_folder, environ)
    found = _read_variables(environ) if given is not None else _read_environment(environ)
    folder_is_trusted = _wants_trust(here) and is_trusted(place)
    known = _built.get((place, user, here, found, folder_is_trusted))
    if known is not None:
        return known
    if len(_built) > 64:
        _built.clear()
    settings = _assemble(Path(place).resolve(), user, here, found, is_trusted=folder_is_trusted)
    _built[place, user, here, found, folder_is_trusted] = settings
    _warn_once((*user.notes, *here.notes, *([] if folder_is_trusted else _ignored_key_names(here)), *_near_variables(environ)))
    return settings


def _read_variables(environ: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The variables that set something, each with its text, the stronger of a setting first."""
    return tuple((variable, text) for variable in BY_VARIABLE if (text := environ.get(variable)))


def _read_environment(environ: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The same of this process's environment, read anew where it has changed."""
    global _read  # noqa: PLW0603  # what was read last, which a change makes stale
    now = environ_version()
    if _read[0] != now:
        _read = (now, _read_variables(environ))
    return _read[1]


def read_files(folder: Path | None = None, *, user_folder: Path | None = None) -> configparser.ConfigParser:
    """The defaults, the user file and ``config.ini`` of the folder, laid over each other as text.

    Sections of other programs are kept, keys for an API in ``[OpenAI]`` are not.
    """
    merged = configparser.ConfigParser(interpolation=None)
    for file in (read_packaged(), *_read_both(str(folder or Path.cwd()), user_folder, os.environ)):
        merged.read_dict({name: keys for name, keys in file.texts.items() if name != merged.default_section})
    ours, packaged = merged["OpenAI"], read_packaged().texts["OpenAI"]
    for key in [key for key, text in ours.items() if not text]:
        del ours[key]
        if key in packaged:
            ours[key] = packaged[key]
    return merged


def _assemble(folder: Path, user: ConfigFile, here: ConfigFile, found: Iterable[tuple[str, str]], *, is_trusted: bool) -> Settings:
    settings = Settings(dict.fromkeys(BY_NAME), dict.fromkeys(BY_NAME, _PACKAGED_SOURCE), folder=folder)
    for file in (read_packaged(), user, here):
        settings = _overlay(settings, {name: Sourced(value, file.source) for name, value in file.values.items()})
    from_environment: dict[str, Sourced] = {}
    for variable, text in found:
        setting, source = BY_VARIABLE[variable], Source(Origin.ENVIRONMENT, variable)
        from_environment.setdefault(setting.name, Sourced(setting.check(text, str(source)), source))
    models, origins = _overlay_models(user, here, is_trusted=is_trusted)
    return replace(_overlay(settings, from_environment), models=models, model_origins=origins)


def _overlay(settings: Settings, layer: Mapping[str, Sourced]) -> Settings:
    """One layer of checked values, each with its source, over the settings."""
    packaged, values, sources = read_packaged().values, dict(settings.values), dict(settings.sources)
    for name, given in _reconcile_mode(settings, layer).items():
        values[name] = packaged.get(name) if given.value is None else given.value
        sources[name] = _PACKAGED_SOURCE if given.value is None else given.source
    return replace(settings, values=MappingProxyType(values), sources=MappingProxyType(sources))


def _reconcile_mode(settings: Settings, layer: Mapping[str, Sourced]) -> dict[str, Sourced]:
    """The layer with ``mode`` and ``cache_api_calls`` made to agree; without them under forced replay."""
    agreed = dict(layer)
    mode, recording = agreed.pop("mode", None), agreed.pop("cache_api_calls", None)
    if settings.replay_forced or (mode is None and recording is None):
        return agreed
    if mode is None and recording is not None:
        kept = "auto" if settings.values["mode"] in (None, "off") else settings.values["mode"]
        mode = Sourced({True: kept, False: "off", None: None}[recording.value], recording.source)
    if mode is not None:
        agreed["mode"] = mode
        agreed["cache_api_calls"] = Sourced(None if mode.value is None else mode.value != "off", mode.source)
    return agreed


def _overlay_models(
    user: ConfigFile, here: ConfigFile, *, is_trusted: bool
) -> tuple[Mapping[str, Mapping[str, Any]], Mapping[tuple[str, str], Origin]]:
    """The tables of both files over each other, and the layer of each key.

    A folder that is not trusted names no variable whose value is sent, and takes the user's own keys to no other address.
    """
    tables: dict[str, dict[str, Any]] = {name: {} for name in (*here.models, *user.models)}
    origins: dict[tuple[str, str], Origin] = {}
    for file, origin in ((user, Origin.USER_FILE), (here, Origin.FOLDER_FILE)):
        for name, given in file.models.items():
            table = dict(given)
            if origin is Origin.FOLDER_FILE and not is_trusted:
                table.pop("api_key_env", None)
                if table.keys() & _ADDRESSES:
                    tables[name] = {k: v for k, v in tables[name].items() if k not in _KEYS}
            tables[name] |= table
            origins |= dict.fromkeys(((name, key) for key in table), origin)
    kept = {n: MappingProxyType({k: v for k, v in table.items() if v is not None}) for n, table in tables.items()}
    return MappingProxyType(kept), MappingProxyType({(n, k): o for (n, k), o in origins.items() if k in kept[n]})


def _wants_trust(here: ConfigFile) -> bool:
    """Whether a table of the file chooses a key, or an address for one."""
    return any(table.keys() & (_ADDRESSES | _KEYS) for table in here.models.values())


def _ignored_key_names(here: ConfigFile) -> Iterator[str]:
    for name, table in here.models.items():
        if table.get("api_key_env"):
            yield (
                f"{here.source.where}: api_key_env of [models.{name}] is ignored, for this folder is not trusted. "
                "If you trust it, run `%llm_config trust` once."
            )


def _near_variables(environ: Mapping[str, str]) -> Iterator[str]:
    known = [*BY_VARIABLE, *_OTHER_VARIABLES]
    for variable in environ:
        if variable.startswith("TINYLLM_") and variable not in known:
            alike = difflib.get_close_matches(variable, known, n=1, cutoff=0.9)
            if alike:
                yield f"environment {variable} is not a setting and is ignored. {suggest(alike)}"


def _warn_once(notes: Iterable[str]) -> None:
    for note in notes:
        if note not in _warned:
            _warned.add(note)
            warn(note, ConfigWarning)


def _read_both(folder: str, user: Path | None, environ: Mapping[str, str]) -> tuple[ConfigFile, ConfigFile]:
    """The user file and the working directory's; a directory that is both counts as the user's."""
    is_own = user is None and environ is os.environ
    ours = _find_user_file(environ_version()) if is_own else os.path.join(user or user_folder(environ), "config.ini")  # noqa: PTH118
    here = os.path.join(folder, "config.ini")  # noqa: PTH118
    return read_file(ours, Origin.USER_FILE), NO_FILE if here == ours else read_file(here, Origin.FOLDER_FILE)


@functools.lru_cache(maxsize=8)
def _find_user_file(_version: int) -> str:
    """The user's file, which the environment places: looked for anew where that has changed."""
    return str(user_folder() / "config.ini")
