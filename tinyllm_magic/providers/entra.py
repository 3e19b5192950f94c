"""Gets Entra tokens for Azure OpenAI from azure-identity, where that package is installed."""

from __future__ import annotations

import functools
import logging
from importlib.util import find_spec
from typing import Any

from ..errors import AuthError
from ..text_format import shorten_line

_SCOPE = "https://cognitiveservices.azure.com/.default"


def is_installed() -> bool:
    """Whether azure-identity is there, which is not imported for it."""
    try:
        return find_spec("azure.identity") is not None
    except ModuleNotFoundError:  # not even the package ``azure``
        return False


def get_token(missing: str) -> str:
    """A token of whoever is signed in here (variables, a managed identity, ``az login`` …), kept until it expires.

    Raises ``AuthError`` where nobody is, which also says what else is ``missing``.
    """
    try:
        return str(_credential().get_token(_SCOPE).token)
    except Exception as error:  # the package raises errors of many kinds
        _credential.cache_clear()  # it has read the environment when it was made
        first = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise AuthError(
            f"{missing}, and azure-identity has no Entra token: {shorten_line(first, 200)}",
            hint="Set AZURE_OPENAI_API_KEY, or sign in (`az login`). Recorded cells need neither.",
        ) from error


@functools.cache
def _credential() -> Any:
    from azure.identity import DefaultAzureCredential

    logger = logging.getLogger("azure")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())  # what it tries is told by the error, not printed into the cell
    return DefaultAzureCredential()
