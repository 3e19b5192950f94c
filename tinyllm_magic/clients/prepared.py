"""One call that is ready to be made: it owns its plan, its client and its store, and streams or answers itself once asked."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, Self

from ..attachments.parts import draw_thumbnails, has_images
from ..errors import SchemaError, ToolError, UnsupportedError
from ..frozen import copy_with
from ..json_schema import find_schema
from ..messages import Message, Request
from ..models import pricing, tokens
from ..models.endpoints import key_state
from ..models.routing import Route
from ..recording import misses
from ..recording.lookup import Lookup
from ..recording.modes import Decision, Mode, decide, depends_on_record
from ..recording.recorder import RecordingProvider, Resolution, resolve
from ..recording.single_flight import SingleFlight
from ..recording.store import Store
from ..responses import CUT_REASONS, Chunk, ChunkAccumulator, Provider, Response, Step, ToolResult
from ..schemas.schema import describe_faults, follow_up
from ..web_page import ANSWERS_RECORDED, runs_in_page
from . import token_counts
from .budget import Budget, Reservation
from .environment import shell, version
from .fallbacks import FeatureFallback, adapt
from .fetched_files import complete
from .history import History
from .plans import Plan, ask_instead, make_transport_provider
from .rate_limits import ConcurrencyGate, ConcurrencyLimit, RateLimited, RateLimiter
from .retries import Retries
from .tracing import trace

if TYPE_CHECKING:
    from ..providers.batch_service import BatchService
    from ..tools.runner import ToolRunner

_ALL_TRIED = "No try fits: ask for less, say in the prompt what is wanted, or ask another model; `.response.steps` has them all."
_TRIES = "up to {} answers are asked for where they do not fit; tokens and cost are those of one"


class Client(Protocol):
    """What a prepared call and its session need of a client."""

    api_type: str
    pinned: Route | None
    routes_by_model: bool
    own_recording: bool | None
    """Whether this client records, and below the file that it records in; ``None`` where the session decides."""
    own_store: str | None

    def provider(self, plan: Plan) -> Provider:
        """The innermost provider of a plan."""
        ...

    def pin(self, route: Route, *, routes_by_model: bool) -> Self:
        """A twin of this client for one endpoint and model."""
        ...

    @property
    def takes_responses(self) -> bool:
        """Whether calls may be asked through the Responses API: the client is one of ours, as it is."""
        ...

    def own_transport(self, model: str | None, params: Mapping[str, Any]) -> Callable[..., Any] | None:
        """What answers in place of ``provider`` where this client's class says so."""
        ...

    def batch_service(self, plan: Plan) -> BatchService:
        """The batch service of a plan's vendor; raises ``UnsupportedError`` where there is none."""
        ...


@dataclass
class Services:
    """What all calls of a session share while they are made."""

    gate: ConcurrencyGate = field(default_factory=ConcurrencyGate)
    budget: Budget = field(default_factory=Budget)
    history: History = field(default_factory=History)
    unsupported: set[tuple[str, str, str]] = field(default_factory=set)
    """(provider, model, feature) that were refused once."""
    flights: SingleFlight = field(default_factory=SingleFlight)
    under_way: set[str] = field(default_factory=set)
    """Keys of requests with tools that are being answered live, until the tools that the answers call have run."""

    def observe(self, request: Request, route: Route, outcome: Response | BaseException, reserved: float, pool: object = None) -> None:
        """Take note of how a call ended: totals, history, and what was reserved for it (US dollars) is free again.

        ``pool`` is the same for all calls of one map.
        """
        self.budget.settle(request, route, outcome, reserved)
        self.history.add(request, route, outcome, in_cell=shell() is not None, pool=pool)


