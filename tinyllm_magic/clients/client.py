"""The clients by API type (``CLIENTS``): ``OpenAIClient`` for all that speaks its chat API, Azure, the embedded model, the echo."""

from __future__ import annotations

import copy
import logging
import textwrap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Self

from ..errors import AuthError, OptionError, ProviderError, UnsupportedError
from ..messages import Message, to_messages
from ..models.endpoints import Endpoint
from ..models.routing import Route
from ..models.tokenizers import TokenCount
from ..models.vendors import vendors
from ..providers import openai, responses
from ..providers import openai_client as vendor
from ..providers.echo import EchoProvider
from ..responses import Provider
from ..schemas.schema import Schema
from .connection import SeedsConnection
from .missing_keys import explain_missing_key
from .own_send_message import OwnSendMessage, inner_of
from .plans import Plan
from .prepared import PreparedCall
from .retries import repeat
from .sessions import Session
from .sessions import session as process_session
from .unreachable import explain_unreachable

if TYPE_CHECKING:
    from ..providers.batch_service import BatchService

logger = logging.getLogger("tinyllm_magic")
_NOTHING: Mapping[str, Any] = MappingProxyType({})
_HOOKS = ("_raw_model_call", "_raw_model_response_extractor", "_raw_responses_call", "provider", "send_message")
"""What a subclass may change of how a call is made; a batch is made without them."""
_LONGEST_READ = 120.0  # seconds for one read or write of a batch's files, where TIMEOUT is not longer


def _dedent(message: Message) -> Message:
    """The message without the indentation that all lines of its text have in common."""
    return replace(message, content=textwrap.dedent(message.content)) if isinstance(message.content, str) else message


