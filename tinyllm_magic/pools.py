"""Plans of calls in, their outcomes out in the order in which they end: our own threads, or somebody's executor.

Knows threads, processes, futures, and what a call needs to be made in another process.
Does not know rows, tables, templates or the notebook.
"""

from __future__ import annotations

import functools
import os
import pickle
import threading
from collections.abc import Mapping
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, replace
from queue import SimpleQueue
from typing import Any, Protocol

from .answers import Record, Response
from .clients import OpenAIClient
from .errors import BudgetError, ConfigError, OptionError, TinyLLMError
from .pacing import Pacer
from .plans import Plan
from .sessions import session

Outcome = Response | BaseException
_PROCESS_WIDTH = 1024  # in another process the executor decides how many calls are made at a time


class Pool(Protocol):
    """Where calls are made; ``events`` receives the place and the outcome of each."""

    events: SimpleQueue[tuple[int, Outcome]]

    def submit(self, place: int, client: OpenAIClient, plan: Plan) -> None:
        """Have a call made; ``place`` comes back with its outcome."""

    def stop(self) -> None:
        """Make no more calls, and cut those under way where that is possible; waits for nothing."""


def answered(client: OpenAIClient, plan: Plan) -> Outcome:
    """The response of a plan, or the error that stands in its place."""
    try:
        return client.answer(plan)
    except (Exception, CancelledError) as error:  # noqa: BLE001  # a failed row is a value, whatever a user's client raises
        return error


class Crew:
    """Threads of our own on the shared clients, started as work comes; one gate paces them all.

    Whoever takes the outcomes flushes the store: until the crew is stopped, records may wait for that.

    They are daemons: a call that hangs neither holds up an interrupt nor the end of the process.
    """

    def __init__(self, workers: int) -> None:
        self.events: SimpleQueue[tuple[int, Outcome]] = SimpleQueue()
        self.pacer = Pacer(workers)
        self._jobs: SimpleQueue[tuple[int, OpenAIClient, Plan] | None] = SimpleQueue()
        self._threads = 0
        self._workers = workers

    def submit(self, place: int, client: OpenAIClient, plan: Plan) -> None:
        """Have a call made by the next free thread."""
        self._jobs.put((place, client, replace(plan, pace=self.pacer, stream=False, defers=self._defers)))
        if self._threads < self._workers:
            self._threads += 1
            threading.Thread(target=self._work, daemon=True, name=f"tinyllm-row-{self._threads}").start()

    def stop(self) -> None:
        """Close the gate and send the threads home."""
        self.pacer.stop()
        for _ in range(self._threads):
            self._jobs.put(None)

    def _defers(self) -> bool:
        return not self.pacer.stopped

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None and not self.pacer.stopped:
            place, client, plan = job
            self.events.put((place, answered(client, plan)))
            del job, client, plan


@dataclass(frozen=True)
class Job:
    """A call to be made in whichever process: the plan, the settings that its session needs there, and whence it comes."""

    plan: Plan
    layer: Mapping[str, Any]
    pid: int
    held: float = 0.0
    """What the caller's process has reserved of its budget for this call, in US dollars."""


@dataclass(frozen=True)
class Landed:
    """What came back of a job; ``pid`` says which process has counted it in its session."""

    record: Record | None
    source: str
    error: BaseException | None
    pid: int


class Hired:
    """Anybody's executor: ``concurrent.futures``, or a dask ``Client``. Its owner shuts it down.

    Each process makes calls with clients of its own and writes to the same store. Rate limits slow
    down each process by itself.
    """

    def __init__(self, executor: Any) -> None:
        self.events: SimpleQueue[tuple[int, Outcome]] = SimpleQueue()
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
        self._pacer = Pacer(_PROCESS_WIDTH)

    def submit(self, place: int, client: OpenAIClient, plan: Plan) -> None:
        """Hand a call to the executor."""
        del client  # the other process has its own
        try:
            held = session.ledger.reserve(replace(plan, pace=self._pacer))  # the budget is kept here: other processes know of none
        except BudgetError as error:
            self.events.put((place, error))
            return
        future = self._executor.submit(perform, Job(_portable(plan), self._layer, os.getpid(), held))
        self._futures[place] = future
        future.add_done_callback(functools.partial(self._land, place, plan, held))

    def stop(self) -> None:
        """Cancel what has not begun; calls under way in other processes end by themselves, and are recorded."""
        self._pacer.stop()
        for future in list(self._futures.values()):
            future.cancel()

    def _land(self, place: int, plan: Plan, held: float, future: Future[Landed]) -> None:
        self._futures.pop(place, None)
        outcome: Outcome
        try:
            landed = future.result()
            outcome = landed.error or _response(plan, landed)
            if landed.pid != os.getpid():
                session.observe(plan, outcome, held)
        except (Exception, CancelledError) as error:  # noqa: BLE001  # the executor's own: a dead worker, something that cannot be sent
            session.ledger.release(held)
            outcome = error
        self.events.put((place, outcome))


def perform(job: Job) -> Landed:
    """Make the call of a job with this process's own client; runs wherever an executor puts it."""
    abroad = job.pid != os.getpid()
    if abroad:
        session.chosen = {**session.chosen, **{k: v for k, v in job.layer.items() if v is not None}}
    else:
        session.ledger.release(job.held)  # it is reserved anew where the call is made
    if job.plan.route.endpoint.api_type not in session.registered:
        error = ConfigError(
            f"the client registered as '{job.plan.route.endpoint.api_type}' is not known in the executor's process",
            hint="Register it there too, or map without executor=.",
        )
        return Landed(None, "live", error, os.getpid())
    outcome = answered(session.client_for(job.plan.route), replace(job.plan, pace=_gate()))
    if isinstance(outcome, Response):
        return Landed(outcome.record, outcome.source, None, os.getpid())
    return Landed(None, "live", _sendable(outcome) if abroad else outcome, os.getpid())


@functools.cache
def _gate() -> Pacer:
    """The gate of this process."""
    return Pacer(_PROCESS_WIDTH)


def _response(plan: Plan, landed: Landed) -> Response:
    if landed.record is None:
        raise TinyLLMError("the executor returned neither an answer nor an error")
    return Response(plan.request, landed.record, landed.source)


def _portable(plan: Plan) -> Plan:
    """The plan with nothing in it that cannot travel."""
    route = replace(plan.route, defaults=dict(plan.route.defaults), memory=dict(plan.route.memory))
    return replace(plan, route=route, pace=None, stream=False)


def _sendable(error: BaseException) -> BaseException:
    """The error, or what can be said of it where it or its causes cannot travel."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301  # our own bytes
    except Exception:  # noqa: BLE001  # an error's __reduce__ may raise anything
        return TinyLLMError(f"{type(error).__name__}: {getattr(error, 'message', error)}", hint=getattr(error, "hint", ""))
    return error
