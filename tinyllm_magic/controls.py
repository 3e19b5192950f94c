"""Choices of Python code in, the session changed accordingly: the seeds' functions and views.

Knows the seeds' names: ``client``, ``register_client``, ``force_*``, ``config``, ``default``, ``ModelManager``.
Does not know how any of it is stored, sent or shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from configparser import ConfigParser
from typing import Any

from . import settings
from .clients import OpenAIClient
from .errors import ConfigError, near, suggest
from .messages import Message
from .models import ModelTable, TokenCount
from .sessions import Override, session


def client() -> OpenAIClient:
    """The shared client of the API type that holds now; raises ``ConfigError`` (a ``ValueError``) for an unknown type."""
    return session.client()


def register_client(api_type: str, client: OpenAIClient) -> None:
    """Let an instance of ``OpenAIClient`` or a subclass answer for an API type.

    Raises ``ConfigError`` for anything that is no client. ``api_type_to_client()`` lists them.

    >>> class Loud(OpenAIClient):
    ...     def _raw_model_call(self, model, chat_api_params):
    ...         return chat_api_params["messages"][-1]["content"].upper()
    >>> register_client("loud", Loud())
    >>> with force_api_type("loud"):
    ...     client().send_message("hello")["content"]
    'HELLO'
    """
    session.register(api_type, client)


def api_type_to_client() -> dict[str, OpenAIClient]:
    """The registered clients by API type, as a new dict."""
    return dict(session.registered)


def override(**values: Any) -> Override:
    """Change settings until undone or to the end of a ``with`` block, above the session's own choices.

    Holds for the whole process, threads included. Keys are settings (``%llm_config`` lists them);
    raises ``ConfigError`` for an unknown key or a wrong value.

    >>> with override(model="small", temperature=0):
    ...     default["model"]
    'small'
    """
    return session.override(**values)


def force_api_type(api_type: str | None) -> Override:
    """Use another API type from now on, or in a ``with`` block; ``None`` takes earlier calls back."""
    if api_type is None:
        _undo("api_type")
    return session.override(**({} if api_type is None else {"api_type": api_type}))


def force_api_cache(cache_api_calls: bool | None, cache_file_name: str | None = None) -> Override:
    """Turn recording on or off for present and later clients, other settings stay; ``None`` takes earlier calls back."""
    if cache_api_calls is None:
        _undo("cache_api_calls")
        return session.override()
    values: dict[str, Any] = {"cache_api_calls": cache_api_calls}
    return session.override(**values, **({"cache_file_name": cache_file_name} if cache_file_name else {}))


def force_default_value(key: str, value: Any) -> Override:
    """Change a default (a key of ``default``) for the next calls; raises ``ConfigError`` for an unknown key."""
    if key not in default:
        raise ConfigError(
            f"'{key}' is not a key of `default`", key=key, hint=suggest(near(key, default)) or f"Keys are {', '.join(default)}."
        )
    return session.override(**{key: value})


def _undo(name: str) -> None:
    for earlier in [o for o in session.overrides if name in o.values]:
        earlier.undo()


def read_config_file(use_cache: bool = True) -> ConfigParser:
    """The packaged defaults, overlaid by the user's file and ``config.ini`` of the working directory.

    ``use_cache=False`` reads the files anew even where they seem unchanged.
    """
    if not use_cache:
        settings.forget()
    return settings.read_files()


class _Config(Mapping[str, Mapping[str, str]]):
    """A live view of the configuration files, by section."""

    def __getitem__(self, section: str) -> Mapping[str, str]:
        return read_config_file()[section]

    def __iter__(self) -> Iterator[str]:
        return iter(read_config_file().sections())

    def __len__(self) -> int:
        return len(read_config_file().sections())

    def __repr__(self) -> str:
        return f"config(sections={list(self)})"


class _Default(Mapping[str, Any]):
    """A live, read-only view of the values that hold now, by the seeds' names."""

    def __getitem__(self, name: str) -> Any:
        if name not in settings.BY_NAME:
            raise KeyError(name)
        return session.settings().values.get(name)

    def __iter__(self) -> Iterator[str]:
        return iter(settings.BY_NAME)

    def __len__(self) -> int:
        return len(settings.BY_NAME)

    def __repr__(self) -> str:
        return f"default({dict(self)})"


config = _Config()
"""The configuration files, by section: ``config["OpenAI"]["MODEL"]``."""

default = _Default()
"""The values that hold now: ``default["model"]``; change them with ``override`` or ``%llm_config``."""


class ModelManager(ModelTable):
    """Named models and their clients, from ``{"models": {name: {...}}}`` or any configuration of that shape.

    >>> from tinyllm_magic import ModelManager
    >>> ModelManager({"models": {"small": {"provider": "local"}}}).get_model_config()
    {'provider': 'local'}
    """

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.clients: dict[str, OpenAIClient] = {}

    def create_client(self, model_name: str | None = None) -> OpenAIClient:
        """The client of a named model (the first by default): the same object each time, also for ``call_llm``.

        ``timeout`` (seconds, 120 by default) and ``max_retries`` come from the model, else from the top level.
        """
        route = self.route(model_name, registered=tuple(session.registered))
        name = route.name or route.model
        if name not in self.clients:
            self.clients[name] = session.client_at(route)
        return self.clients[name]


def count_tokens(messages: str | Iterable[Message | Mapping[str, Any]], model: str | None = None) -> TokenCount:
    """Tokens of a text, or of messages with their overhead, for a model (default: the session's).

    An ``int`` whose ``estimated`` is true, and whose text begins with ``≈``, where no exact tokenizer is at hand.
    """
    return session.count(messages, model)
