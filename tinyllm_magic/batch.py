"""One call and many rows, models or parameters in, a table of answers out: ``map_rows`` and ``compare``.

Knows the order of rows, which are asked at all, how many are under way, and how a map goes on after a stop.
Does not know threads, vendors, how a store is kept, or how a table is drawn.

Rows are rendered one after the other in the calling thread, and never more than a window of them waits
for an answer. Rows that ask the same make one call in every mode, ``off`` and ``refresh`` included: the
others are answered by it, as ``recorded``. What the store knows is answered without a worker.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, replace
from queue import Empty
from typing import Any

from .answers import Record, Response
from .cache import Mode
from .call import LLMCall, Planner
from .clients import OpenAIClient
from .errors import ConfigError, NotAsked, OptionError, PromptError, ReplayMiss, Stopped, TinyLLMError
from .plans import Plan
from .pools import Crew, Hired, Pool, answered
from .rows import Rows, read_rows
from .sessions import session
from .spool import Spool
from .tables import WHOLE, Sums, Table, Tally
from .ticker import Ticker

Watch = Callable[[Table], None]
WINDOW = 4  # rows for each worker that are rendered and wait
REST = 0.01  # seconds; each outcome on its own would wake this thread, which costs the workers' time
TICK = 0.25  # seconds between two looks at how far it has come


@dataclass(frozen=True)
class Task:
    """One row to be answered: what the table shows of it, and the call with its variables."""

    row: Mapping[str, Any]
    call: LLMCall
    variables: Mapping[str, Any]


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
    _demand_call(call)
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


def combinations(
    call: LLMCall,
    *,
    models: Iterable[str] | None = None,
    grid: Mapping[str, Iterable[Any]] | None = None,
    variables: Mapping[str, Any] | None = None,
    samples: int = 1,
    mode: str | None = None,
) -> Iterator[Task]:
    """The tasks of ``compare``; raises ``OptionError`` where there is nothing to compare."""
    _demand_call(call)
    _demand_count("samples", samples)
    names, axes = _axes(call, models, grid or {})
    if samples > 1 and "sample" in axes:
        raise OptionError("sample is an axis of the grid already", option="sample", hint="Leave out -n (samples=), or the axis.")
    given = {} if mode is None else {"mode": mode}
    for name in names:
        route = session.route(name, session.settings())
        for values in itertools.product(*axes.values()):
            for sample in range(samples):
                chosen = dict(zip(axes, values, strict=True))
                row = {"model": name or route.name or route.model, **chosen, **({"sample": sample} if samples > 1 else {})}
                params = {**given, **chosen, **({"model": name} if name else {}), **({"sample": sample} if samples > 1 else {})}
                yield Task(row, call.varied(**params), variables or {})


def row_tasks(call: LLMCall, rows: Rows) -> Iterator[Task]:
    """The tasks of ``map_rows``; raises ``PromptError`` for a template that can be rendered for no row."""
    call.templates()
    return (Task(row, call, _variables(call, row)) for row in rows.items)


def watch_of(progress: bool | Watch | None) -> Watch | None:
    """Who is told how far a map has come."""
    if callable(progress):
        return progress
    if progress is None:
        return session.watch() if session.watch is not None else None
    return Ticker() if progress else None


def _as_they_are(tasks: Iterable[Task], count: int | None) -> Iterable[Task]:
    """The tasks, where nobody wants to look at them before they are asked."""
    del count
    return tasks


def _axes(call: LLMCall, models: Iterable[str] | None, grid: Mapping[str, Any]) -> tuple[list[Any], dict[str, list[Any]]]:
    """The models and each parameter's values; a text or a number is one value."""
    axes = {key: list(v) if isinstance(v, Iterable) and not isinstance(v, (str, bytes, Mapping)) else [v] for key, v in grid.items()}
    if models is not None and "model" in axes:
        hint = "Name all models in one place: --compare M1,M2 (models=)."
        raise OptionError("model is an axis of the grid already", option="model", hint=hint)
    own = axes.pop("model", [call.model_params.get("model")])
    names = own if models is None else [models] if isinstance(models, str) else list(models)
    empty = [key for key, choices in {"models": names, **axes}.items() if not choices]
    if empty:
        raise OptionError(f"{empty[0]} has no values to compare", option=empty[0])
    return names, axes


