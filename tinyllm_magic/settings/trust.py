"""Which folders the user has trusted with endpoints, keys and stores."""

from __future__ import annotations

import json
from pathlib import Path

from ..errors import ConfigError
from ..files import replace_whole
from .paths import user_folder


def is_trusted(folder: Path | str, *, user_folder: Path | None = None) -> bool:
    """Whether the user has trusted exactly this folder; a damaged list trusts nothing."""
    return str(Path(folder).resolve()) in _trusted_folders(_trust_file(user_folder))


def trust(folder: Path | str, *, user_folder: Path | None = None) -> Path:
    """Remember the folder as trusted and return it resolved; raises ``ConfigError`` where that cannot be written."""
    resolved, path = Path(folder).resolve(), _trust_file(user_folder)
    folders = sorted({*_trusted_folders(path), str(resolved)})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_whole(path, [json.dumps(folders, indent=1).encode()])
    except OSError as error:
        raise ConfigError(f"the trusted folder cannot be remembered in {path}: {error.strerror}", source=str(path)) from error
    return resolved


def _trust_file(given: Path | None) -> Path:
    return (given or user_folder()) / "trusted.json"


def _trusted_folders(path: Path) -> frozenset[str]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return frozenset()
    return frozenset(f for f in found if isinstance(f, str)) if isinstance(found, list) else frozenset()
