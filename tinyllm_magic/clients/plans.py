"""Builds the plan of one call: the checked request, and how it is sent. Nothing is sent here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..attachments.parts import fit_messages
from ..errors import MessageError, OptionError, near, suggest
from ..json_text import plain_value
from ..messages import Message, Request, to_messages
from ..models import catalog
from ..models.catalog import Facts
from ..models.efforts import EFFORTS
from ..models.routing import Route
from ..providers import chat_format as vendor
from ..providers import openai, responses_request
from ..providers.deadline import MAX_ANSWER_BYTES
from ..providers.network import check_headers
from ..recording import misses
from ..recording.modes import Mode
from ..redaction import guard_values
from ..responses import Provider, Step
from ..schemas.schema import Schema
from ..settings import definitions
from ..settings.definitions import SAMPLING
from ..settings.layers import Settings
from ..settings.origins import Origin, Source, Sourced
from ..settings.retry_policy import RetryPolicy
from ..tools.functions import Tool
from ..web_page import runs_in_page

CONTROLS = ("timeout", "max_attempts", "waiting_time", "exponential_backoff_factor", "max_answer_bytes", "mode")
_LIMITS = frozenset(responses_request.LIMITS)
"""Names of one parameter; which of them is sent is a fact of the model."""
TYPING = ("schema", "tries")
"""What a call says of the answer that it wants, and what is sent as its response format."""
TOOLING = ("max_steps", "approve")
"""What a call says of how its tools are run."""
EFFORT = "effort"
"""How much a call wants its model to think: as ``reasoning_effort``, but refused where the model does not reason."""
_NOT_SENT = frozenset((*CONTROLS, *TYPING, *TOOLING, EFFORT))
MAX_STEPS = 8


@dataclass(frozen=True)
class Plan:
    """A call that is ready to go: the request, and all that does not decide its answer."""

    request: Request
    route: Route
    mode: Mode
    policy: RetryPolicy
    timeout: float | None
    notes: tuple[str, ...] = ()
    transport: Callable[..., Any] | None = field(default=None, repr=False)
    stream: bool = True
    """Whether the answer is wanted in pieces; whole, it costs less of this machine's time."""
    store: Path | None = None
    """The file of recorded answers; ``None`` where nothing is recorded."""
    uses_sdk: bool = False
    """Whether the call goes through the SDK in any case (TRANSPORT)."""
    cap: int | None = None
    """How many calls may be under way at once (MAX_CONCURRENT_MODEL_CALLS)."""
    max_answer_bytes: int = MAX_ANSWER_BYTES
    """How many bytes of an answer are read at most."""
    schema: Schema | None = None
    """What the answer has to be."""
    tries: int = 1
    """How many answers are asked for, this one included, until one fits the schema."""
    steps: tuple[Step, ...] = ()
    """The answers before this one: those that did not fit, and those that called tools."""
    tools: Mapping[str, Tool] = field(default_factory=dict)
    """The functions that the model may call, by name."""
    max_steps: int = MAX_STEPS
    """How many requests are made at most until an answer calls no tool."""
    approve: bool = False
    """Whether the user is asked before a tool runs."""
    elsewhere: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The parameters as another address takes them, by the kind of request; empty: as they are here. Answers may be recorded there."""
    mode_origin: Origin = Origin.PACKAGED
    """Who chose the mode: the advice of a miss depends on it."""


_ADVICE = {
    Origin.CALL: misses.CALL,
    Origin.OVERRIDE: misses.OVERRIDE,
    Origin.USER_FILE: misses.FILE,
    Origin.FOLDER_FILE: misses.FILE,
}


def choose_advice(mode_origin: Origin, current: Settings) -> str:
    """What to do about a miss of a strict replay: it depends on who asked for the replay."""
    if runs_in_page():
        return misses.PAGE
    if current.replay_forced:
        return misses.ENVIRONMENT_AND_CALL if mode_origin is Origin.CALL else misses.ENVIRONMENT
    return _ADVICE.get(mode_origin, misses.SESSION)


def make_plan(
    messages: Iterable[Message | Mapping[str, Any]] | str,
    route: Route,
    current: Settings,
    params: Mapping[str, Any],
    *,
    mode: Mode,
    mode_origin: Origin = Origin.PACKAGED,
    store: Path | None = None,
    sample: int = 0,
    transport: Callable[..., Any] | None = None,
    responses: bool = False,
) -> Plan:
    """The plan of a call, asked through chat, or where ``responses`` allows it as its route says.

    ``params`` are this call's own parameters and controls (timeout, attempts), ``store`` the file of
    recorded answers. Raises ``MessageError``, ``OptionError`` or ``ConfigError`` (all ``ValueError``) for anything wrong.
    """
    schema, tries = read_schema(params)
    runs = read_tools(params)
    own = {**check_shapes({k: v for k, v in params.items() if k not in _NOT_SENT}), **read_effort(params, route)}
    kind = route.api if responses and transport is None else "chat"
    current = current.over({k: v for k, v in params.items() if k in CONTROLS and v is not None}, Origin.CALL)
    tools, response_format = own.pop("tools", None), own.pop("response_format", None)
    response_format = response_format if schema is None else schema.response_format
    chosen = sampling(current, route)
    named = {k: v for k, v in check_params(own, route, kind).items() if v is not None}
    if _LIMITS & named.keys() - {"max_tokens"}:  # the same limit by another name
        del chosen["max_tokens"]
    chosen |= named
    check_headers(chosen.get("extra_headers") or {})
    for where in ("extra_headers", "extra_query"):
        guard_values(where, chosen.get(where) or {})
    request, notes = build_request(
        to_messages(messages), route, chosen, tools=tools, response_format=response_format, sample=sample, kind=kind
    )
    if transport is not None:
        request = replace(request, provider=f"call:{getattr(transport, '__qualname__', type(transport).__name__)}")
    elsewhere = _fit_elsewhere(chosen, route, kind) if responses else _fit_chat_elsewhere(chosen, route)
    typed = {"schema": schema, "tries": tries, "elsewhere": elsewhere}
    return build_plan(request, route, current, mode, store, mode_origin=mode_origin, notes=notes, transport=transport, **typed, **runs)


def spell_params(params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a call as a transport takes them: what is asked of the answer is its response format, tools are dicts."""
    schema, _ = read_schema(params)
    form = {} if schema is None else {"response_format": schema.response_format}
    tools = {} if params.get("tools") is None else {"tools": [t.to_dict() if isinstance(t, Tool) else t for t in params["tools"]]}
    effort = {} if params.get(EFFORT) is None else {"reasoning_effort": params[EFFORT]}
    return {**{k: v for k, v in params.items() if k not in (*TYPING, *TOOLING, EFFORT)}, **form, **tools, **effort}