class OpenAIClient(SeedsConnection):
    """A client of OpenAI or of any endpoint that speaks its chat API.

    ``cache_api_calls`` and ``cache_file_name`` overrule the session's recording for this
    client; ``route`` pins it to one endpoint and model. Subclasses may override ``_raw_model_call``
    (the transport) and ``_raw_model_response_extractor`` (what is read from its result)
    separately; retries, recording and display stay. They may also override ``send_message``, which then
    answers calls, cells and maps in one piece.
    """

    api_type = "openai"
    none_on_failure = False
    """The seeds' way, to be switched on by hand: ``send_message`` logs a failure and returns ``None``."""
    pinned: Route | None = None
    routes_by_model = False
    """True for the session's own clients: a model's name may lead to another client."""
    session: Session = process_session
    own_recording: bool | None = None
    own_store: str | None = None

    def __init__(
        self,
        cache_api_calls: bool | None = None,
        cache_file_name: str | None = None,
        *,
        route: Route | None = None,
        session: Session = process_session,
    ) -> None:
        self.pinned, self.session = route, session
        self._refused: dict[tuple[str, str], set[str]] = {}
        self.set_api_cache(cache_api_calls, cache_file_name)

    def __init_subclass__(cls, **options: Any) -> None:
        """What a subclass assigns in its body is its own choice, as an assignment to ``self`` is."""
        super().__init_subclass__(**options)
        for name, own in (("cache_api_calls", "own_recording"), ("cache_file_name", "own_store")):
            if name in vars(cls) and not isinstance(vars(cls)[name], property):
                setattr(cls, own, vars(cls)[name])
                delattr(cls, name)

    # -- the public calls ------------------------------------------------------------------

    def send_message(
        self,
        current_messages: Iterable[Message | Mapping[str, Any]] | str,
        model: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        top_p: float | None = None,
        frequency_penalty: float | None = None,
        presence_penalty: float | None = None,
        stop: str | list[str] | None = None,
        timeout: float | None = None,
        max_attempts: int | None = None,
        waiting_time: float | None = None,
        exponential_backoff_factor: float | None = None,
        n: int = 1,
        echo: bool = False,
        *,
        call: Callable[..., Any] | None = None,
        mode: str | None = None,
        sample: int = 0,
        dedent_messages: bool = False,
        enable_pydantic_model_return: bool = False,
        stream: bool = False,
        **params: Any,
    ) -> Any:
        """Send messages and return the answer as a message dict (``role``, ``content``, ``tool_calls`` …).

        ``timeout`` is in seconds and bounds one attempt as a whole, its stream included;
        ``waiting_time`` is in seconds too. ``call`` replaces the transport: it is called with
        the parameters of the SDK's ``create``. ``dedent_messages`` takes the common indentation out of each
        message; with ``enable_pydantic_model_return`` the answer is an instance of the pydantic class that is its
        ``response_format`` (which also takes a dict). ``tools`` are dicts, whose calls are in the answer, or functions, which
        run until the model answers (``max_steps`` requests at most; ``approve=True`` asks you before each). ``echo`` is
        accepted for the seeds' sake.
        Raises ``ProviderError`` where there is no answer, ``OptionError`` (also ``TypeError``
        and ``ValueError``) and ``MessageError`` for wrong input, before anything is sent.

        >>> from tinyllm_magic import client, force_api_type
        >>> with force_api_type("echo"):
        ...     client().send_message([{"role": "user", "content": "Hello"}])
        {'role': 'assistant', 'content': 'Hello'}
        """
        del echo
        if n != 1:
            raise OptionError(f"n={n}: one call returns one answer", option="n", hint="Draw several with sample=0, 1, … or `%%llm -n`.")
        if stream:
            hint = "Leave it out; `%%llm` shows answers as they arrive, and `LLMCall(…).prepare().stream()` yields the pieces."
            raise OptionError("send_message returns the whole answer; it takes no stream=True", option="stream", hint=hint)
        schema = Schema.of(params["response_format"]) if enable_pydantic_model_return and params.get("response_format") else None
        if enable_pydantic_model_return and schema is None:
            raise OptionError("enable_pydantic_model_return needs a response_format to return", option="enable_pydantic_model_return")
        named = {"temperature": temperature, "max_tokens": max_tokens, "top_p": top_p, "stop": stop or None}
        named |= {"frequency_penalty": frequency_penalty, "presence_penalty": presence_penalty}
        named |= {"timeout": timeout, "max_attempts": max_attempts, "waiting_time": waiting_time}
        named |= {"exponential_backoff_factor": exponential_backoff_factor, **params}
        messages = to_messages(current_messages)
        messages = tuple(map(_dedent, messages)) if dedent_messages else messages
        inner = inner_of(self)
        prepared = self.prepare(messages, model, named, call=call, mode=mode if inner is None else "off", sample=sample)
        try:
            response = (prepared if inner is None else prepared.as_part()).answer()
            if inner is not None:
                inner.responses.append(response)
            return response.to_dict() if schema is None else schema.read(response).parsed
        except ProviderError as error:
            error.retryable = error.retryable and inner is None  # all attempts of the call under way were made here
            if not self.none_on_failure:
                raise
            logger.error("no answer: %s", error)  # noqa: TRY400  # the message says it all, as in the seeds
            return None  # who switches the seeds' way on expects it

    def get_embedding(self, text: str | list[str], model: str | None = None) -> Any:
        """The embedding of a text (a list of floats), or of a list of texts (a list of such lists).

        ``model`` (default: EMBEDDING_MODEL) is a named model or an id of the vendor that answers
        now. Retried and recorded like any other call.
        """
        texts = [text] if isinstance(text, str) else text
        response = self.session.prepare_embedding(texts, model, client=self).answer()
        vectors = [list(v) for v in response.record.answer.embeddings]
        return vectors[0] if isinstance(text, str) else vectors

    def prepare(
        self,
        messages: Iterable[Message | Mapping[str, Any]] | str,
        model: str | None = None,
        params: Mapping[str, Any] = _NOTHING,
        **how: Any,
    ) -> PreparedCall:
        """A call through this client that is ready to be made; ``how`` as in ``Session.prepare``."""
        return self.session.prepare(messages, model, params, client=self, **how)

    # -- what subclasses change ------------------------------------------------------------

    def _count_tokens(self, messages: Iterable[Message | Mapping[str, Any]], model: str | None = None) -> TokenCount:
        """Tokens of messages with their overhead, for a model (default: the session's)."""
        return self.session.count(messages, model)

    def default_endpoint(self) -> Endpoint:
        """Where a call would go now."""
        return self.session.resolve(self, None, self.session.settings())[1].endpoint

    def _raw_model_call(self, model: str, chat_api_params: dict[str, Any]) -> Any:
        """Send one request and return what the SDK returns; ``chat_api_params`` belongs to this attempt alone."""
        return self.client.chat.completions.create(**{**chat_api_params, "model": model})

    def _raw_model_response_extractor(self, response: Any) -> dict[str, Any]:
        """The message in a complete response of ``_raw_model_call``, as a dict."""
        message: dict[str, Any] = response.choices[0].message.to_dict()
        return message

    def _raw_responses_call(self, model: str, params: dict[str, Any]) -> Any:
        """Send one request to the Responses API and return what the SDK returns."""
        return self.client.responses.create(**{**params, "model": model})

    def _raw_embedding_model_call(self, texts: list[str], model: str) -> Any:
        """Send one embedding request."""
        return self.client.embeddings.create(input=texts, model=model)

    @property
    def takes_responses(self) -> bool:
        """Whether calls may be asked through the Responses API: subclasses, and an SDK client that was handed in, stay with chat."""
        return type(self) is OpenAIClient and self._given is None

    def own_transport(self, model: str | None, params: Mapping[str, Any]) -> Callable[..., Any] | None:
        """What answers in place of ``provider``: this client's own ``send_message``, where its class overrides ours."""
        overridden = getattr(self.send_message, "__func__", None) is not OpenAIClient.send_message
        return OwnSendMessage(self, model, params) if overridden else None

    def provider(self, plan: Plan) -> Provider:
        """The innermost provider of a plan."""
        call, extract = self._raw_model_call, self._raw_model_response_extractor
        extracts = getattr(extract, "__func__", None) is not OpenAIClient._raw_model_response_extractor
        if not extracts and getattr(call, "__func__", None) is _RAW_MODEL_CALL:
            through_sdk = call if plan.stream else partial(vendor.create_in_one_piece, lambda: self.client)
            call = through_sdk if plan.uses_sdk or not self._is_plain else partial(self._create, through_sdk)

        towards = partial(self._send_towards, plan.route)
        if plan.request.kind == "responses":
            return responses.ResponsesProvider(
                partial(towards, self._raw_responses_call),
                stream=plan.stream,
                timeout=plan.timeout,
                max_answer_bytes=plan.max_answer_bytes,
                refuses=plan.route.facts.refuses,
                learnt=self._learnt_of(plan),
            )
        return openai.OpenAIProvider(
            partial(towards, call),
            extract if extracts else None,
            stream=plan.stream and not extracts,
            embed=partial(towards, self._raw_embedding_model_call),
            timeout=plan.timeout,
            max_answer_bytes=plan.max_answer_bytes,
            refuses=plan.route.facts.refuses,
        )

    def _send_towards(self, route: Route, send: Callable[..., Any], *args: Any) -> Any:
        """What a function returns that sends to a route's endpoint; a missing key, or a server that is not there, is told in our words."""
        try:
            with self._towards(route.endpoint):
                return send(*args)
        except AuthError as error:
            if error.variable is None:
                raise
            raise explain_missing_key(error, route, self.session.settings().models) from None
        except Exception as error:
            if not route.endpoint.known_vendor.local:
                raise
            raise explain_unreachable(error, route.endpoint) from error

    def _learnt_of(self, plan: Plan) -> set[str]:
        """What a plan's model was found to refuse of the extras of the Responses API."""
        return self._refused.setdefault((plan.request.provider, plan.request.model), set())

    def batch_service(self, plan: Plan) -> BatchService:
        """The batch service of a plan's vendor; raises ``UnsupportedError`` where there is none, or a batch would pass this client by."""
        endpoint = plan.route.endpoint
        if endpoint.is_in_process:
            raise _refuse_batch(f"{plan.route.model} answers on this machine, where there is no batch service")
        own = {name for name in _HOOKS if getattr(type(self), name) is not getattr(OpenAIClient, name)}
        if own or plan.transport is not None:
            raise _refuse_batch(f"a batch would go past {', '.join(sorted(own)) or 'the function'} of {type(self).__name__}")
        if endpoint.vendor is not None and not endpoint.known_vendor.batches:
            raise _refuse_batch(f"{endpoint.known_vendor.title} has no batch service that is asked as OpenAI's")
        from ..providers.batch_service import BatchService  # no cell needs it

        return BatchService(
            lambda send: self._send_towards(plan.route, lambda: send(self.client)),
            partial(repeat, plan.policy),
            seconds=max(plan.timeout or 0.0, _LONGEST_READ),
            is_azure=endpoint.api_type == "azure",
            learnt=self._learnt_of(plan),
        )

    @property
    def _is_plain(self) -> bool:
        """Whether this is one of the session's own clients as they are: others may rely on the SDK."""
        plain = type(self) in (OpenAIClient, AzureClient) and self.routes_by_model
        return plain and getattr(self._setup_from_config, "__func__", None) is _SETUP

    def _create(self, through_sdk: Callable[..., Any], model: str, params: dict[str, Any]) -> Any:
        """Ask over the thin transport, where it leads to the endpoint and can send these parameters."""
        transport = self._find_transport()
        if transport is None or not transport.takes(model, params):
            return through_sdk(model, params)
        return transport.create(model, params)

    # -- recording -------------------------------------------------------------------------

    @property
    def cache_api_calls(self) -> bool:
        """Whether this client records and replays; assign it to overrule the session."""
        return str(self.session.mode_of(self, self.session.settings(), None)) != "off"

    @cache_api_calls.setter
    def cache_api_calls(self, value: bool | None) -> None:
        self.own_recording = value

    @property
    def cache_file_name(self) -> str:
        """The file of this client's recorded answers; assign it to overrule the session."""
        return str(self.session.store_path_of(self, self.session.settings()))

    @cache_file_name.setter
    def cache_file_name(self, value: str | None) -> None:
        self.own_store = value

    def set_api_cache(self, cache_api_calls: bool | None, cache_file_name: str | None = None) -> None:
        """Turn this client's recording on or off; a path given here wins over every setting. ``None`` leaves things as they are."""
        self.own_recording = self.own_recording if cache_api_calls is None else cache_api_calls
        self.own_store = cache_file_name or self.own_store

    def pin(self, route: Route, *, routes_by_model: bool) -> Self:
        """A twin of this client that serves one endpoint and model by default; they share their connections."""
        twin = copy.copy(self)
        twin.pinned, twin.routes_by_model = route, routes_by_model
        return twin

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.pinned.endpoint.provider if self.pinned else self.api_type})"


