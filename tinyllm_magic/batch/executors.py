"""Makes the calls of many rows, in threads of our own or in somebody's executor, and collects their outcomes.

An executor of other processes sends a picklable ``Job`` to each and gets a ``JobResult`` back.
"""

from __future__ import annotations

import contextvars
import functools
import os
import pickle
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, replace
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar

from ..clients.plans import Plan
from ..clients.prepared import PreparedCall
from ..clients.rate_limits import RateLimiter
from ..clients.sessions import session
from ..errors import BudgetError, ConfigError, OptionError, SchemaError, TinyLLMError
from ..responses import Record, Response

Outcome = Response | BaseException
_Value = TypeVar("_Value")
Event = tuple[int, Outcome | PreparedCall]
"""The place of a row, with what became of its call or the call that asks for it once more."""
_PROCESS_WIDTH = 1024  # in another process the executor decides how many calls are made at a time


class Pool(Protocol):
    """Where calls are made; ``events`` receives what became of each."""

    events: SimpleQueue[Event]

    def submit(self, place: int, prepared: PreparedCall) -> None:
        """Have a call made; ``place`` comes back with its outcome."""

    def stop(self) -> None:
        """Make no more calls, and cut those under way where that is possible; waits for nothing."""


def value_or_error(answer: Callable[[], _Value]) -> _Value | BaseException:
    """The response of a call, or the error that stands in its place."""
    try:
        return answer()
    except (Exception, CancelledError) as error:  # noqa: BLE001  # a failed row is a value, whatever a user's client raises
        return error


class ThreadExecutor:
    """Threads of our own on the shared clients, started as work comes, with one rate limit for all.

    Whoever takes the outcomes flushes the store: until the executor is stopped, records may wait for that.

    They are daemons: a call that hangs neither holds up an interrupt nor the end of the process.
    """

    def __init__(self, workers: int) -> None:
        self.events: SimpleQueue[Event] = SimpleQueue()
        self.limiter = RateLimiter(workers)
        self._jobs: SimpleQueue[tuple[int, PreparedCall] | None] = SimpleQueue()
        self._threads = 0
        self._workers = workers

    def submit(self, place: int, prepared: PreparedCall) -> None:
        """Have a call made by the next free thread."""
        self._jobs.put((place, prepared.in_pool(self.limiter, self._defers)))
        if self._threads < self._workers:
            self._threads += 1
            context = contextvars.copy_context()  # where output goes, which span a call is part of
            threading.Thread(target=context.run, args=(self._work,), daemon=True, name=f"tinyllm-row-{self._threads}").start()

    def stop(self) -> None:
        """Let no further call begin, and end the threads."""
        self.limiter.stop()
        for _ in range(self._threads):
            self._jobs.put(None)

    def _defers(self) -> bool:
        return not self.limiter.stopped.is_set()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None and not self.limiter.stopped.is_set():
            place, prepared = job
            self.events.put((place, value_or_error(prepared.answer)))
            del job, prepared


@dataclass(frozen=True)
class Job:
    """A call to be made in whichever process: the plan, the settings that its session needs there, and the process it comes from."""

    plan: Plan
    layer: Mapping[str, Any]
    pid: int
    reserved: float = 0.0
    """What the caller's process has reserved of its budget for this call, in US dollars."""


@dataclass(frozen=True)
class JobResult:
    """What came back of a job; ``pid`` says which process has counted it in its session."""

    record: Record | None
    source: str
    error: BaseException | None
    pid: int