def read_effort(params: Mapping[str, Any], route: Route) -> dict[str, Any]:
    """How much the model is to think, as its parameter; raises ``OptionError`` where it does not reason, or would not hear of it."""
    effort = params.get(EFFORT)
    if effort is None:
        return {}
    if effort not in EFFORTS:
        hint = f'`-p reasoning_effort="{effort}"` sends what a vendor has beyond these.'
        raise OptionError(f"effort={effort!r} is none of {', '.join(EFFORTS)}", option=EFFORT, hint=hint)
    if "reasoning_effort" in route.facts.refuses:
        raise OptionError(f"{route.model} takes no effort: it does not reason, or not as much as it is told", option=EFFORT)
    if params.get("reasoning_effort") is not None:
        raise OptionError("effort and reasoning_effort say the same thing: give one of them", option=EFFORT)
    return {"reasoning_effort": effort}


def read_schema(params: Mapping[str, Any]) -> tuple[Schema | None, int]:
    """What an answer has to be, and how often it is asked for until it is; raises ``OptionError``."""
    given, tries = params.get("schema"), params.get("tries")
    if tries is not None and (not isinstance(tries, int) or tries < 1):
        raise OptionError(f"tries={tries!r} is not a whole number above 0", option="tries")
    if given is None:
        if tries is not None and tries > 1:
            raise OptionError("tries goes with schema: without one every answer fits", option="tries")
        return None, 1
    if params.get("response_format") is not None:
        raise OptionError("schema and response_format say the same thing: give one of them", option="schema")
    return Schema.of(given), tries or 1