@dataclass(frozen=True)
class PreparedCall:
    """A call whose settings, route, client and store are resolved; nothing is sent until it is asked for."""

    plan: Plan
    client: Client = field(repr=False)
    store: Store | None = field(repr=False)
    services: Services = field(repr=False)
    lookup: Lookup | None = field(default=None, repr=False)
    """Where the recorded answer is looked for; ``None`` without a store."""
    advice: str = field(default=misses.SESSION, repr=False)
    """What a miss of a strict replay tells its reader to do."""
    resolution: Resolution | None = field(default=None, repr=False)
    """What happens to the request, where that was found out already."""
    pace: RateLimiter | None = field(default=None, repr=False, compare=False)
    """The rate limiter of the pool that this call belongs to, if any."""
    defers: Callable[[], bool] = field(default=bool, repr=False, compare=False)
    """Whether the pool that this call belongs to writes its records down itself, many at a time."""
    reserved: float = field(default=0.0, repr=False, compare=False)
    """What the pool that this call belongs to has reserved of the budget for it already, in US dollars."""
    runs_tools: bool = field(default=True, compare=False)
    """Whether tools run here; a pool hands an answer that calls them over to the thread that asked for its rows."""

    @property
    def request(self) -> Request:
        """The request as it will be sent."""
        return self.plan.request

    def adapt(self) -> PreparedCall:
        """The same call with what its model does not take said in the prompt or left out, and notes about it: as it would be sent now."""
        request, notes = adapt(self.request, self.services.unsupported, self.plan.route.facts)
        return copy_with(self, plan=copy_with(self.plan, request=request)).with_notes(notes)

    @property
    def mode(self) -> Mode:
        """How the store is used."""
        return self.plan.mode

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out of the request, and why."""
        return self.plan.notes

    @property
    def is_known(self) -> bool:
        """Whether the store holds an answer, whatever the mode."""
        return self.lookup is not None and self.request in self.lookup

    @property
    def decision(self) -> Decision:
        """What happens to the request: as it was found out for ``resolved``, else as it would be found now."""
        if self.resolution is not None:
            return self.resolution.decision
        return decide(self.mode, known=depends_on_record(self.mode) and self.is_known)

    @property
    def replays(self) -> bool:
        """Whether the store answers."""
        return self.decision is Decision.REPLAY and self.is_settled

    def resolve(self, request: Request | None = None) -> Resolution:
        """What happens to the request, or to another that is asked as it is, with the recorded answer.

        Raises ``StoreError`` in strict replay of an unreadable store.
        """
        return resolve(request or self.request, self.mode, self.lookup)

    def resolved(self) -> PreparedCall:
        """The same call with what happens to it found out, for who makes it at once."""
        return self if self.resolution is not None else copy_with(self, resolution=self.resolve())

    def recorded(self) -> Response | None:
        """The recorded answer to this request, whatever the mode; ``None`` where there is none, or no store is in use.

        Nothing is copied for it. Raises ``StoreError`` where the store cannot be read, ``SchemaError`` where it does not fit.
        """
        if self.store is None or self.lookup is None:
            return None
        len(self.store)  # a file that is no store is said to be none
        record = self.lookup.get(self.request, only_reads=True)
        if record is None:
            return None
        again = None
        try:
            response = self.read(Response(self.request, record, "recorded"))
            if not self.calls_tools(response):
                return response
            results = self.tool_runner.recorded(response)
            again = None if results is None else self.go_on(response, results)
        except SchemaError as error:
            again = self.ask_again(error)
            if again is None:
                raise
        return None if again is None else again.recorded()

    @property
    def is_settled(self) -> bool:
        """Whether the store alone decides what comes of the call: an answer that fits or is the last try, or a miss."""
        if self.decision not in (Decision.REPLAY, Decision.MISS):
            return False
        is_last = self.plan.schema is None or self._tried >= self.plan.tries
        if (is_last and not self.plan.tools) or self.decision is Decision.MISS:
            return True
        try:
            return self.recorded() is not None or self.mode is Mode.REPLAY
        except (SchemaError, ToolError):
            return True

    def read(self, response: Response) -> Response:
        """The response of this call with the value that its schema makes of it; raises ``SchemaError``, which keeps it.

        One that calls tools is on the way to the answer: no schema reads it.
        """
        whole = replace(response, steps=self.plan.steps) if self.plan.steps else response
        if self.calls_tools(response):
            return whole
        if "live" in [step.response.source for step in self.plan.steps]:
            whole = replace(whole, source="live")
        return whole if self.plan.schema is None else self.plan.schema.read(whole)

    @property
    def _tried(self) -> int:
        """Which try of an answer that fits this is, counted from 1."""
        return 1 + sum(bool(step.fault) for step in self.plan.steps)

    def ask_again(self, error: SchemaError) -> PreparedCall | None:
        """The call that asks once more, after an answer that does not fit; ``None`` where no try is left, or none is of use."""
        if self._tried >= self.plan.tries or not error.text:
            error.hint = _ALL_TRIED if self._tried > 1 else error.hint
            return None
        step = Step(replace(error.response, steps=()), describe_faults(error.faults))
        return self._ask_after((*self.plan.steps, step), follow_up(self.request.messages, error))

    def _ask_after(self, steps: tuple[Step, ...], messages: Iterable[Message]) -> PreparedCall:
        again = self.with_messages(messages)
        return copy_with(again, plan=copy_with(again.plan, steps=steps))

    def calls_tools(self, response: Response) -> bool:
        """Whether an answer calls functions of this call; one that also calls a tool which the caller runs is the caller's."""
        tools, calls = self.plan.tools, response.tool_calls
        if not tools or not calls or response.finish_reason in CUT_REASONS:
            return False
        declared = {str((tool.get("function") or tool).get("name")) for tool in self.request.tools} - tools.keys()
        return not any(call.name in declared for call in calls)

    @property
    def tool_runner(self) -> ToolRunner:
        """What gets the results of this call's tools."""
        from ..tools.runner import ToolRunner  # with asyncio behind it, which a call without tools need not import

        return ToolRunner(
            self.plan.tools,
            self.mode,
            self.store,
            self.lookup,
            approve=self.plan.approve,
            live=self.services.under_way,
            flights=self.services.flights,
            version=version(),
            advice=self.advice,
        )

    def run_tools(self, response: Response) -> PreparedCall:
        """The call that goes on after the functions which an answer calls have run, in their order.

        Raises ``ToolError`` where no step is left, or a function would have to be approved and nobody can be asked.
        """
        try:
            self._demand_step(response)
            return self.go_on(response, tuple(self.tool_runner.run(response, index) for index in range(len(response.tool_calls))))
        except ToolError as error:
            error.response = response
            raise
        finally:
            self.services.under_way.discard(response.key)

    def go_on(self, response: Response, results: tuple[ToolResult, ...]) -> PreparedCall:
        """The call that asks on after an answer to it or to one of its tries, with the results of the tools that the answer calls.

        Raises ``ToolError`` where no step is left.
        """
        from ..tools.runner import follow_up as follow_up_with_results

        self._demand_step(response)
        returns = self.plan.route.facts.returns_reasoning
        messages = follow_up_with_results(response.request.messages, response, results, len(response.steps), returns_reasoning=returns)
        return self._ask_after((*response.steps, Step(replace(response, steps=()), results=results)), messages)

    def _demand_step(self, response: Response) -> None:
        steps = 1 + sum(bool(step.results) for step in response.steps)
        if steps < self.plan.max_steps:
            return
        calls = ", ".join(call.describe() for call in response.tool_calls)
        words = f"no answer after {steps} {'request' if steps == 1 else 'requests'}: the model still calls {calls}"
        hint = f"`--max-steps {2 * steps}` (max_steps={2 * steps}) lets it go on; the error's `.response` has the steps."
        raise ToolError(words, hint=hint, response=response)

    def preview(self) -> dict[str, Any]:
        """What ``--dry-run`` tells: messages, tokens, room, cost estimate, key, whether it is recorded."""
        sent, route = self.adapt(), self.plan.route
        request = sent.request
        texts = [m.text for m in request.messages]
        total = token_counts.count_request(request, route)
        pieces = [token_counts.split(t, route) for t in texts]
        answer = self.services.history.expect_tokens(request)
        likely, most = pricing.price_range(request, route, answer)
        return {
            "messages": request.messages,
            "schema": find_schema(request.response_format),
            "tools": request.tools,
            "tokens": [int(token_counts.count(m.text, route) + tokens.count_images(m, request.model)) for m in request.messages],
            "total": int(total),
            "estimated": total.estimated,
            "window": pricing.window(request.model),
            "max_tokens": request.params.get("max_tokens") or request.params.get("max_completion_tokens"),
            "cost": most or None,
            "likely": (likely, answer),
            "model": request.model,
            "params": request.params,
            "key": self.request.key,
            "recorded": self.replays,
            "warning": self.foresee_failure(),
            "pieces": pieces if all(p is not None for p in pieces) else (),
            "notes": (*sent.notes, *([] if self.plan.tries == 1 else [_TRIES.format(self.plan.tries)]), *self._warn_of_images()),
        }

    def foresee_failure(self) -> str:
        """Why the call would fail before anything is answered, as far as that can be told without asking; else empty."""
        if self.replays:
            return ""
        if self.decision is Decision.MISS:
            if runs_in_page():
                return f"not recorded: {ANSWERS_RECORDED}"
            return "not recorded, and the mode replay asks nobody: the call would fail"
        key = key_state(self.plan.route.endpoint, os.environ)
        return f"{key}: the call would fail" if key.endswith("is missing") else ""

    def _warn_of_images(self) -> tuple[str, ...]:
        blind = not self.plan.route.facts.images and has_images(self.request.messages)
        return (f"{self.plan.route.model} takes no images: the call would be refused",) if blind else ()

    def stream(self) -> AnswerStream:
        """The answer in pieces, recorded or live."""
        return AnswerStream(self)

    def answer(self) -> Response:
        """The whole answer, also asked for in one piece; raises ``ProviderError`` where there is none, ``SchemaError`` where none fits."""
        return self.replay() or self.in_one_piece().stream().finish()

    def replay(self, request: Request | None = None, found: Resolution | None = None) -> Response | None:
        """The recorded answer at once, where it was found out that it is the answer, whatever it says; else ``None``.

        ``request`` is another one that is asked as this is, ``found`` what happens to it.
        """
        request, found = request or self.request, found or self.resolution
        if found is None or found.record is None or found.decision is not Decision.REPLAY or not self._is_plain:
            return None
        response = self.read(Response(request, found.record, "recorded"))  # what the pipeline would make of it
        self.services.observe(request, self.plan.route, response, 0.0)
        return response

    @property
    def _is_plain(self) -> bool:
        """Whether whatever is answered is the answer: no schema has to fit, no tool can be called."""
        return self.plan.schema is None and not self.plan.tools

    def in_one_piece(self) -> PreparedCall:
        """The same call with its answer asked for whole, which costs less of this machine's time."""
        return self if not self.plan.stream else copy_with(self, plan=copy_with(self.plan, stream=False))

    def with_sample(self, sample: int) -> PreparedCall:
        """The same call for another draw of the answer."""
        return self.with_request(self.request.with_sample(sample))

    def with_messages(self, messages: Iterable[Message]) -> PreparedCall:
        """The same call with other messages."""
        return self.with_request(ask_instead(self.plan, messages))

    def with_request(self, request: Request, resolution: Resolution | None = None) -> PreparedCall:
        """The same call with another request, and what was found out of it."""
        plan = self.plan if request is self.request else copy_with(self.plan, request=request)
        return copy_with(self, plan=plan, resolution=resolution)

    def with_notes(self, notes: Iterable[str]) -> PreparedCall:
        """The same call with more to tell its reader."""
        notes = tuple(notes)
        if not notes:
            return self
        return copy_with(self, plan=copy_with(self.plan, notes=(*self.notes, *notes)))

    def in_pool(self, pace: RateLimiter, defers: Callable[[], bool] = bool, *, reserved: float = 0.0) -> PreparedCall:
        """The same call as one of a pool that nobody watches; ``defers`` says whether the pool writes records down itself.

        ``reserved`` is what the pool has reserved of the budget for this call, in US dollars; the call gives it back.
        """
        return copy_with(self.in_one_piece(), pace=pace, defers=defers, reserved=reserved, runs_tools=False)

    def as_part(self) -> PreparedCall:
        """The same call as a part of another, which alone takes a place, is counted and remembered."""
        services = Services(unsupported=self.services.unsupported, flights=self.services.flights)
        return copy_with(self, services=services)


