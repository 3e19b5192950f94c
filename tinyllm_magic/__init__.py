"""The reproducible prompt cell: ``%%llm`` for Jupyter and IPython.

A cell's Jinja template becomes messages, the messages and parameters become a ``Request``, the
request is answered from a recorded store or by a provider, and the ``Response`` becomes a card in
the notebook and a value in Python.

::

    roof   __init__ (front door)   magics │ cli      options  completions  reports
           ENGINE                                  │ GLASS
           call                                    │
           controls                                │
           sessions                                │
           clients                                 │ display
           plans                                   │
           cache │ providers/ │ relays             │ markup
    desks  settings │ models │ prompt
    ground errors ← messages ← answers

A room imports from the rooms below it only; the engine and the glass do not see each other; only
the roof stands over both. In a notebook: ``%load_ext tinyllm_magic``, then ``%%llm``.
"""

from __future__ import annotations

import importlib
import logging
import os
from typing import TYPE_CHECKING, Any

_ROOMS = {
    "answers": ("Response", "Usage"),
    "batch": ("compare", "map_rows"),
    "cache": ("Mode", "Store"),
    "call": ("LLMCall", "call_llm"),
    "controls": (
        "ModelManager",
        "client",
        "config",
        "count_tokens",
        "default",
        "force_api_cache",
        "force_api_type",
        "force_default_value",
        "override",
        "read_config_file",
        "register_client",
    ),
    "messages": ("Message", "Request"),
    "sessions": ("AzureClient", "OpenAIClient", "session"),
    "settings": ("Settings",),
}
_HOME = {name: room for room, names in _ROOMS.items() for name in names} | {"errors": "errors"}

if TYPE_CHECKING:
    from . import errors as errors
    from .answers import Response as Response
    from .answers import Usage as Usage
    from .batch import compare as compare
    from .batch import map_rows as map_rows
    from .cache import Mode as Mode
    from .cache import Store as Store
    from .call import LLMCall as LLMCall
    from .call import call_llm as call_llm
    from .controls import ModelManager as ModelManager
    from .controls import client as client
    from .controls import config as config
    from .controls import count_tokens as count_tokens
    from .controls import default as default
    from .controls import force_api_cache as force_api_cache
    from .controls import force_api_type as force_api_type
    from .controls import force_default_value as force_default_value
    from .controls import override as override
    from .controls import read_config_file as read_config_file
    from .controls import register_client as register_client
    from .messages import Message as Message
    from .messages import Request as Request
    from .sessions import AzureClient as AzureClient
    from .sessions import OpenAIClient as OpenAIClient
    from .sessions import session as session
    from .settings import Settings as Settings

__all__ = sorted(_HOME)  # noqa: PLE0605  # one table says where each name lives; test_exports holds it sorted

logging.getLogger("tinyllm_magic").addHandler(logging.NullHandler())

if os.environ.get("TINYLLM_MODE"):
    importlib.import_module(".settings", __name__)  # it keeps what the process was started with, before a cell can change it


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that importing the package costs nearly nothing."""
    room = _HOME.get(name)
    if room is None:
        raise AttributeError(f"module 'tinyllm_magic' has no attribute '{name}'")
    module = importlib.import_module(f".{room}", __name__)
    value = module if name == room else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "load_ipython_extension", "unload_ipython_extension"]


def load_ipython_extension(ipython: Any) -> None:
    """``%load_ext tinyllm_magic``: registers ``%%llm`` and its kin; prints nothing."""
    from . import magics

    magics.load(ipython)


def unload_ipython_extension(ipython: Any) -> None:
    """``%unload_ext tinyllm_magic``: takes everything back."""
    from . import magics

    magics.unload(ipython)