def list_tools(params: Mapping[str, Any]) -> Mapping[str, Any]:
    """The parameters with their tools as a list, functions among them read: what they came in can be read but once."""
    given = params.get("tools")
    if given is None:
        return params
    listed = list(given) if isinstance(given, Iterable) else [given]
    return {**params, "tools": [Tool.of(tool) if callable(tool) else tool for tool in listed]}


def read_tools(params: Mapping[str, Any]) -> dict[str, Any]:
    """The functions among a call's listed tools by name, and how they are run; raises ``OptionError``."""
    tools = [tool for tool in params.get("tools") or () if isinstance(tool, Tool)]
    names = [tool.name for tool in tools]
    if len(set(names)) < len(names):
        raise OptionError(f"tools need different names: {', '.join(names)}", option="tools")
    steps, approve = params.get("max_steps"), params.get("approve")
    if steps is not None and (not isinstance(steps, int) or isinstance(steps, bool) or steps < 1):
        raise OptionError(f"max_steps={steps!r} is not a whole number above 0", option="max_steps")
    for name, value in (("max_steps", steps), ("approve", approve)):
        if value and not tools:
            raise OptionError(f"{name} goes with tools: without functions to call nothing runs", option=name)
    return {"tools": dict(zip(names, tools, strict=True)), "max_steps": steps or MAX_STEPS, "approve": bool(approve)}


def ask_instead(plan: Plan, messages: Iterable[Message]) -> Request:
    """The request of a plan with other messages, as its model takes them."""
    said, _ = _fit_messages(tuple(messages), plan.route, plan.request.kind)
    return _with_key(plan.request.with_messages(said))


def build_plan(request: Request, route: Route, current: Settings, mode: Mode, store: Path | None, **more: Any) -> Plan:
    """A request with all that the settings say of how it is sent."""
    return Plan(
        request,
        route,
        mode,
        retry_policy(current, route),
        attempt_timeout(current, route),
        store=store,
        uses_sdk=current.transport == "sdk",
        cap=current.max_concurrent_model_calls,
        max_answer_bytes=current.max_answer_bytes,
        **more,
    )


def build_request(
    messages: tuple[Message, ...],
    route: Route,
    params: Mapping[str, Any],
    *,
    tools: Iterable[Mapping[str, Any]] | None = None,
    response_format: Mapping[str, Any] | None = None,
    sample: int = 0,
    kind: str = "chat",
) -> tuple[Request, tuple[str, ...]]:
    """The request as it will be sent, and notes on what was left out because the model, or the API of this kind, refuses it."""
    sent, refused = _fit_params(params, route.facts, kind)
    notes = [f"{route.model} takes no {name}; it was left out" for name in refused]
    said, about_files = _fit_messages(messages, route, kind)
    request = Request(route.endpoint.provider, route.model, said, sent, tuple(tools or ()), response_format, sample, kind)
    return _with_key(request), (*notes, *about_files)


def _fit_params(params: Mapping[str, Any], known: Facts, kind: str = "chat") -> tuple[dict[str, Any], list[str]]:
    """The parameters as a model with these facts takes them, and the names of those that it, or the API, refuses."""
    sent: dict[str, Any] = {}
    refused: list[str] = []
    for name, value in params.items():
        if value is None:
            continue
        if name in known.refuses or (kind == "responses" and name in responses_request.NOT_TAKEN):
            refused.append(name)
            continue
        sent[known.max_tokens_name if name in _LIMITS else known.renames.get(name, name)] = value
    limit = known.default_max_tokens
    if limit is not None and not _LIMITS & sent.keys():
        sent[known.max_tokens_name] = limit
    return sent, refused