def _demand_call(call: Any) -> None:
    """Raise ``OptionError`` (a ``TypeError``) for what is no ``LLMCall``."""
    if not isinstance(call, LLMCall):
        hint = 'Make one of the prompt: LLMCall("You are brief.", "Translate {{ text }}.").'
        raise OptionError(f"the call is an LLMCall, not {type(call).__name__}", option="call", hint=hint)


def _demand_count(name: str, value: Any) -> None:
    """Raise ``OptionError`` (a ``TypeError``) for what is no whole number above 0."""
    if not isinstance(value, int) or value < 1:
        raise OptionError(f"{name}={value!r} is not a whole number above 0", option=name)


def _variables(call: LLMCall, row: Mapping[str, Any]) -> Mapping[str, Any]:
    return row if "row" in row or "row" in call.namespace else {"row": row, **row}


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
        _demand_count("workers", workers)
        self._tasks, self._count, self._kind, self._index = iter(getattr(watch, "open", _as_they_are)(tasks, count)), count, kind, index
        current = session.settings()
        self._store = session.store(current)
        self._planner = Planner(current.over({"cache_file_name": str(self._store.path)}, "the map"))  # looked up once, not for each row
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
        try:
            for task in self._tasks:
                self._begin(task)
                while len(self._calls) >= self._window:
                    self._rest()
                    self._land()
                self._tell()
            while self._calls:
                self._land()
        except KeyboardInterrupt:
            raise self._stopped() from None
        except BaseException as error:
            if len(self._entries) == 1 and isinstance(error, self._fatal):
                raise  # nothing was begun
            self._halt()
            if isinstance(error, TinyLLMError):
                error.table = session.last_table  # type: ignore[attr-defined]  # evidence, as every error of ours keeps some
            raise
        self._pool.stop()
        self._tally = replace(self._tally, total=len(self._entries), seconds=time.monotonic() - self._began)
        return self._finished()

    def _begin(self, task: Task) -> None:
        place = self._entries.append(task.row, task.call)
        try:
            client, plan = self._planner.plan(task.call, task.variables)
        except TinyLLMError as error:
            if place == 0 and isinstance(error, self._fatal):
                raise  # the call itself is wrong, and so would be every row
            self._end(place, error)
            return
        self._mode = plan.mode
        first = self._entries.first(plan.request.key, place)
        if first != place:
            self._join(place, first)
        elif plan.mode is Mode.REPLAY or (plan.mode is Mode.AUTO and plan.request.key in self._store):
            self._end(place, self._known(client, plan), plan)
        else:
            self._calls[place] = plan
            self._pool.submit(place, client, plan)

    def _known(self, client: OpenAIClient, plan: Plan) -> Response | BaseException:
        """The recorded answer; in strict replay only the first miss is explained, for that takes a search."""
        if self._missed and plan.request.key not in self._store:
            return ReplayMiss("no recorded answer for this row either", request=plan.request, path=str(self._store.path))
        outcome = answered(client, plan)
        self._missed = self._missed or isinstance(outcome, ReplayMiss)
        return outcome

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
        entry.source, entry.repeats = "recorded", True
        entry.whole = None if earlier.whole is None else replace(earlier.whole, source="recorded")
        self._ended(place)

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
        self._store.flush()  # what has landed is written down
        for n, (place, outcome) in enumerate(landed):
            plan = self._calls.pop(place)
            try:
                self._end(place, outcome, plan)
            except BaseException:  # on_error="raise": what came with it is kept all the same
                for other in landed[n + 1 :]:
                    self._pool.events.put(other)
                raise
            for twin in self._twins.pop(place, ()):
                self._join(twin, place)
        self._tell()

    def _end(self, place: int, outcome: Response | BaseException, plan: Plan | None = None) -> None:
        entry = self._entries[place]
        if isinstance(outcome, Response):
            whole = place < WHOLE or plan is None or plan.mode is Mode.OFF or outcome.key not in self._store
            outcome = replace(outcome, call=entry.call)
            entry.take(outcome, whole=whole)
        else:
            entry.take(outcome)
        self._ended(place, None if plan is None else plan.request.key)
        if entry.error is not None and self._raises:
            raise entry.error

    def _ended(self, place: int, key: str | None = None) -> None:
        entry = self._entries[place]
        self._tally, self._sums = self._tally.plus(entry, time.monotonic() - self._began), self._sums.plus(entry)
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
        return self._store.get(key)

    def _finished(self) -> Table:
        self._store.flush()
        table = session.last_table = self._so_far()
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
            if not isinstance(outcome, CancelledError) and self._entries[place].error is None:
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