class ExternalExecutor:
    """Anybody's executor: ``concurrent.futures``, or a dask ``Client``. Its owner shuts it down.

    Each process makes calls with clients of its own and writes to the same store. Rate limits slow
    down each process by itself.
    """

    def __init__(self, executor: Any) -> None:
        self.events: SimpleQueue[Event] = SimpleQueue()
        self._executor = executor.get_executor(pure=False) if hasattr(executor, "get_executor") else executor
        if not callable(getattr(self._executor, "submit", None)):
            raise OptionError(
                f"{type(executor).__name__} is no executor: it has no submit()",
                option="executor",
                hint="Pass a concurrent.futures executor or a dask.distributed.Client.",
            )
        current = session.settings()
        self._layer = {
            "cache_file_name": str(session.store(current).path),
            "max_concurrent_model_calls": current.max_concurrent_model_calls,
        }
        self._futures: dict[int, Any] = {}
        self._limiter = RateLimiter(_PROCESS_WIDTH)

    def submit(self, place: int, prepared: PreparedCall) -> None:
        """Hand a call to the executor."""
        plan = prepared.plan  # the other process has clients of its own, and knows nothing of the budget
        try:
            reserved = session.budget.reserve(plan.request, plan.route, self._limiter.stopped)
        except BudgetError as error:
            self.events.put((place, error))
            return
        future = self._executor.submit(perform, Job(_make_portable(plan), self._layer, os.getpid(), reserved))
        self._futures[place] = future
        future.add_done_callback(functools.partial(self._collect, place, prepared, reserved))

    def stop(self) -> None:
        """Cancel what has not begun; calls under way in other processes end by themselves, and are recorded."""
        self._limiter.stop()
        for future in list(self._futures.values()):
            future.cancel()

    def _collect(self, place: int, prepared: PreparedCall, reserved: float, future: Future[JobResult]) -> None:
        self._futures.pop(place, None)
        outcome: Outcome | PreparedCall
        try:
            result = future.result()
            outcome = result.error or _build_response(prepared.plan, result)
            if result.pid != os.getpid():
                session.services.observe(prepared.request, prepared.plan.route, outcome, reserved, self._limiter)
            outcome = outcome if isinstance(outcome, BaseException) else self._read(prepared, outcome)
        except (Exception, CancelledError) as error:  # noqa: BLE001  # the executor's own: a dead worker, something that cannot be sent
            session.budget.release(reserved)
            outcome = error
        self.events.put((place, outcome))

    def _read(self, prepared: PreparedCall, response: Response) -> Outcome | PreparedCall:
        """The response with its value, which is checked here, for types stay in this process; else the call that asks for it again.

        Who takes the outcomes has that made: here a worker would wait for the budget, which rows hold that wait for a worker.
        """
        try:
            return prepared.read(response)
        except SchemaError as error:
            again = prepared.ask_again(error)
            return error if again is None or self._limiter.stopped.is_set() else again


def perform(job: Job) -> JobResult:
    """Make the call of a job with this process's own client; runs wherever an executor puts it."""
    remote = job.pid != os.getpid()
    reserved = 0.0 if remote else job.reserved
    if remote:
        session.chosen = {**session.chosen, **{k: v for k, v in job.layer.items() if v is not None}}
    if job.plan.route.endpoint.api_type not in session.registered:
        error = ConfigError(
            f"the client registered as '{job.plan.route.endpoint.api_type}' is not known in the executor's process",
            hint="Register it there too, or map without executor=.",
        )
        session.budget.release(reserved)
        return JobResult(None, "live", error, os.getpid())
    outcome = value_or_error(session.prepare_plan(job.plan).in_pool(_process_limiter(), reserved=reserved).answer)
    if isinstance(outcome, Response):
        return JobResult(outcome.record, outcome.source, None, os.getpid())
    return JobResult(None, "live", _make_picklable(outcome) if remote else outcome, os.getpid())


@functools.cache
def _process_limiter() -> RateLimiter:
    """The rate limit of this process."""
    return RateLimiter(_PROCESS_WIDTH)


def _build_response(plan: Plan, result: JobResult) -> Response:
    if result.record is None:
        raise TinyLLMError("the executor returned neither an answer nor an error")
    return Response(plan.request, result.record, result.source)


def _make_portable(plan: Plan) -> Plan:
    """The plan with nothing in it that cannot travel."""
    route = replace(plan.route, defaults=dict(plan.route.defaults), memory=dict(plan.route.memory))
    return replace(plan, route=route, stream=False, schema=None, tools={}, steps=())


def _make_picklable(error: BaseException) -> BaseException:
    """The error, or what can be said of it where it or its causes cannot travel."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301  # our own bytes
    except Exception:  # noqa: BLE001  # an error's __reduce__ may raise anything
        return TinyLLMError(f"{type(error).__name__}: {getattr(error, 'message', error)}", hint=getattr(error, "hint", ""))
    return error