def _refuse_batch(why: str) -> UnsupportedError:
    services = ", ".join(v.title for v in vendors().values() if v.batches)
    hint = f"Without --batch the same rows are asked live. Batch services: {services}, and gateways that have one."
    return UnsupportedError(f"{why}; nothing was sent", feature="batch", hint=hint)


# the two as they are here, whoever replaces them
_RAW_MODEL_CALL, _SETUP = vars(OpenAIClient)["_raw_model_call"], vars(SeedsConnection)["_setup_from_config"]


class AzureClient(OpenAIClient):
    """A client of Azure OpenAI: endpoint, key and API version from the environment; the model is the deployment."""

    api_type = "azure"


class LocalClient(OpenAIClient):
    """The client of the embedded model, or of any GGUF file."""

    api_type = "local"
    progress: ClassVar[Callable[[str, int, int], None] | None] = None
    """What is told how far a download has come: of what, bytes so far, bytes in all."""

    def provider(self, plan: Plan) -> Provider:
        """The engine that runs in this process."""
        from ..providers.llamacpp import LocalProvider

        endpoint, limit = plan.route.endpoint, plan.max_answer_bytes
        return LocalProvider(endpoint.path, timeout=plan.timeout, max_answer_bytes=limit, progress=LocalClient.progress)


class EchoClient(OpenAIClient):
    """The client of the echo provider, which a script may drive."""

    api_type = "echo"

    def __init__(self, *args: Any, script: Iterable[Any] = (), **options: Any) -> None:
        super().__init__(*args, **options)
        self.echo = EchoProvider(script)

    def provider(self, plan: Plan) -> Provider:  # noqa: ARG002  # the same for every plan
        """The echo, or its script."""
        return self.echo


CLIENTS: Mapping[str, type[OpenAIClient]] = {c.api_type: c for c in (OpenAIClient, AzureClient, LocalClient, EchoClient)}
"""The built-in client classes by API type."""
