"""The settings by the seeds' names, live: ``config`` shows the configuration files, ``default`` the values that hold now.

What is assigned to either holds for the next calls, as ``force_default_value`` does; no file is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from configparser import ConfigParser
from typing import Any

from ..errors import ConfigError, near, suggest
from ..settings import ini, layers
from ..settings.definitions import BY_NAME
from .sessions import Override, session

_OURS = "OpenAI"
_READS = frozenset(("defaults", "getboolean", "getfloat", "getint", "has_option", "has_section", "options", "sections", "write"))
_MISSING: Any = object()


def read_config_file(use_cache: bool = True) -> ConfigParser:
    """The packaged defaults, overlaid by the user's file and ``config.ini`` of the working directory.

    ``use_cache=False`` reads the files anew even where they seem unchanged.
    """
    if not use_cache:
        ini.forget()
    return layers.read_files()


def force_default_value(key: str, value: Any) -> Override:
    """Change a default (a key of ``default``) for the next calls; raises ``ConfigError`` for an unknown key."""
    if key not in BY_NAME:
        hint = suggest(near(key, BY_NAME)) or f"Keys are {', '.join(BY_NAME)}."
        raise ConfigError(f"'{key}' is not a key of `default`", key=key, hint=hint)
    return session.override(**{key: value})


def undo(name: str) -> None:
    """Take back what was assigned to, or forced upon, the setting of this name."""
    for earlier in [o for o in session.overrides if name in o.values]:
        earlier.undo()


def _current() -> ConfigParser:
    """The files, and over them what was assigned since."""
    parser = read_config_file()
    for name, value in ((n, v) for o in session.overrides for n, v in o.values.items()):
        parser[_OURS][BY_NAME[name].key] = "" if value is None else str(value)
    return parser


def _assign(section: str, key: str, value: Any) -> None:
    if section.casefold() != _OURS.casefold():
        raise ConfigError(
            f"config shows files; [{section}] cannot be changed here",
            key=key,
            hint=f"Write {key} into config.ini. Assign settings of [{_OURS}] alone, or use `override`.",
        )
    session.override(**{key: value})


class _Section(MutableMapping[str, str]):
    """One section, as ``configparser`` shows it."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __getitem__(self, key: str) -> str:
        return _current()[self.name][key]

    def __setitem__(self, key: str, value: Any) -> None:
        _assign(self.name, key, value)

    def __delitem__(self, key: str) -> None:
        raise ConfigError(f"config shows files; {key} cannot be deleted here", key=key, hint="Assign another value, or edit config.ini.")

    def __iter__(self) -> Iterator[str]:
        return iter(_current()[self.name])

    def __len__(self) -> int:
        return len(_current()[self.name])

    def get(self, option: str, fallback: Any = None, **how: Any) -> Any:
        """The text of an option, else ``fallback``."""
        return _current()[self.name].get(option, fallback, **how)

    def __getattr__(self, name: str) -> Any:
        if name in ("getint", "getfloat", "getboolean"):
            return getattr(_current()[self.name], name)
        raise AttributeError(f"a section of config has no {name!r}")

    def __repr__(self) -> str:
        return f"config[{self.name!r}]"


class _Config(MutableMapping[str, MutableMapping[str, str]]):
    """The sections of the configuration files, and the methods by which ``configparser`` reads them."""

    def __getitem__(self, section: str) -> MutableMapping[str, str]:
        return _Section(_current()[section].name)

    def __setitem__(self, section: str, values: Mapping[str, Any]) -> None:
        for key, value in values.items():
            _assign(section, key, value)

    def __delitem__(self, section: str) -> None:
        raise ConfigError(f"config shows files; [{section}] cannot be deleted here", key=section, hint="Edit config.ini.")

    def __iter__(self) -> Iterator[str]:
        return iter(_current().sections())

    def __len__(self) -> int:
        return len(_current().sections())

    def get(self, section: str, option: Any = _MISSING, **how: Any) -> Any:
        """The text of an option, ``fallback=`` where it is missing; without an option the section, or ``None``."""
        if option is _MISSING:
            return super().get(section)
        return _current().get(section, option, **how)

    def items(self, section: Any = _MISSING, **how: Any) -> Any:
        """The sections with their names, or the options of one with their texts."""
        return super().items() if section is _MISSING else _current().items(section, **how)

    def set(self, section: str, option: str, value: Any = None) -> None:
        """Assign an option, for the next calls."""
        _assign(section, option, value)

    def __getattr__(self, name: str) -> Any:
        if name in _READS:
            return getattr(_current(), name)
        raise AttributeError(f"config has no {name!r}: it shows files; edit config.ini, or use `override`")

    def __repr__(self) -> str:
        return f"config(sections={list(self)})"


class _Default(MutableMapping[str, Any]):
    """The values that hold now, by the seeds' names; a deleted key has the value of files and session again."""

    def __getitem__(self, name: str) -> Any:
        if name not in BY_NAME:
            raise KeyError(name)
        return session.settings().values.get(name)

    def __setitem__(self, name: str, value: Any) -> None:
        force_default_value(name, value)

    def __delitem__(self, name: str) -> None:
        self[name]
        undo(name)

    def __iter__(self) -> Iterator[str]:
        return iter(BY_NAME)

    def __len__(self) -> int:
        return len(BY_NAME)

    def __repr__(self) -> str:
        return f"default({dict(self)})"


config = _Config()
"""The configuration files, by section: ``config["OpenAI"]["MODEL"]``, ``config.get("OpenAI", "MODEL")``."""

default = _Default()
"""The values that hold now: ``default["model"]``; assign them, or use ``override`` or ``%llm_config``."""
