"""The rows of a map whose answers come through batch services (``BatchAnswers``): which are missing, and what became of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from queue import SimpleQueue

from ..clients.prepared import PreparedCall
from ..clients.sessions import session
from ..errors import BatchPending, NotAsked, OptionError, SchemaError, Stopped, TinyLLMError
from ..recording.modes import Decision, Mode
from ..recording.recorder import Resolution
from ..recording.store import Store
from ..responses import Response
from .executors import Event, Outcome
from .job_answers import Outcomes, recall_failures
from .job_state import GONE, Job
from .jobs import BatchJobs, Tell
from .row_calls import RowPreparer
from .state import Watch
from .table import Table
from .tasks import Task, prepare_task

_KEPT = 10_000  # tasks whose prepared calls stay in memory: of those beyond, prompts are rendered again
_STATES = {
    "validating": "being checked by the vendor",
    "in_progress": "in progress",
    "finalizing": "almost done",
    "cancelling": "being cancelled",
    "completed": "done, not fetched yet",
}


class BatchAnswers:
    """A pool that answers the rows of a map with what batch services have answered.

    ``collect`` fetches what is done and leaves what nobody was asked yet; then the pool says of each row what became of it.
    """

    def __init__(self, tasks: Iterable[Task], tell: Tell | None = None) -> None:
        self.events: SimpleQueue[Event] = SimpleQueue()
        self._tasks, self._tell = list(tasks), tell
        self._outcomes = Outcomes()
        self._store: Store | None = None
        self._answered = 0
        self._asks_again = False  # whether an answer that does not fit its schema leads to another request
        self.replays = False
        """Whether only records count, and no batch service is asked (strict replay)."""

    def __len__(self) -> int:
        return len(self._tasks)

    @property
    def is_pending(self) -> bool:
        """Whether some rows wait for their batch."""
        return bool(self._outcomes.pending)

    @property
    def has_answers(self) -> bool:
        """Whether anything can be told of any row yet."""
        return bool(self._answered or self._outcomes.fresh or self._outcomes.unrecorded or self._outcomes.errors)

    def collect(self) -> None:
        """Fetch the answers that are done, and leave the requests that are in no batch yet; an interrupt raises ``Stopped``."""
        try:
            wanted = self._find_wanted()
            if self._store is None or self.replays:
                return
            jobs = BatchJobs(self._store, self._tell)
            jobs.fetch(wanted, self._outcomes)
            if self._outcomes.fresh and self._asks_again:
                wanted = self._find_wanted()
                jobs.fetch(wanted, self._outcomes)
            fresh_errors = self._outcomes.errors.keys()
            recalled = recall_failures(jobs.file.read(), {k: c for k, c in wanted.items() if c.mode is Mode.AUTO and k not in fresh_errors})
            self._outcomes.errors.update(recalled)
            jobs.leave(wanted, self._outcomes)
        except KeyboardInterrupt:
            raise Stopped(message="Stopped: what was left with a batch service stays there; run the same again to go on.") from None

    def mark(self) -> Iterator[Task]:
        """The tasks, those whose requests were in a batch just now marked as not to be looked up."""
        preparer = RowPreparer(session.settings())
        for task in self._tasks:
            try:
                prepared = prepare_task(task, preparer).make()
            except TinyLLMError as error:
                yield replace(task, ready=error)
                continue
            known = prepared.request.key in self._outcomes
            yield replace(task, ready=replace(prepared, resolution=Resolution(Decision.CALL)) if known else prepared)

    def submit(self, place: int, prepared: PreparedCall) -> None:
        """Tell what became of a row."""
        self.events.put((place, self._answer(prepared)))

    def stop(self) -> None:
        """Nothing is under way here."""

    def demand_all(self, table: Table | None) -> None:
        """Raise ``BatchPending`` where some rows wait for their batch."""
        if not self._outcomes.pending:
            return
        count, jobs = len(self._outcomes.pending), self._outcomes.jobs
        error = BatchPending(
            f"{count:,} {'request waits' if count == 1 else 'requests wait'} for {'; '.join(map(describe_job, jobs))}",
            batches=tuple(job.batch for job in jobs if job.batch is not None),
        )
        error.table = table
        raise error

    def _find_wanted(self) -> dict[str, PreparedCall]:
        """The requests that are not answered by the store, by key."""
        preparer, wanted = RowPreparer(session.settings()), dict[str, PreparedCall]()
        self._answered = 0
        for place, task in enumerate(self._tasks):
            try:
                prepared = prepare_task(task, preparer).make()
            except TinyLLMError as error:
                self._tasks[place] = replace(task, ready=error)  # the map tells of it
                continue
            if place < _KEPT:
                self._tasks[place] = replace(task, ready=prepared)
            self._demand_batch(prepared)
            if self._store is None and prepared.store is not None:
                len(prepared.store)  # one that cannot be read could keep no answer: it raises
            elif prepared.store is not self._store:
                raise OptionError(
                    "the rows of one batch cell are recorded in one store, and clients here have stores of their own", option="batch"
                )
            self._store, self._asks_again = prepared.store, self._asks_again or prepared.plan.tries > 1
            call = None if self.replays else self._find_open(prepared)
            if call is None:
                self._answered += 1
            else:
                wanted[call.request.key] = call
        return wanted

    def _demand_batch(self, prepared: PreparedCall) -> None:
        """Raise ``OptionError`` where a call cannot be answered through a batch."""
        self.replays = prepared.mode is Mode.REPLAY
        if prepared.plan.tools:
            hint = "Without --batch the same rows are asked live."
            raise OptionError("functions run between requests, and a batch makes one request of a row", option="tools", hint=hint)
        if prepared.mode is Mode.OFF:
            hint = "Leave the mode at auto: `--mode auto`, or mode='auto' in a script, where recording is off unless set."
            raise OptionError(
                "the answers of a batch come later, and need a store: the mode off records nothing", option="batch", hint=hint
            )
        if prepared.mode is Mode.REFRESH and prepared.plan.tries > 1:
            hint = "Ask anew with --fresh alone, then run without it: answers that do not fit are asked again."
            raise OptionError("tries and --fresh do not go together in a batch", option="tries", hint=hint)

    def _find_open(self, prepared: PreparedCall) -> PreparedCall | None:
        """The request that a row's answer waits for: its own, or where recorded ones do not fit its schema the next try."""
        if prepared.mode is Mode.REFRESH:
            return None if prepared.request.key in self._outcomes.fresh else prepared
        call: PreparedCall | None = prepared
        while call is not None:
            record = call.resolve().record
            if record is None:
                return call
            try:
                call.read(Response(call.request, record, "recorded"))
            except SchemaError as error:
                call = call.ask_again(error)
            else:
                return None
        return None

    def _answer(self, prepared: PreparedCall) -> Outcome:
        key, found = prepared.request.key, self._outcomes
        if key in found.errors:
            return found.errors[key]
        record, source = found.unrecorded.get(key), "live"
        if record is None and key in found.fresh and self._store is not None:
            record = self._store.get(key)
        if record is None and prepared.mode is Mode.AUTO:
            record, source = replace(prepared, resolution=None).resolve().record, "recorded"
        if record is None:
            if key in found.pending:
                return BatchPending(f"this row waits for {describe_job(found.pending[key])}")
            return NotAsked("this row's prompt is another than a moment ago, when it was looked for: its template changes by itself")
        try:
            return prepared.read(Response(prepared.request, record, source))
        except SchemaError as error:
            again = prepared.ask_again(error)
            return error if again is None else self._answer(again)


class EndWatch:
    """Shows a run that is over at once by its end alone."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def __call__(self, table: Table) -> None:
        """Show a state on the way."""
        self._watch(table)

    def close(self, table: Table) -> None:
        """Show the end."""
        getattr(self._watch, "close", self._watch)(table)


def describe_job(job: Job) -> str:
    """A job and where it stands, in a few words."""
    if job.batch is None:
        return "a batch that is not made yet: another kernel is leaving it, or the vendor still checks its file"
    counts = f"{job.completed + job.failed:,} of {job.requests:,} done" if job.status == "in_progress" else ""
    until = f"until {job.expires[:16].replace('T', ' ')} UTC" if job.expires else ""
    return f"{job.batch} ({', '.join(filter(None, (describe_state(job), counts, until)))})"


def describe_state(job: Job) -> str:
    """How far a job has come, in a word or two."""
    if job.status == GONE:
        return "gone at the vendor"
    if job.fetched:
        return "fetched" if job.status == "completed" else f"{job.status}, fetched"
    if job.batch is None:
        return "not left yet: run its cell again"
    return _STATES.get(job.status, job.status)
