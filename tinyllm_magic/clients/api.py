"""The seeds' functions: ``client``, ``register_client``, ``override``, ``force_api_type`` and its kin, ``ModelManager``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from typing import Any

from ..errors import ConfigError, OptionError
from ..messages import Message
from ..models.named import ModelTable
from ..models.tokenizers import TokenCount
from ..providers import openai_client as vendor
from .client import OpenAIClient
from .config_views import undo
from .plans import list_tools
from .sessions import Override, session


def client() -> OpenAIClient:
    """The shared client of the API type that holds now; raises ``ConfigError`` (a ``ValueError``) for an unknown type."""
    found: OpenAIClient = session.client()
    return found


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
    if not isinstance(client, OpenAIClient):
        raise ConfigError(
            f"register_client({api_type!r}, …) takes an instance of OpenAIClient or a subclass, not {type(client).__name__}",
            key="API_TYPE",
        )
    session.register(api_type, client)


class _RegisteredClients(MutableMapping[str, OpenAIClient]):
    """The registered clients by API type, as they are now; assigning one registers it, a call gives them as a new dict."""

    def __call__(self) -> dict[str, OpenAIClient]:
        return dict(session.registered)

    def __getitem__(self, api_type: str) -> OpenAIClient:
        found: OpenAIClient = session.registered[api_type]
        return found

    def __setitem__(self, api_type: str, client: OpenAIClient) -> None:
        register_client(api_type, client)

    def __delitem__(self, api_type: str) -> None:
        del session.registered[api_type]

    def __iter__(self) -> Iterator[str]:
        return iter(session.registered)

    def __len__(self) -> int:
        return len(session.registered)

    def __repr__(self) -> str:
        return f"api_type_to_client({dict(self)})"


api_type_to_client = _RegisteredClients()
"""The registered clients by API type: ``api_type_to_client["openai"]``."""


def override(**values: Any) -> Override:
    """Change settings until undone or to the end of a ``with`` block, above the session's own choices.

    Holds for the whole process, threads included. Keys are settings (``%llm_config`` lists them);
    raises ``ConfigError`` for an unknown key or a wrong value.

    >>> from tinyllm_magic import default
    >>> with override(model="small", temperature=0):
    ...     default["model"]
    'small'
    """
    return session.override(**values)


def force_api_type(api_type: str | None) -> Override:
    """Use another API type from now on, or in a ``with`` block; ``None`` takes earlier calls back."""
    if api_type is None:
        undo("api_type")
    return session.override(**({} if api_type is None else {"api_type": api_type}))


def force_api_cache(cache_api_calls: bool | None, cache_file_name: str | None = None) -> Override:
    """Turn recording on or off for present and later clients, other settings stay; ``None`` takes earlier calls back."""
    if cache_api_calls is None:
        undo("cache_api_calls")
        return session.override()
    values: dict[str, Any] = {"cache_api_calls": cache_api_calls}
    return session.override(**values, **({"cache_file_name": cache_file_name} if cache_file_name else {}))


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


def call_llm(
    model: str | None,
    usr_prompt: Any = None,
    config: Any = None,
    tools: Iterable[Mapping[str, Any] | Callable[..., Any]] | None = None,
    messages: Iterable[Message | Mapping[str, Any]] | None = None,
) -> Any:
    """Ask a named model of a configuration and return the SDK's ``ChatCompletionMessage``.

    ``usr_prompt`` is a text or any iterable of messages, which may also be given as ``messages``; ``config`` is what
    ``ModelManager`` takes, and may come before the prompt. ``tools`` are dicts, whose calls are the answer, or functions,
    which run until the model answers. Where a model takes no tools, it is asked once more without them.
    Raises ``OptionError`` (a ``TypeError``) for a missing or doubled prompt, ``ConfigError`` (a ``ValueError``)
    for the configuration and ``ProviderError``, with the SDK's error as its cause.

    >>> call_llm("small", "Hello", {"models": {"small": {"provider": "echo"}}}).content
    'Hello'
    """
    if _is_configuration(usr_prompt) and not _is_configuration(config):
        usr_prompt, config = config, usr_prompt
    if (usr_prompt is None) is (messages is None):
        raise OptionError("call_llm takes either usr_prompt or messages", option="messages")
    if config is None:
        raise OptionError("call_llm needs a config, such as {'models': {…}}", option="config")
    manager = ModelManager(config)
    chosen = manager.create_client(model)
    prompt: Any = messages if usr_prompt is None else usr_prompt
    params = list_tools({"tools": tools} if tools else {})
    own = None if chosen.pinned is None else chosen.own_transport(None, params)
    prepared = chosen.prepare(prompt, None, params, call=own)
    return vendor.message_object(prepared.answer().to_dict())


def _is_configuration(value: Any) -> bool:
    """Whether a value is one that ``ModelManager`` takes, and no prompt."""
    return isinstance(value, Mapping) or hasattr(value, "models")
