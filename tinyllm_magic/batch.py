"""One call and many rows, models or parameters in, a table of answers out: ``map_rows`` and ``compare``.

Knows the order of rows, which are asked at all, how many are under way, and how a map goes on after a stop.
Does not know threads, vendors, how a store is kept, or how a table is drawn.

Rows are rendered one after the other in the calling thread, and never more than a window of them waits
for an answer. Rows that ask the same make one call in every mode, ``off`` and ``refresh`` included: the
others are answered by it, as ``recorded``. What the store knows is answered without a worker.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import replace
from pathlib import Path
from queue import Empty
from typing import Any

from .answers import Record, Response
from .cache import Mode
from .call import LLMCall, Planner
from .clients import OpenAIClient
from .errors import ConfigError, NotAsked, OptionError, PromptError, ReplayMiss, Stopped, TinyLLMError
from .plans import Plan
from .pools import Crew, Hired, Pool, answered
from .rows import read_rows
from .sessions import session
from .spool import Spool
from .store import Store
from .tables import WHOLE, Sums, Table, Tally
from .tasks import Task, combinations, demand_call, demand_count, planned, row_tasks
from .ticker import Ticker

Watch = Callable[[Table], None]
WINDOW = 4  # rows for each worker that are rendered and wait
REST = 0.01  # seconds; each outcome on its own would wake this thread, which costs the workers' time
TICK = 0.25  # seconds between two looks at how far it has come


def map_rows(
    call: LLMCall,
    rows: Any,
    *,
    workers: int = 8,
    mode: str | None = None,
    on_error: str = "keep",
    executor: Any = None,
    progress: bool | Watch | None = None,
) -> Table:
    """Ask once for each row; the row's columns are variables of the prompt beside the call's own.

    ``rows`` is a list of dicts, a pandas or polars frame, an iterator of dicts, or the ``failed`` of
    an earlier table. ``{{ row }}`` is the whole row, where nothing else has that name. ``workers``
    calls are made at a time at most (MAX_CONCURRENT_MODEL_CALLS holds too), ``mode`` is the recording
    mode. A row that fails is kept with its error; ``on_error="raise"`` stops at the first and raises
    it. An interrupt raises ``Stopped``, whose ``table`` (also ``session.last_table``) keeps what is
    finished; the same map goes on where it stopped. ``executor`` is a ``concurrent.futures`` executor or a
    ``dask.distributed.Client`` that makes the calls instead of threads. ``progress`` is a function
    that is told of the growing table, ``True`` for a line on standard error, ``False`` for nothing.
    Raises ``OptionError`` and ``ConfigError`` where the call itself is wrong.
    """
    demand_call(call)
    found = read_rows(rows)
    tasks = row_tasks(call if mode is None else call.varied(mode=mode), found)
    run = Run(
        tasks,
        found.count,
        workers=workers,
        on_error=on_error,
        executor=executor,
        watch=watch_of(progress),
        index=found.index,
        held=found.held,
    )
    return run.table()


def compare(
    call: LLMCall,
    *,
    models: Iterable[str] | None = None,
    grid: Mapping[str, Iterable[Any]] | None = None,
    variables: Mapping[str, Any] | None = None,
    samples: int = 1,
    workers: int = 8,
    mode: str | None = None,
    progress: bool | Watch | None = None,
) -> Table:
    """Ask one prompt of every model with every combination of parameters, ``samples`` times each.

    ``grid`` gives each parameter's values: ``{"temperature": [0, 1]}``. The table's columns are
    ``model``, one for each parameter, ``sample`` where there are several, then the results.
    """
    tasks = list(combinations(call, models=models, grid=grid, variables=variables, samples=samples, mode=mode))
    return Run(tasks, len(tasks), workers=workers, watch=watch_of(progress), kind="compare").table()


def watch_of(progress: bool | Watch | None) -> Watch | None:
    """Who is told how far a map has come."""
    if callable(progress):
        return progress
    if progress is None:
        return session.watch() if session.watch is not None else None
    return Ticker() if progress else None


class Run:
    """A map under way: lives in the thread that asked for it, hands calls to a pool and takes their outcomes."""

    def __init__(
        self,
        tasks: Iterable[Task],
        count: int | None,
        *,
        workers: int = 8,
        on_error: str = "keep",
        executor: Any = None,
        watch: Watch | None = None,
        kind: str = "map",
        index: Sequence[Any] | None = None,
        held: bool = False,
    ) -> None:
        if on_error not in ("keep", "raise"):
            raise OptionError(f"on_error={on_error!r} is neither 'keep' nor 'raise'", option="on_error")
        demand_count("workers", workers)
        self._tasks, self._count, self._kind, self._index = iter(tasks), count, kind, index
        current = session.settings()
        path = session.store(current).path
        self._stores: dict[Path, Store] = {}
        self._planner = Planner(current.over({"cache_file_name": str(path)}, "the map"))  # looked up once, not for each row
        self._pool: Pool = Crew(workers) if executor is None else Hired(executor)
        self._window = max(workers * WINDOW, count or 0) if kind == "compare" else workers * WINDOW  # all cards are there at once
        self._raises, self._watch = on_error == "raise", watch
        self._began = self._seen = time.monotonic()
        self._entries = Spool(held=held, whole=WHOLE)
        self._calls: dict[int, Plan] = {}
        self._twins: dict[int, list[int]] = {}
        self._missed = False
        self._mode: Mode | None = None
        self._fatal = (ConfigError, OptionError, *([PromptError] if kind == "compare" else []))  # one prompt: wrong once, wrong always
        self._tally, self._sums = Tally(count), Sums()

    def table(self) -> Table:
        """Answer every row; raises ``Stopped`` at an interrupt, and with ``on_error="raise"`` the first row's error."""
        look_ahead = getattr(self._watch, "look_ahead", None)
        if look_ahead is not None:  # an interrupt meanwhile is one before anything was begun
            self._tasks = iter(look_ahead(self._tasks, self._count, self._planner))
        self._began = self._seen = time.monotonic()
        try:
            return self._answered()
        except KeyboardInterrupt:
            raise self._stopped() from None
        except BaseException as error:
            if len(self._entries) == 1 and isinstance(error, self._fatal):
                raise  # nothing was begun
            self._halt()
            if isinstance(error, TinyLLMError):
                error.table = session.last_table  # type: ignore[attr-defined]  # evidence, as every error of ours keeps some
            raise

    def _answered(self) -> Table:
        for task in self._tasks:
            self._begin(task)
            while len(self._calls) >= self._window:
                self._rest()
                self._land()
            self._tell()
        while self._calls:
            self._land()
        self._pool.stop()
        self._tally = replace(self._tally, total=len(self._entries), seconds=time.monotonic() - self._began)
        return self._finished()

    def _begin(self, task: Task) -> None:
        place = self._entries.append(task.row, task.call)
        try:
            client, plan = planned(task, self._planner)
        except TinyLLMError as error:
            if place == 0 and isinstance(error, self._fatal):
                raise  # the call itself is wrong, and so would be every row
            self._end(place, error)
            return
        self._mode = plan.mode
        if plan.store is not None and plan.store not in self._stores:  # a client may have one of its own
            self._stores[plan.store] = session.store_at(plan.store)
        first = self._entries.first(plan.request.key, place)
        if first != place:
            self._join(place, first)
        elif plan.mode is Mode.REPLAY or (plan.mode is Mode.AUTO and self._is_recorded(plan)):
            self._end(place, self._known(client, plan), plan)
        else:
            self._calls[place] = plan
            self._pool.submit(place, client, plan)

    def _known(self, client: OpenAIClient, plan: Plan) -> Response | BaseException:
        """The recorded answer; in strict replay only the first miss is explained, for that takes a search."""
        if self._missed and not self._is_recorded(plan):
            return ReplayMiss("no recorded answer for this row either", request=plan.request, path=str(plan.store or ""))
        outcome = answered(client, plan)
        self._missed = self._missed or isinstance(outcome, ReplayMiss)
        return outcome

    def _is_recorded(self, plan: Plan) -> bool:
        return plan.store is not None and plan.request.key in self._stores[plan.store]

    def _flush(self) -> None:
        for store in self._stores.values():
            store.flush()

    def _join(self, place: int, first: int) -> None:
        """Let a row that asks the same as an earlier one have its answer."""
        earlier = self._entries[first]
        if first in self._calls:
            self._twins.setdefault(first, []).append(place)
        elif earlier.answered:
            self._repeat(place, first)
        else:
            self._end(place, earlier.error or NotAsked("the row that asks the same has no answer"))

    def _repeat(self, place: int, first: int) -> None:
        entry, earlier = self._entries[place], self._entries[first]
        for name in ("text", "cost", "key", "tokens", "waited"):
            setattr(entry, name, getattr(earlier, name))
        entry.source = "recorded"
        entry.whole = None if earlier.whole is None else replace(earlier.whole, source="recorded")
        self._ended(place, repeats=True)

    def _rest(self) -> None:
        """Leave the processor to the workers: they have rows enough waiting, and outcomes can pile up for a moment."""
        if len(self._calls) - self._pool.events.qsize() > self._window // 2:
            time.sleep(REST)

    def _land(self) -> None:
        """Take the outcomes that have come, at least one, or look up after a while."""
        try:
            landed = [self._pool.events.get(timeout=TICK)]
        except Empty:
            self._tell()
            return
        landed += (self._pool.events.get() for _ in range(self._pool.events.qsize()))
        try:
            self._flush()  # what has landed is written down
            for place, outcome in landed:
                self._end(place, outcome, self._calls[place])
                del self._calls[place]
                for twin in self._twins.pop(place, ()):
                    self._join(twin, place)
        except BaseException:  # an interrupt, or on_error="raise": what came with it is kept all the same
            for place, outcome in landed:
                if place in self._calls:
                    self._pool.events.put((place, outcome))
            raise
        self._tell()

    def _end(self, place: int, outcome: Response | BaseException, plan: Plan | None = None) -> None:
        entry = self._entries[place]
        if isinstance(outcome, Response):
            whole = place < WHOLE or plan is None or plan.mode is Mode.OFF or not self._is_recorded(plan)
            outcome = replace(outcome, call=entry.call)
            entry.take(outcome, whole=whole)
        else:
            entry.take(outcome)
        self._ended(place, None if plan is None else plan.request.key)
        if entry.error is not None and self._raises:
            raise entry.error

    def _ended(self, place: int, key: str | None = None, *, repeats: bool = False) -> None:
        entry = self._entries[place]
        self._tally = self._tally.plus(entry, time.monotonic() - self._began)
        self._sums = self._sums.plus(entry, repeats=repeats)
        self._entries.settle(place, key)

    def _tell(self) -> None:
        now = time.monotonic()
        if self._watch is not None and now - self._seen >= TICK:
            self._seen = now
            self._watch(self._so_far())

    def _so_far(self) -> Table:
        index = None if self._index is None else self._index[: len(self._entries)]
        return Table(
            self._entries, replace(self._tally, seconds=time.monotonic() - self._began), self._kind, index, self._fetch, self._sums
        )

    def _fetch(self, key: str) -> Record | None:
        found = (store.get(key) for store in self._stores.values())
        return next((record for record in found if record is not None), None)

    def _finished(self) -> Table:
        table = session.last_table = self._so_far()
        self._flush()
        if self._watch is not None:
            getattr(self._watch, "close", self._watch)(table)
        return table

    def _halt(self) -> Table:
        """Stop asking, keep what has come in, and the rows that were not reached as failed ones."""
        self._pool.stop()
        self._raises = False
        while not self._pool.events.empty():
            place, outcome = self._pool.events.get()
            plan = self._calls.pop(place, None)
            entry = self._entries[place]
            if not isinstance(outcome, CancelledError) and entry.error is None and not entry.answered:
                self._end(place, outcome, plan)
                for twin in self._twins.pop(place, ()):
                    self._join(twin, place)
        for place, entry in self._entries.unsettled():
            if not entry.answered and entry.error is None:
                self._leave(place)
        for task in () if self._count is None else self._tasks:
            self._leave(self._entries.append(task.row, task.call))
        return self._finished()

    def _leave(self, place: int) -> None:
        entry = self._entries[place]
        entry.error = NotAsked("stopped before this row was answered")
        self._sums = self._sums.plus(entry)
        self._entries.settle(place)

    def _stopped(self) -> Stopped:
        table = self._halt()
        kept = len(table) - table.sums.failed
        of = "" if self._count is None else f" of {self._count:,}"
        records = self._mode in (Mode.AUTO, Mode.REPLAY)
        again = "Run the same again to go on (what is recorded is answered at once), or map" if records else "To go on, map"
        message = f"Stopped: {kept:,}{of} rows are answered and kept in session.last_table. {again} its .failed."
        return Stopped(message=message, table=table)
