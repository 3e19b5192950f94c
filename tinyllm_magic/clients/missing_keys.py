"""Says what to do where a key is missing (``explain_missing_key``): how it is set in this front end, or which model was meant."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from ..errors import AuthError, near, suggest
from ..models.catalog import TINY, is_openai_name
from ..models.pricing import priced_names
from ..models.routing import Route
from ..models.vendors import vendors
from .environment import shell

_REPLAY = "Recorded cells need no key."


def explain_missing_key(error: AuthError, route: Route, tables: Iterable[str]) -> AuthError:
    """The error for a live call without its key; ``tables`` are the named models.

    A name that led to OpenAI because it says nothing else is taken for a mistyped one where OpenAI has none like it.
    """
    variable = str(error.variable)
    if route.endpoint.provider == "openai" and route.name is None and not is_openai_name(route.model):
        message = f"'{route.model}' is no model of OpenAI's that is known here, and {variable} is not set"
        return AuthError(message, hint=f"{_suggest_model(route.model, tables)} {_REPLAY}", variable=variable)
    return AuthError(error.message, hint=f"{_describe_setting(variable)} {_REPLAY}", variable=variable)


def _suggest_model(name: str, tables: Iterable[str]) -> str:
    head, colon, rest = name.partition(":")
    alike = [f"{v}:{rest}" for v in near(head, vendors())] if colon else []
    guess = suggest([*alike, *near(name, (*tables, TINY, *priced_names()))][:3])
    other = f"`-m ollama:{name}` asks a server on this machine, and `%llm_models` shows what can be asked now."
    return f"{guess} {other}".strip()


def _describe_setting(variable: str) -> str:
    """How a key is set where this code runs, so that it stays out of the notebook's file."""
    running = shell()
    kernel = getattr(running, "kernel", None)
    if running is None or not getattr(kernel, "_allow_stdin", True):  # a script, or a notebook that nobody watches
        return f"Set {variable} in the environment before this is started, or choose another model."
    if "google.colab" in sys.modules:
        return (
            f"Keep it among Colab's secrets, and run `import os; from google.colab import userdata; "
            f'os.environ["{variable}"] = userdata.get("{variable}")`. It counts from the next cell on.'
        )
    kept = "the notebook's file" if kernel is not None else "the history"
    return (
        f'Run `import getpass, os; os.environ["{variable}"] = getpass.getpass()` and type it there: it counts from the next cell on. '
        f"`%env {variable}=…` would leave the key in {kept}."
    )
