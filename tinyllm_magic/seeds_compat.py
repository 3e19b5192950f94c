"""Every name of the seeds' module of utilities in one module, for programs that import it in its place.

The names with an underscore are found here alone: ``_count_tokens``, ``_api_type_to_client``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .clients.api import api_type_to_client, client, count_tokens, force_api_cache, force_api_type, register_client
from .clients.call import LLMCall, logger
from .clients.client import AzureClient, OpenAIClient
from .clients.config_views import config, default, force_default_value, read_config_file
from .errors import InvalidRequestError, NonTerminalError
from .json_text import extract_json, sanitize_dict
from .messages import Message
from .models.tokenizers import TokenCount

__all__ = [
    "AzureClient",
    "InvalidRequestError",
    "LLMCall",
    "NonTerminalError",
    "OpenAIClient",
    "client",
    "compose_initial_LLM_messages_with_templates",
    "config",
    "default",
    "extract_json",
    "force_api_cache",
    "force_api_type",
    "force_default_value",
    "logger",
    "read_config_file",
    "register_client",
    "sanitize_dict",
]


def compose_initial_LLM_messages_with_templates(  # noqa: N802  # the seeds' name
    system_template_name: str, user_template_name: str | None = None, rendering_configs: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """The messages of a system template and a user template, files or inline text, for these variables.

    Raises ``PromptError`` (``UndefinedError`` for a missing variable).

    >>> compose_initial_LLM_messages_with_templates("Be {{ how }}.", rendering_configs={"how": "brief"})
    [{'role': 'system', 'content': 'Be brief.'}]
    """
    return [m.to_dict() for m in LLMCall(system_template_name, user_template_name).render(**(rendering_configs or {}))]


def _count_tokens(messages: Iterable[Message | Mapping[str, Any]], model: str | None = None) -> TokenCount:
    """Tokens of messages with their overhead, for a model; as ``count_tokens``."""
    return count_tokens(messages, model)


_api_type_to_client = api_type_to_client