class LiveProvider:
    """The provider of a live call, built when it is first asked: a recorded answer needs neither key nor SDK.

    Around the client's own stand the places among calls under way, the pace of a pool, fallbacks and retries.
    """

    def __init__(self, prepared: PreparedCall, reservation: Reservation) -> None:
        self._prepared, self._reservation = prepared, reservation

    def send(self, request: Request) -> Iterator[Chunk]:
        """Yield a live answer, after what it can cost is reserved; raises ``BudgetError`` where it could pass the budget."""
        prepared, plan = self._prepared, self._prepared.plan
        if prepared.store is not None and plan.route.memory:
            prepared.store.remember(**plan.route.memory)
        self._reservation.hold()
        if plan.tools:
            prepared.services.under_way.add(plan.request.key)
        own = make_transport_provider(plan) or prepared.client.provider(plan)
        inner: Provider = own if plan.cap is None else ConcurrencyLimit(own, partial(prepared.services.gate.place, plan.cap))
        inner = inner if prepared.pace is None else RateLimited(inner, prepared.pace, plan.policy)
        messages = complete(request.messages)
        request = request if messages is request.messages else copy_with(request, messages=messages)
        retried = Retries(FeatureFallback(inner, prepared.services.unsupported, plan.route.facts), plan.policy)
        yield from trace(retried, version, stream=plan.stream).send(request)