def _fit_chat_elsewhere(params: Mapping[str, Any], route: Route) -> dict[str, Mapping[str, Any]]:
    """The parameters as chat takes them at another address, where a vendor's own takes others."""
    if route.endpoint.vendor is None or route.name is not None:
        return {}
    return {"chat": _fit_params(params, catalog.facts(route.model))[0]}


def _fit_elsewhere(params: Mapping[str, Any], route: Route, kind: str) -> dict[str, Mapping[str, Any]]:
    """The same for each API through which the same call may be asked elsewhere: a gateway through chat, OpenAI itself as it likes."""
    known = catalog.facts(route.model, whose="openai")
    others = _fit_chat_elsewhere(params, route)
    if route.name is not None or route.endpoint.vendor not in (None, "openai") or "responses" not in (kind, known.api):
        return others
    return {api: _fit_params(params, known, api)[0] for api in catalog.APIS}


def _fit_messages(messages: tuple[Message, ...], route: Route, kind: str) -> tuple[tuple[Message, ...], tuple[str, ...]]:
    """The messages as their model takes them, with its default system message, and notes about files."""
    facts = route.facts
    if any(m.output_items or m.reasoning_content is not None for m in messages):
        messages = tuple([_fit_reasoning(m, facts, kind) for m in messages])
    fitted, notes = fit_messages(messages, route.model, longest_side=facts.image_side, pdf=facts.pdf)
    return _with_known_roles(_with_system(fitted, route), route), notes


def _fit_reasoning(message: Message, known: Facts, kind: str) -> Message:
    """The message without what another vendor, or its other API, wanted back of its reasoning."""
    if message.output_items and kind != "responses":
        message = replace(message, output_items=())
    if message.reasoning_content is not None and not known.returns_reasoning:
        message = replace(message, reasoning_content=None)
    return message


def _with_system(messages: tuple[Message, ...], route: Route) -> tuple[Message, ...]:
    """The messages after the system message that their model has by default, where they bring none."""
    system = route.defaults.get("system") or route.facts.system
    if not system or any(m.is_system for m in messages):
        return messages
    return (Message("system", str(system)), *messages)


def _with_known_roles(messages: tuple[Message, ...], route: Route) -> tuple[Message, ...]:
    """The messages, a developer's as the system's where the vendor knows no developer."""
    if route.facts.developer_role:
        return messages
    return tuple(replace(m, role="system") if m.role == "developer" else m for m in messages)


def _with_key(request: Request) -> Request:
    """The request, its key computed now: what JSON cannot hold is refused before anything is sent."""
    if not request.key:
        raise MessageError("the request has no key")
    return request


def make_embedding_plan(
    texts: Any, route: Route, current: Settings, *, mode: Mode, mode_origin: Origin = Origin.PACKAGED, store: Path | None = None
) -> Plan:
    """The plan of an embedding call for a list of texts."""
    texts = list(texts) if isinstance(texts, Iterable) else []
    if not texts or not all(t and isinstance(t, str) for t in texts):
        raise MessageError("embeddings are made of text: pass a text or a list of texts, none of them empty")
    request = Request(route.endpoint.provider, route.model, (), {"input": texts}, kind="embedding")
    return build_plan(request, route, current, mode, store, mode_origin=mode_origin)


