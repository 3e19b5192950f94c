"""A plan in, chunks and a response out: composes the record, the repetitions and a provider.

Knows the seeds' client classes and the order in which the wrappers stand.
Does not know templates, the notebook, or which session it serves: that is handed in.
"""

from __future__ import annotations

import copy
import functools
import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

from . import models
from .answers import Answer, Chunk, Provider, Response
from .cache import Recorded, Store
from .errors import OptionError, ProviderError
from .messages import Message, Request
from .models import Endpoint, Route
from .pacing import Paced
from .plans import Plan, embedding_plan, make_plan, own_transport
from .providers import openai as vendor
from .relays import Degraded, Estimated, Limited, Retried
from .settings import Settings

logger = logging.getLogger("tinyllm_magic")


@functools.cache
def version() -> str:
    """This package's version, as its installation tells it."""
    from importlib import metadata  # it costs more than loading the extension

    try:
        return metadata.version("tinyllm-magic")
    except metadata.PackageNotFoundError:
        return "not installed"


class Surroundings(Protocol):
    """What a client needs from its session at the time of a call."""

    unsupported: set[tuple[str, str, str]]
    """(provider, model, feature) that were refused once."""

    progress: Callable[[str, int, int], None] | None
    """Told about the download of weights: message, bytes done, bytes in all."""

    def settings(self) -> Settings:
        """The settings that hold now."""
        ...

    def store_path(self, current: Settings) -> Path:
        """The file of recorded answers."""
        ...

    def store_at(self, path: Path) -> Store:
        """The one store of this process for a file."""
        ...

    def mode(self, current: Settings) -> Any:
        """How the store is used."""
        ...

    def slot(self, cap: int | None) -> AbstractContextManager[Any]:
        """A place among the calls that may be under way at once."""
        ...

    def route(self, model: str | None, current: Settings) -> Route:
        """Which endpoint and model a name means."""
        ...

    def client_for(self, route: Route) -> OpenAIClient:
        """The client of an endpoint."""
        ...

    def admit(self, plan: Plan) -> float:
        """Reserve what the call can cost and return it; raise ``BudgetError`` where it would pass the budget."""
        ...

    def observe(self, plan: Plan, outcome: Response | BaseException, held: float) -> None:
        """Take note of how a call ended; ``held`` is what was reserved for it."""
        ...


_under_way: ContextVar[tuple[OpenAIClient, Endpoint] | None] = ContextVar("tinyllm_magic_endpoint", default=None)
"""The client that is sending in this context, and where to: many threads may share one client."""


