"""The reproducible prompt cell: ``%%llm`` for Jupyter and IPython.

A cell's Jinja template becomes messages, the messages and parameters become a ``Request``, the
request is answered from a recorded store or by a provider, and the ``Response`` becomes a card in
the notebook and a value in Python.

::

    doors      __init__   cli   seeds_compat
    pages      notebook/ (the magics)                verify/ (replay and compare)
    work       batch/ (many rows)  ->  clients/ (one call)
    parts      providers/
               settings/   models/   prompts/   schemas/   recording/   display/
    ground     responses -> messages -> errors       redaction  text_format  json_text

A folder imports only from the lines below its own, and nothing below ``notebook/`` draws. In a
notebook: ``%load_ext tinyllm_magic``, then ``%%llm``.
"""

from __future__ import annotations

import importlib
import logging
import os
from typing import TYPE_CHECKING, Any

_HOMES = {
    "batch.api": (
        "compare",
        "map_rows",
    ),
    "clients.api": (
        "ModelManager",
        "api_type_to_client",
        "call_llm",
        "client",
        "count_tokens",
        "force_api_cache",
        "force_api_type",
        "override",
        "register_client",
    ),
    "clients.call": ("LLMCall",),
    "clients.chats": ("Chat",),
    "clients.client": (
        "AzureClient",
        "OpenAIClient",
    ),
    "clients.config_views": (
        "config",
        "default",
        "force_default_value",
        "read_config_file",
    ),
    "errors": (
        "InvalidRequestError",
        "NonTerminalError",
    ),
    "json_text": (
        "extract_json",
        "sanitize_dict",
    ),
    "messages": (
        "Message",
        "Request",
    ),
    "notebook.state": ("session",),  # with what batch/ and notebook/ add to it
    "recording.modes": ("Mode",),
    "recording.store": ("Store",),
    "responses": (
        "Response",
        "Usage",
    ),
    "settings.layers": ("Settings",),
}
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names} | {"errors": "errors"}

if TYPE_CHECKING:
    from . import errors as errors
    from .batch.api import compare as compare
    from .batch.api import map_rows as map_rows
    from .clients.api import ModelManager as ModelManager
    from .clients.api import api_type_to_client as api_type_to_client
    from .clients.api import call_llm as call_llm
    from .clients.api import client as client
    from .clients.api import count_tokens as count_tokens
    from .clients.api import force_api_cache as force_api_cache
    from .clients.api import force_api_type as force_api_type
    from .clients.api import override as override
    from .clients.api import register_client as register_client
    from .clients.call import LLMCall as LLMCall
    from .clients.chats import Chat as Chat
    from .clients.client import AzureClient as AzureClient
    from .clients.client import OpenAIClient as OpenAIClient
    from .clients.config_views import config as config
    from .clients.config_views import default as default
    from .clients.config_views import force_default_value as force_default_value
    from .clients.config_views import read_config_file as read_config_file
    from .clients.sessions import session as session
    from .errors import InvalidRequestError as InvalidRequestError
    from .errors import NonTerminalError as NonTerminalError
    from .json_text import extract_json as extract_json
    from .json_text import sanitize_dict as sanitize_dict
    from .messages import Message as Message
    from .messages import Request as Request
    from .recording.modes import Mode as Mode
    from .recording.store import Store as Store
    from .responses import Response as Response
    from .responses import Usage as Usage
    from .settings.layers import Settings as Settings

__all__ = sorted(_MODULE_OF)  # noqa: PLE0605  # one table says where each name lives; test_exports holds it sorted

logging.getLogger("tinyllm_magic").addHandler(logging.NullHandler())

if os.environ.get("TINYLLM_MODE"):
    from .recording import journal as _journal  # noqa: F401  # they keep what the process was started with,
    from .settings import layers as _layers  # noqa: F401  # before a cell can change it


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that importing the package costs nearly nothing."""
    home = _MODULE_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'tinyllm_magic' has no attribute '{name}'")
    module = importlib.import_module(f".{home}", __name__)
    value = module if name == home else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "load_ipython_extension", "unload_ipython_extension"]


def load_ipython_extension(ipython: Any) -> None:
    """``%load_ext tinyllm_magic``: registers ``%%llm`` and its kin; prints nothing."""
    from .notebook import magics

    magics.load(ipython)


def unload_ipython_extension(ipython: Any) -> None:
    """``%unload_ext tinyllm_magic``: takes everything back."""
    from .notebook import magics

    magics.unload(ipython)
