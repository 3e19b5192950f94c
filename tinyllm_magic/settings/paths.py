"""Where the user's configuration and caches lie on this platform."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

APP = "tinyllm_magic"
_MOVERS = ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "APPDATA", "LOCALAPPDATA")


def user_folder(environ: Mapping[str, str] | None = None) -> Path:
    """The user's configuration directory: ``TINYLLM_CONFIG_DIR``, or the platform's own for this package."""
    given = (os.environ if environ is None else environ).get("TINYLLM_CONFIG_DIR")
    return Path(given).expanduser() if given else _platform_folder("config", tuple(map(os.environ.get, _MOVERS)))


def cache_folder(environ: Mapping[str, str] | None = None) -> Path:
    """Where weights and other replaceable files go: ``TINYLLM_CACHE_DIR``, or the platform's own."""
    given = (os.environ if environ is None else environ).get("TINYLLM_CACHE_DIR")
    return Path(given).expanduser() if given else _platform_folder("cache", tuple(map(os.environ.get, _MOVERS)))


@lru_cache(maxsize=8)
def _platform_folder(kind: str, _moved: tuple[str | None, ...]) -> Path:
    """The platform's folder for our files; asked once for each state of the variables that move it."""
    import platformdirs

    find = platformdirs.user_config_path if kind == "config" else platformdirs.user_cache_path
    return find(APP, appauthor=False)