class OpenAIClient:
    """A client of OpenAI or of any endpoint that speaks its chat API.

    ``cache_api_calls`` and ``cache_file_name`` overrule the session's recording for this
    client; ``route`` pins it to one endpoint and model. Subclasses may override ``_raw_model_call``
    (the transport) and ``_raw_model_response_extractor`` (what is read from its result)
    separately; retries, recording and display stay.
    """

    api_type = "openai"
    none_on_failure = False
    """The seeds' way, to be switched on by hand: ``send_message`` logs a failure and returns ``None``."""
    default_surroundings: ClassVar[Surroundings | None] = None
    """The session of this process, handed in by the room that keeps it."""

    def __init__(
        self,
        cache_api_calls: bool | None = None,
        cache_file_name: str | None = None,
        *,
        route: Route | None = None,
        surroundings: Surroundings | None = None,
    ) -> None:
        self.pinned = route
        self.surroundings = surroundings or self.default_surroundings
        self.routes_by_model = False
        """True for the session's own clients: a model's name may lead to another client."""
        self._cache_api_calls, self._cache_file_name = cache_api_calls, cache_file_name
        self._given: Any = None
        self._connected: dict[Endpoint, tuple[str, Any]] = {}
        self._connecting: list[Any] | None = None
        self._lock = threading.RLock()

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
        **params: Any,
    ) -> dict[str, Any]:
        """Send messages and return the answer as a message dict (``role``, ``content``, ``tool_calls`` …).

        ``timeout`` is in seconds and bounds one attempt as a whole, its stream included;
        ``waiting_time`` is in seconds too. ``call`` replaces the transport: it is called with
        the parameters of the SDK's ``create``. ``echo`` is accepted for the seeds' sake.
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
        named = {"temperature": temperature, "max_tokens": max_tokens, "top_p": top_p, "stop": stop or None}
        named |= {"frequency_penalty": frequency_penalty, "presence_penalty": presence_penalty}
        named |= {"timeout": timeout, "max_attempts": max_attempts, "waiting_time": waiting_time}
        named |= {"exponential_backoff_factor": exponential_backoff_factor, **params}
        client, plan = self.plan(current_messages, model, named, call=call, mode=mode, sample=sample)
        try:
            return client.answer(plan).to_dict()
        except ProviderError as error:
            if not self.none_on_failure:
                raise
            logger.error("no answer: %s", error)  # noqa: TRY400  # the message says it all, as in the seeds
            return None  # type: ignore[return-value]  # who switches the seeds' way on expects it

    def get_embedding(self, text: str | list[str], model: str | None = None) -> Any:
        """The embedding of a text (a list of floats), or of a list of texts (a list of such lists).

        ``model`` (default: EMBEDDING_MODEL) is a named model or an id of the vendor that answers
        now. Retried and recorded like any other call.
        """
        around = self._around()
        current = around.settings()
        asked = model or str(current.embedding_model)
        named = asked if asked in current.models else None
        client, route = self._routed(named, around, current)
        route = route if named else replace(route, model=asked)
        plan = embedding_plan([text] if isinstance(text, str) else text, route, current, **client.keeping(around, current, None))
        vectors = [list(v) for v in client.answer(plan).record.answer.embeddings]
        return vectors[0] if isinstance(text, str) else vectors

    def plan(
        self,
        messages: Iterable[Message | Mapping[str, Any]] | str,
        model: str | None,
        params: Mapping[str, Any],
        *,
        call: Callable[..., Any] | None = None,
        mode: str | None = None,
        sample: int = 0,
        current: Settings | None = None,
    ) -> tuple[OpenAIClient, Plan]:
        """The client that serves a model's name, and the plan of the call."""
        around = self._around()
        current = current or around.settings()
        client, route = self._routed(model, around, current)
        how = client.keeping(around, current, mode)
        return client, make_plan(messages, route, current, params, **how, sample=sample, transport=call)

    def stream(self, plan: Plan) -> Iterator[Chunk]:
        """The answer in pieces, recorded or live; the last piece carries the record."""
        around = self._around()
        last, held = Chunk(), [0.0]
        try:
            for last in self._composed(plan, around, held).send(plan.request):
                yield last
        except BaseException as error:
            around.observe(plan, error, sum(held))
            raise
        around.observe(plan, responded(plan, last), sum(held))

    def answer(self, plan: Plan) -> Response:
        """The whole answer, also asked for in one piece."""
        chunk = Chunk()
        for chunk in self.stream(replace(plan, stream=False) if plan.stream else plan):  # noqa: B007  # the last one counts
            pass
        return responded(plan, chunk)

    # -- what subclasses change ------------------------------------------------------------

    @property
    def endpoint(self) -> Endpoint:
        """Where the call under way goes, else where one would go now."""
        mine = _under_way.get()
        if mine is not None and mine[0] is self:
            return mine[1]
        around = self._around()
        return self._routed(None, around, around.settings())[1].endpoint

    @property
    def client(self) -> Any:
        """The SDK's client, built when it is first needed: the key is looked up here, not before."""
        if self._given is not None:
            return self._given
        endpoint = self.endpoint
        mark = vendor.key_mark(endpoint, os.environ)
        with self._lock:
            known = self._connected.get(endpoint)
            if known is None or known[0] != mark:
                known = self._connected[endpoint] = (mark, self._connect(endpoint))
            return known[1]

    @client.setter
    def client(self, value: Any) -> None:  # documented at the getter
        with self._lock:
            if self._connecting is None:
                self._given = value
            else:
                self._connecting.append(value)

    def _connect(self, endpoint: Endpoint) -> Any:
        """What ``_setup_from_config`` assigns to ``self.client`` for an endpoint."""
        self._connecting = []
        try:
            with self._towards(endpoint):
                self._setup_from_config()
            return self._connecting[-1] if self._connecting else None
        finally:
            self._connecting = None

    @contextmanager
    def _towards(self, endpoint: Endpoint) -> Iterator[None]:
        token = _under_way.set((self, endpoint))
        try:
            yield
        finally:
            _under_way.reset(token)

    def _setup_from_config(self) -> None:
        """Assign ``self.client``, the SDK's client for ``self.endpoint``."""
        self.client = vendor.connect(self.endpoint, environ=os.environ, timeout=None)

    def _raw_model_call(self, model: str, chat_api_params: dict[str, Any]) -> Any:
        """Send one request and return what the SDK returns; ``chat_api_params`` belongs to this attempt alone."""
        return self.client.chat.completions.create(**{**chat_api_params, "model": model})

    def _raw_model_response_extractor(self, response: Any) -> dict[str, Any]:
        """The message in a complete response of ``_raw_model_call``, as a dict."""
        message: dict[str, Any] = response.choices[0].message.to_dict()
        return message

    def _raw_embedding_model_call(self, texts: list[str], model: str) -> Any:
        """Send one embedding request."""
        return self.client.embeddings.create(input=texts, model=model)

    def provider(self, plan: Plan) -> Provider:
        """The innermost provider of a plan."""
        call, extract = self._raw_model_call, self._raw_model_response_extractor
        extracts = getattr(extract, "__func__", None) is not OpenAIClient._raw_model_response_extractor
        if not plan.stream and not extracts and getattr(call, "__func__", None) is OpenAIClient._raw_model_call:
            call = partial(vendor.whole, lambda: self.client)

        def towards(send: Callable[..., Any], *args: Any) -> Any:
            with self._towards(plan.route.endpoint):
                return send(*args)

        return vendor.OpenAIProvider(
            partial(towards, call),
            extract if extracts else None,
            stream=plan.stream and not extracts,
            embed=partial(towards, self._raw_embedding_model_call),
            timeout=plan.timeout,
        )

    # -- recording -------------------------------------------------------------------------

    @property
    def cache_api_calls(self) -> bool:
        """Whether this client records and replays."""
        around = self._around()
        return str(self.recording(around, around.settings(), None)) != "off"

    def set_api_cache(self, cache_api_calls: bool, cache_file_name: str | None = None) -> None:
        """Turn this client's recording on or off; a path given here wins over every setting."""
        self._cache_api_calls = cache_api_calls
        self._cache_file_name = cache_file_name or self._cache_file_name

    def pinned_to(self, route: Route, *, routes_by_model: bool) -> Self:
        """A twin of this client that serves one endpoint and model by default; they share their connections."""
        twin = copy.copy(self)
        twin.pinned, twin.routes_by_model = route, routes_by_model
        return twin

    # -- inside ----------------------------------------------------------------------------

    def _around(self) -> Surroundings:
        if self.surroundings is None:
            raise OptionError(
                f"this {type(self).__name__} belongs to no session",
                hint="Hand it to register_client(name, client), or call its parent's __init__.",
            )
        return self.surroundings

    def recording(self, around: Surroundings, current: Settings, asked: str | None) -> Any:
        """The recording mode of a call: what it asks for, this client's own choice, else the session's."""
        if asked is not None:
            return around.mode(current.over({"mode": asked}, "the call"))
        if self._cache_api_calls is not None and current.origin("mode") != "override":
            current = current.over({"cache_api_calls": self._cache_api_calls}, "the client")
        return around.mode(current)

    def keeping(self, around: Surroundings, current: Settings, asked: str | None) -> dict[str, Any]:
        """The mode of a call and its store, which is not looked for where nothing is recorded."""
        mode, own = self.recording(around, current, asked), self._cache_file_name
        chosen = current if own is None else current.over({"cache_file_name": own}, "the client")
        return {"mode": mode, "store": None if str(mode) == "off" else around.store_path(chosen)}

    def _routed(self, model: str | None, around: Surroundings, current: Settings) -> tuple[OpenAIClient, Route]:
        """The client and route of a model's name: the session's clients send elsewhere what belongs elsewhere."""
        if self.pinned is not None and (model is None or not self.routes_by_model):
            return self, self.pinned if model is None else self.pinned.for_model(model)
        if self.routes_by_model:
            route = around.route(model, current)
            return around.client_for(route), route
        route = around.route(model, current.over({"api_type": self.api_type}, "client"))
        return (self if route.endpoint.api_type == self.api_type else around.client_for(route)), route

    def _composed(self, plan: Plan, around: Surroundings, held: list[float]) -> Recorded:
        def live() -> Provider:
            held.append(around.admit(plan))
            inner: Provider = Limited(own_transport(plan) or self.provider(plan), partial(around.slot, plan.cap))
            inner = inner if plan.pace is None else Paced(inner, plan.pace, plan.policy)
            counted = Estimated(Degraded(inner, around.unsupported), models.estimate_usage)
            return Retried(counted, plan.policy)

        def price(request: Request, answer: Answer) -> float | None:
            if answer.usage is None:
                return None
            return models.price(request.model, answer.usage, vendor=plan.route.endpoint.api_type)

        store = None if plan.store is None else around.store_at(plan.store)
        return Recorded(live, store, plan.mode, price=price, version=version(), defers=plan.defers)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.pinned.endpoint.provider if self.pinned else self.api_type})"


def responded(plan: Plan, last: Chunk) -> Response:
    """The response of a plan, from the last piece of its answer."""
    if last.record is None:
        raise RuntimeError("the recording provider ended without a record")
    return Response(plan.request, last.record, last.source)
