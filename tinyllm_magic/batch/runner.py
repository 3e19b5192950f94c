"""Runs many tasks of one call and builds the table of their answers.

Rows are rendered one after the other in the calling thread, and never more than a window of them waits
for an answer. Rows that ask the same make one call in every mode: the others are answered by it, as
`recorded`. What the store knows is answered without a worker.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from ..clients.call import LLMCall
from ..clients.prepared import PreparedCall
from ..clients.sessions import session
from ..errors import (
    ConfigError,
    NotAsked,
    OptionError,
    PromptError,
    ReplayMiss,
    SchemaError,
    Stopped,
    StoreError,
    TinyLLMError,
    near,
    suggest,
)
from ..evaluation.evaluable import Evaluable
from ..extras import load_library
from ..recording.modes import Decision, Mode
from ..responses import Response
from ..schemas.schema import Schema
from .call_queue import CallQueue, Duplicates
from .executors import ExternalExecutor, Outcome, Pool, ThreadExecutor, value_or_error
from .progress import ProgressLine
from .results import ResultBuilder
from .row_calls import RowCall, RowPreparer
from .rows import Rows, read_rows
from .state import Watch, state
from .table import Table
from .tasks import Task, demand_count, explain_missing_column, make_row_tasks, prepare_task

WINDOW = 4  # rows for each worker that are rendered and wait
TICK = 0.25  # seconds between two looks at how far it has come


def resolve_watch(progress: bool | Watch | None) -> Watch | None:
    """Who is told how far a map has come."""
    if callable(progress):
        return progress
    if progress is None:
        return state.make_watch() if state.make_watch is not None else None
    return ProgressLine() if progress else None


class Run:
    """A map under way: lives in the thread that asked for it, hands calls to a pool and takes their outcomes."""

    def __init__(
        self,
        tasks: Iterable[Task],
        rows: Rows,
        *,
        workers: int = 8,
        on_error: str = "keep",
        executor: Any = None,
        watch: Watch | None = None,
        kind: str = "map",
        schema: Schema | None = None,
        axes: tuple[str, ...] = (),
        expect: str | None = None,
        pool: Pool | None = None,
    ) -> None:
        if on_error not in ("keep", "raise"):
            raise OptionError(f"on_error={on_error!r} is neither 'keep' nor 'raise'", option="on_error")
        demand_count("workers", workers)
        if expect is not None:
            demand_expected(expect, rows)
        current = session.settings()
        width = max(workers * WINDOW, rows.count or 0) if kind == "compare" else workers * WINDOW  # all cards are there at once
        self._tasks, self._rows, self._watch = iter(tasks), rows, watch
        self._preparer = RowPreparer(current)
        if pool is None:
            pool = ThreadExecutor(workers) if executor is None else ExternalExecutor(executor)
        self._queue = CallQueue(pool, width)
        self._duplicates, self._results = Duplicates(), ResultBuilder(rows, kind, schema, axes=axes, expect=expect)
        self._raises_errors = on_error == "raise"
        self._fatal = (ConfigError, OptionError, *([PromptError] if kind == "compare" else []))  # one prompt: wrong once, wrong always
        self._broken: Exception | None = None
        self._mode: Mode | None = None
        self._has_missed = False
        self._reported = time.monotonic()

    def answer(self) -> Table:
        """Answer every row; raises ``Stopped`` at an interrupt, and with ``on_error="raise"`` the first row's error."""
        look_ahead = getattr(self._watch, "look_ahead", None)
        if look_ahead is not None:  # an interrupt meanwhile is one before anything was begun
            self._tasks = iter(look_ahead(self._tasks, self._rows.count, self._preparer))
        self._results.start_clock()
        self._reported = time.monotonic()
        try:
            return self._answer_all()
        except KeyboardInterrupt:
            raise self._build_stopped(self._halt()) from None
        except BaseException as error:
            if len(self._results.entries) == 1 and not self._queue and not self._results.has_ended:
                raise  # the first row could not be begun
            table = self._halt()
            if isinstance(error, TinyLLMError):
                error.table = table
            raise
        finally:
            self._results.close()

    def _answer_all(self) -> Table:
        for task in self._read_tasks():
            self._begin(task)
            while self._queue.is_full:
                self._queue.rest()
                self._collect()
            self._report()
        while self._queue:
            self._collect()
        if self._broken is not None:
            raise self._broken
        self._queue.stop()
        self._results.complete()
        return self._finish()

    def _read_tasks(self) -> Iterator[Task]:
        """The tasks up to their end, or up to where the user's rows raise: what was begun before that is answered first."""
        try:
            for task in self._tasks:  # noqa: UP028  # `yield from` would close the tasks at a stop, which reads the rest of them
                yield task
        except Exception as error:  # noqa: BLE001  # a user's iterator may raise anything
            self._broken = error

    def _begin(self, task: Task) -> None:
        place = self._results.open(task.row, task.call)
        try:
            row = prepare_task(task, self._preparer)
        except TinyLLMError as error:
            if place == 0:
                self._demand_answerable(error, task)
            self._settle(place, error, raises=self._raises_errors)
            return
        self._mode = row.alike.mode
        self._results.use_store(row.alike.store)
        first = self._results.entries.first(row.request.key, place)
        if first != place:
            self._answer_duplicate(place, first, raises=self._raises_errors)
        else:
            self._answer_or_queue(place, row)

    def _answer_or_queue(self, place: int, row: RowCall) -> None:
        """Look a call up: what the store decides is settled at once, what is to be asked waits for a worker."""
        try:
            found = row.resolve()
        except StoreError as error:
            self._settle(place, error, row, raises=self._raises_errors)
            return
        outcome = value_or_error(partial(row.replay, found))
        if outcome is not None:
            self._settle(place, outcome, row, raises=self._raises_errors)
            return
        prepared = row.make(found)
        if prepared.is_settled:
            self._settle(place, self._replay(prepared), row, raises=self._raises_errors)
        else:
            self._queue.submit(place, prepared)

    def _demand_answerable(self, error: TinyLLMError, task: Task) -> None:
        """Raise where every row would fail as the first one has."""
        missing = explain_missing_column(error, task, self._rows)
        if missing is not None:
            raise missing from error
        if isinstance(error, self._fatal):
            raise error

    def _replay(self, prepared: PreparedCall) -> Outcome:
        """The recorded answer; in strict replay only the first miss is explained, for that takes a search."""
        if self._has_missed and prepared.decision is Decision.MISS:
            return ReplayMiss("no recorded answer for this row either", request=prepared.request, path=str(prepared.plan.store or ""))
        outcome = value_or_error(prepared.answer)
        self._has_missed = self._has_missed or isinstance(outcome, ReplayMiss)
        return outcome

    def _answer_duplicate(self, place: int, first: int, *, raises: bool) -> None:
        """Let a row that asks the same as an earlier one have its answer."""
        earlier = self._results.entries[first]
        if first in self._queue:
            self._duplicates.add(place, first)
        elif earlier.answered or isinstance(earlier.error, SchemaError):
            self._results.copy_answer(place, first)
        else:
            self._settle(place, earlier.error or NotAsked("the row that asks the same has no answer"), raises=raises)

    def _collect(self) -> None:
        """Take the outcomes that have come, at least one, or look up after a while."""
        outcomes = self._queue.collect(TICK)
        try:
            if outcomes:
                self._results.flush()  # what has come is written down
            for place, answered in outcomes:
                outcome = self._run_tools(self._queue.call(place), answered)
                if isinstance(outcome, PreparedCall):
                    self._queue.submit(place, outcome)
                    continue
                self._settle(place, outcome, RowCall.of(self._queue.call(place)), raises=self._raises_errors)
                self._queue.finish(place)
                self._release(place, raises=self._raises_errors)
        except BaseException:  # an interrupt, or on_error="raise": what came with it is kept all the same
            self._queue.put_back(outcomes)
            raise
        self._report()

    def _run_tools(self, prepared: PreparedCall, outcome: Outcome | PreparedCall) -> PreparedCall | Outcome:
        """The call that goes on where an answer calls tools, which run here, one after the other; else what has come."""
        if not isinstance(outcome, Response) or not prepared.calls_tools(outcome):
            return outcome
        try:
            return prepared.run_tools(outcome)
        except TinyLLMError as error:
            return error

    def _settle(self, place: int, outcome: Outcome, row: RowCall | None = None, *, raises: bool) -> None:
        """Keep what became of a row, and of which call that could be prepared."""
        if row is None:
            self._results.settle(place, outcome)
        else:
            self._results.settle(place, outcome, row.request.key, row.alike.store)
        if raises and isinstance(outcome, BaseException):
            raise outcome

    def _release(self, first: int, *, raises: bool) -> None:
        for place in self._duplicates.release(first):
            self._answer_duplicate(place, first, raises=raises)

    def _report(self) -> None:
        now = time.monotonic()
        if self._watch is not None and now - self._reported >= TICK:
            self._reported = now
            self._watch(self._results.table())

    def _finish(self) -> Table:
        table = state.last_table = self._results.table()
        self._results.flush()
        if self._watch is not None:
            getattr(self._watch, "close", self._watch)(table)
        return table

    def _halt(self) -> Table:
        """Stop asking, keep what has come in, and the rows that were not reached as failed ones."""
        self._queue.stop()
        for place, outcome, prepared in self._queue.drain():
            is_answer = prepared is None or not isinstance(outcome, Response) or not prepared.calls_tools(outcome)
            if is_answer and self._results.is_open(place):
                self._settle(place, outcome, None if prepared is None else RowCall.of(prepared), raises=False)
                self._release(place, raises=False)
        for place, _ in self._results.entries.unsettled():
            if self._results.is_open(place):
                self._results.abandon(place)
        for task in () if self._rows.count is None else self._tasks:
            self._results.abandon(self._results.open(task.row, task.call))
        return self._finish()

    def _build_stopped(self, table: Table) -> Stopped:
        kept = len(table) - table.stats.failed
        of = "" if self._rows.count is None else f" of {self._rows.count:,}"
        records = self._mode in (Mode.AUTO, Mode.REPLAY)
        again = "Run the same again to go on (what is recorded is answered at once), or map" if records else "To go on, map"
        message = f"Stopped: {kept:,}{of} rows are answered and kept in session.last_table. {again} its .failed."
        return Stopped(message=message, table=table)


def demand_expected(name: str, rows: Rows) -> None:
    """Raise, before anything is asked, where no row has the column of the right answers, or nothing could count them."""
    load_library("statsmodels.stats.proportion")
    if rows.columns is not None and name not in rows.columns:
        hint = suggest(near(name, rows.columns)) or f"The columns are {', '.join(rows.columns)}."
        raise OptionError(f"there is no column {name!r}", option="expect", hint=hint)


def ask_judge(judge: LLMCall, rows: list[dict[str, Any]]) -> Table:
    """What a call says of rows that are to be judged: a map as any other."""
    found = read_rows(rows)
    tasks = make_row_tasks(judge, found)
    return Run(tasks, found, watch=resolve_watch(None), schema=judge.model_params.get("schema")).answer()


Evaluable.ask_judge = staticmethod(ask_judge)