@dataclass
class _Progress:
    """How far an answer has come: shared by a stream and the generator behind it, so that neither holds the other."""

    prepared: PreparedCall
    accumulator: ChunkAccumulator = field(default_factory=ChunkAccumulator)
    response: Response | None = None


class AnswerStream:
    """The pieces of one answer as they arrive; once they are through, ``response``."""

    def __init__(self, prepared: PreparedCall) -> None:
        self._progress = _Progress(prepared)
        self._chunks = _send(self._progress)

    def __iter__(self) -> Iterator[Chunk]:
        return self._chunks

    def __next__(self) -> Chunk:
        return next(self._chunks)

    def close(self) -> None:
        """Hang up; what has arrived is not recorded."""
        self._chunks.close()

    @property
    def replays(self) -> bool:
        """Whether the store answers; looked up once."""
        self._progress.prepared = self._progress.prepared.resolved()
        return self._progress.prepared.replays

    def replay(self) -> Response | None:
        """The recorded answer in place of its pieces, where nothing has to be checked or run; else ``None``."""
        self._progress.prepared = self._progress.prepared.resolved()
        return self._progress.prepared.replay()

    @property
    def asks(self) -> bool:
        """Whether something is sent; a strict replay of what is not recorded neither answers nor asks."""
        return not self.replays and self._progress.prepared.decision is not Decision.MISS

    @property
    def so_far(self) -> ChunkAccumulator:
        """What has arrived of the live answer; of the next request, where one follows."""
        return self._progress.accumulator

    @property
    def steps(self) -> tuple[Step, ...]:
        """The requests that have led to the one under way."""
        return self._progress.prepared.plan.steps

    @property
    def text(self) -> str:
        """The live text so far."""
        return self._progress.accumulator.text

    @property
    def reasoning(self) -> str:
        """The live reasoning so far, where the provider shows it."""
        return self._progress.accumulator.reasoning

    def finish(self) -> Response:
        """The response, after the pieces that are still to come."""
        for _ in self._chunks:
            pass
        if self._progress.response is None:
            raise RuntimeError("the stream ended without a record")
        return self._progress.response


