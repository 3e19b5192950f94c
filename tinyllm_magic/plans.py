"""Messages, a model's name and parameters in, a checked plan of one call out; nothing is sent here.

Knows which parameter wins, what a model refuses, and which endpoint a name means.
Does not know clients, sessions, retries under way or the notebook.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from . import settings
from .answers import Provider
from .cache import Mode
from .errors import MessageError, OptionError, near, suggest
from .messages import Message, Request, to_messages
from .models import Route
from .pacing import Pacer
from .providers import openai as vendor
from .relays import Policy
from .settings import Settings

SAMPLING = ("temperature", "max_tokens", "top_p", "frequency_penalty", "presence_penalty", "seed")
CONTROLS = ("timeout", "max_attempts", "waiting_time", "exponential_backoff_factor", "mode")


@dataclass(frozen=True)
class Plan:
    """A call that is ready to go: the request, and all that does not decide its answer."""

    request: Request
    route: Route
    mode: Mode
    policy: Policy
    timeout: float | None
    notes: tuple[str, ...] = ()
    transport: Callable[..., Any] | None = field(default=None, repr=False)
    pace: Pacer | None = field(default=None, repr=False, compare=False)
    """The gate of the pool that this call belongs to, if any."""
    stream: bool = True
    """Whether the answer is wanted in pieces; whole, it costs less of this machine's time."""
    defers: Callable[[], bool] = field(default=bool, repr=False, compare=False)
    """Whether the pool that this call belongs to writes its records down itself, many at a time."""
    store: Path | None = None
    """The file of recorded answers; ``None`` where nothing is recorded."""
    cap: int | None = None
    """How many calls may be under way at once (MAX_CONCURRENT_MODEL_CALLS)."""


@dataclass(frozen=True)
class Question:
    """What a cell asked, before the settings of a moment come in: its rendered messages, and what it says of its own.

    ``params`` win over every setting, as in the cell. ``combinations`` are the recorded ones of its grid, by
    parameter (and ``model``, where models are compared); ``samples`` is how many draws it asked for.
    """

    messages: tuple[Message, ...]
    model: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    mode: str | None = None
    sample: int = 0
    samples: int = 1
    combinations: tuple[Mapping[str, Any], ...] = ()


def make_plan(
    messages: Iterable[Message | Mapping[str, Any]] | str,
    route: Route,
    current: Settings,
    params: Mapping[str, Any],
    *,
    mode: Mode,
    store: Path | None = None,
    sample: int = 0,
    transport: Callable[..., Any] | None = None,
) -> Plan:
    """The plan of a chat call.

    ``params`` are this call's own parameters and controls (timeout, attempts), ``store`` the file of
    recorded answers. Raises ``MessageError``, ``OptionError`` or ``ConfigError`` (all ``ValueError``) for anything wrong.
    """
    own = check_shapes({k: v for k, v in params.items() if k not in CONTROLS})
    current = current.over({k: v for k, v in params.items() if k in CONTROLS and v is not None}, "the call")
    tools, response_format = own.pop("tools", None), own.pop("response_format", None)
    chosen = sampling(current, route)
    chosen.update({k: v for k, v in check_params(own, route).items() if v is not None})
    request, notes = build_request(to_messages(messages), route, chosen, tools=tools, response_format=response_format, sample=sample)
    if transport is not None:
        request = replace(request, provider=f"call:{getattr(transport, '__qualname__', type(transport).__name__)}")
    return planned(request, route, current, mode, store, notes=notes, transport=transport)


def with_messages(plan: Plan, messages: Iterable[Message]) -> Plan:
    """The same call with other messages."""
    return replace(plan, request=_with_key(replace(plan.request, messages=_with_system(tuple(messages), plan.route))))


def planned(request: Request, route: Route, current: Settings, mode: Mode, store: Path | None, **more: Any) -> Plan:
    """A request with all that the settings say of how it is sent."""
    cap = current.max_concurrent_model_calls
    return Plan(request, route, mode, policy(current, route), timeout(current, route), store=store, cap=cap, **more)


def build_request(
    messages: tuple[Message, ...],
    route: Route,
    params: Mapping[str, Any],
    *,
    tools: Iterable[Mapping[str, Any]] | None = None,
    response_format: Mapping[str, Any] | None = None,
    sample: int = 0,
) -> tuple[Request, tuple[str, ...]]:
    """The request as it will be sent, and notes on what was left out because the model refuses it."""
    sent: dict[str, Any] = {}
    notes: list[str] = []
    for name, value in params.items():
        if value is None:
            continue
        if name in route.facts.refuses:
            notes.append(f"{route.model} takes no {name}; it was left out")
            continue
        sent[route.facts.max_tokens_name if name in ("max_tokens", "max_completion_tokens") else name] = value
    limit = route.facts.default_max_tokens
    if limit is not None and not {"max_tokens", "max_completion_tokens"} & sent.keys():
        sent[route.facts.max_tokens_name] = limit
    said = _with_system(messages, route)
    request = Request(route.endpoint.provider, route.model, said, sent, tuple(tools or ()), response_format, sample)
    return _with_key(request), tuple(notes)


