"""Imports the libraries that know statistics, on first use: the extra ``stats``."""

from __future__ import annotations

import importlib
from typing import Any

from ..errors import MissingExtraError

EXTRA = "stats"


def load_library(name: str) -> Any:
    """A module of the extra; raises ``MissingExtraError`` with the line that installs it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0].replace("sklearn", "scikit-learn")
        hint = f'pip install "tinyllm-magic[{EXTRA}]" installs what scores and comparisons need.'
        raise MissingExtraError(f"{package} is not installed", hint=hint, extra=EXTRA) from error
