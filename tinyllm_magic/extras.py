"""Imports the libraries of an extra on first use."""

from __future__ import annotations

import importlib
from typing import Any

from .errors import MissingExtraError

_PACKAGES = {"sklearn": "scikit-learn"}
"""Where a module's package has another name."""


def load_library(name: str, extra: str = "stats") -> Any:
    """A module of an extra; raises ``MissingExtraError`` with the line that installs it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        root = name.partition(".")[0]
        hint = f'pip install "tinyllm-magic[{extra}]" installs what is needed here.'
        raise MissingExtraError(f"{_PACKAGES.get(root, root)} is not installed", hint=hint, extra=extra) from error