def _with_system(messages: tuple[Message, ...], route: Route) -> tuple[Message, ...]:
    """The messages after the system message that their model has by default, where they bring none."""
    system = route.defaults.get("system") or route.facts.system
    if not system or any(m.role in ("system", "developer") for m in messages):
        return messages
    return (Message("system", str(system)), *messages)


def _with_key(request: Request) -> Request:
    """The request, its key computed now: what JSON cannot hold is refused before anything is sent."""
    if not request.key:
        raise MessageError("the request has no key")
    return request


def embedding_plan(texts: Any, route: Route, current: Settings, *, mode: Mode, store: Path | None = None) -> Plan:
    """The plan of an embedding call for a list of texts."""
    texts = list(texts) if isinstance(texts, Iterable) else []
    if not texts or not all(t and isinstance(t, str) for t in texts):
        raise MessageError("embeddings are made of text: pass a text or a list of texts, none of them empty")
    request = Request(route.endpoint.provider, route.model, (), {"input": texts}, kind="embedding")
    return planned(request, route, current, mode, store)


def check_shapes(params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters, where what has a shape has it (tools as a new list); ``OptionError`` says what is wrong."""
    checked, stop = dict(params), params.get("stop")
    if params.get("tools") is not None:
        tools = params["tools"]
        checked["tools"] = list(tools) if isinstance(tools, Iterable) else [tools]
        if not all(isinstance(t, Mapping) for t in checked["tools"]):
            raise OptionError("tools takes a list of dicts such as {'type': 'function', 'function': {…}}", option="tools")
    if not isinstance(params.get("response_format") or {}, Mapping):
        raise OptionError("response_format takes a dict such as {'type': 'json_object'}", option="response_format")
    if stop is not None and not all(isinstance(s, str) for s in (stop if isinstance(stop, (list, tuple)) else [stop])):
        raise OptionError(f"stop takes a text or a list of texts, not {stop!r}", option="stop")
    return checked


def check_params(params: Mapping[str, Any], route: Route) -> dict[str, Any]:
    """Parameters with checked names and values; raises ``OptionError`` (also a ``TypeError``) for an unknown one."""
    known = vendor.PARAMETERS | route.facts.params | {"max_completion_tokens"}
    checked: dict[str, Any] = {}
    for name, value in params.items():
        if name not in known:
            raise OptionError(
                f"unknown parameter '{name}' for {route.model}",
                option=name,
                hint=suggest(near(name, known)) or f'Vendor-specific parameters go through extra_body={{"{name}": …}}.',
            )
        checked[name] = settings.parse(name, value, "the call")[1] if name in SAMPLING and value is not None else value
    return checked


def sampling(current: Settings, route: Route) -> dict[str, Any]:
    """Parameters that hold by default: a named model's own before those of files and environment."""
    chosen: dict[str, Any] = {}
    for name in SAMPLING:
        own, general = route.defaults.get(name), current.values.get(name)
        chosen_by_hand = current.origin(name) in ("session", "override", "cell")
        chosen[name] = general if chosen_by_hand or own is None else own
    return {**chosen, **{k: v for k, v in route.defaults.items() if k not in SAMPLING and k != "system"}}


def policy(current: Settings, route: Route) -> Policy:
    """How often to try: a named model's ``max_retries`` overrules MAX_ATTEMPTS unless the call names its own."""
    attempts = int(current.max_attempts)
    own = route.endpoint.max_retries
    if own is not None and current.origin("max_attempts") not in ("the call", "session", "override", "cell"):
        attempts = own + 1
    return Policy(attempts, float(current.waiting_time), float(current.exponential_backoff_factor))


def timeout(current: Settings, route: Route) -> float | None:
    """Seconds for one attempt as a whole: the call's own, a named model's, else TIMEOUT."""
    own = route.endpoint.timeout
    if own is not None and current.origin("timeout") not in ("the call", "session", "override", "cell"):
        return own
    return None if current.timeout is None else float(current.timeout)


def own_transport(plan: Plan) -> Provider | None:
    """The provider that asks the caller's own function, where ``call=`` gave one."""
    transport = plan.transport
    if transport is None:
        return None
    return vendor.OpenAIProvider(lambda _model, params: transport(**params), stream=False, timeout=plan.timeout)