def check_shapes(params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters, where what has a shape has it (tools as a new list); ``OptionError`` says what is wrong."""
    checked = {name: plain_value(value) for name, value in params.items()}
    stop = checked.get("stop")
    if params.get("tools") is not None:
        tools = params["tools"]
        listed = list(tools) if isinstance(tools, Iterable) else [tools]
        checked["tools"] = [tool.to_dict() if isinstance(tool, Tool) else plain_value(tool) for tool in listed]
        if not all(isinstance(t, Mapping) for t in checked["tools"]):
            raise OptionError("tools takes a list of functions, or of dicts such as {'type': 'function', 'function': {…}}", option="tools")
    form = params.get("response_format")
    if isinstance(form, (type, Schema)):
        checked["response_format"] = Schema.of(form).response_format
    elif not isinstance(form or {}, Mapping):
        raise OptionError("response_format takes a dict such as {'type': 'json_object'}, or a pydantic class", option="response_format")
    if stop is not None and not all(isinstance(s, str) for s in (stop if isinstance(stop, (list, tuple)) else [stop])):
        raise OptionError(f"stop takes a text or a list of texts, not {stop!r}", option="stop")
    return checked


def check_params(params: Mapping[str, Any], route: Route, kind: str = "chat") -> dict[str, Any]:
    """Parameters with checked names and values; raises ``OptionError`` (also a ``TypeError``) for an unknown one."""
    known = vendor.PARAMETERS | route.facts.params | {"max_completion_tokens"}
    known = known | responses_request.OWN_PARAMETERS if kind == "responses" else known
    checked: dict[str, Any] = {}
    for name, value in params.items():
        if kind == "responses" and name in responses_request.NOT_ALONE:
            hint = "Turns of a conversation are sent along: `%%llm --chat`, or messages."
            raise OptionError(f"{name} is not sent: the answer would depend on what the vendor keeps", option=name, hint=hint)
        if name not in known:
            raise OptionError(
                f"unknown parameter '{name}' for {route.model}",
                option=name,
                hint=suggest(near(name, known)) or f'Vendor-specific parameters go through extra_body={{"{name}": …}}.',
            )
        checked[name] = definitions.parse(name, value, Origin.CALL)[1] if name in SAMPLING and value is not None else value
    return checked


def sampling(current: Settings, route: Route) -> dict[str, Any]:
    """Parameters that hold by default; the longest answer is ``max_tokens``, whatever it was called where it was set."""
    others = {name: value for name, value in route.defaults.items() if name not in _LIMITS and name != "system"}
    return {**others, **{name: set_value(name, current, route).value for name in (*SAMPLING, "reasoning_effort")}}


def set_value(name: str, current: Settings, route: Route) -> Sourced:
    """The value of a setting for a model, and its source: its own table comes before files and environment.

    ``max_tokens`` stands for MAX_COMPLETION_TOKENS too: the stronger layer wins, in the same layer the name that the model takes.
    """
    if name != "max_tokens":
        return _set_value(name, current, route)
    names = sorted(("max_completion_tokens", "max_tokens"), key=lambda limit: limit != route.facts.max_tokens_name)
    found = [_set_value(limit, current, route) for limit in names]
    return max(found, key=lambda limit: -1 if limit.value is None else limit.source.strength)


def _set_value(name: str, current: Settings, route: Route) -> Sourced:
    source, own = current.source(name), route.defaults.get(name)
    if own is not None and not source.is_explicit:
        return Sourced(own, Source(Origin.NAMED_MODEL, str(route.name or "")))
    return Sourced(current.values.get(name), source)


def retry_policy(current: Settings, route: Route) -> RetryPolicy:
    """How often to try: a named model's ``max_retries`` overrules MAX_ATTEMPTS unless the call names its own."""
    attempts = int(current.max_attempts)
    own = route.endpoint.max_retries
    if own is not None and not current.source("max_attempts").is_explicit:
        attempts = own + 1
    return RetryPolicy(attempts, float(current.waiting_time), float(current.exponential_backoff_factor))


def attempt_timeout(current: Settings, route: Route) -> float | None:
    """Seconds for one attempt as a whole: the call's own, a named model's, else TIMEOUT."""
    own = route.endpoint.timeout
    if own is not None and not current.source("timeout").is_explicit:
        return own
    return None if current.timeout is None else float(current.timeout)


def make_transport_provider(plan: Plan) -> Provider | None:
    """The provider that asks the caller's own function, where ``call=`` gave one."""
    transport = plan.transport
    if transport is None:
        return None
    timeout = None if getattr(transport, "bounds_itself", False) else plan.timeout
    return openai.OpenAIProvider(
        lambda _model, params: transport(**params), stream=False, timeout=timeout, max_answer_bytes=plan.max_answer_bytes
    )