def _send(progress: _Progress) -> Generator[Chunk]:
    """Yield the chunks, then those of the next request too where the answer calls tools, or does not fit its schema."""
    while progress.response is None:
        response, fault = yield from _send_once(progress)
        prepared, note = progress.prepared, ""
        if fault is not None:
            again, note = prepared.ask_again(fault), f"the answer did not fit: {describe_faults(fault.faults)}"
            if again is None:
                raise fault
        elif prepared.runs_tools and prepared.calls_tools(response):
            again = prepared.run_tools(response)
        else:
            progress.response = response
            return
        progress.prepared, progress.accumulator = copy_with(again, reserved=0.0), ChunkAccumulator()
        yield Chunk(restart=True, note=note, source=response.source)


def _send_once(progress: _Progress) -> Generator[Chunk, None, tuple[Response, SchemaError | None]]:
    """Yield the chunks of one request, and tell the session how it ended; returns the response, and in what it does not fit."""
    prepared, last = progress.prepared, Chunk()
    plan, services = prepared.plan, prepared.services
    stopped = None if prepared.pace is None else prepared.pace.stopped
    with Reservation(services.budget, plan.request, plan.route, stopped, prepared.reserved) as reservation:
        recorder = RecordingProvider(
            LiveProvider(prepared, reservation),
            prepared.store,
            plan.mode,
            flights=services.flights,
            estimate=tokens.estimate_usage,
            price=partial(pricing.price_answer, plan.route),
            draw=draw_thumbnails,
            version=version(),
            defers=prepared.defers,
            lookup=prepared.lookup,
            advice=prepared.advice,
        )
        try:
            _demand_eyes(prepared)
            for last in recorder.send(plan.request, progress.accumulator, prepared.resolution):
                yield last
            response = _build_response(plan, last)
        except BaseException as error:
            services.under_way.discard(plan.request.key)
            services.observe(plan.request, plan.route, error, reservation.take(), prepared.pace)
            raise
        fault = None
        try:
            typed = prepared.read(response)
        except SchemaError as error:
            typed, fault = error.response, error
        if not prepared.calls_tools(typed):
            services.under_way.discard(plan.request.key)
        last_response = replace(typed, steps=()) if typed.steps else typed
        services.observe(plan.request, plan.route, last_response, reservation.take(), prepared.pace)
    return typed, fault


def _demand_eyes(prepared: PreparedCall) -> None:
    """Refuse images that a model is known not to see, in every mode: in a strict replay they are no miss."""
    plan = prepared.plan
    if not plan.route.facts.images and has_images(plan.request.messages) and not prepared.resolved().replays:
        raise UnsupportedError(f"{plan.route.model} takes no images: nothing was sent", feature="images", hint="Ask a model that does.")


def _build_response(plan: Plan, last: Chunk) -> Response:
    if last.record is None:
        raise RuntimeError("the recording provider ended without a record")
    return Response(plan.request, last.record, last.source)
