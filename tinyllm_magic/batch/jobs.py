"""Leaves requests with batch services and fetches their answers, across kernels: ``BatchJobs``.

Each step is written into the state file before it is taken. A kernel that is lost on the way asks nothing twice: before a
batch is made, and wherever it is open whether one was, the service is asked for one that says in its metadata that it is ours.
"""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..clients.plans import build_plan
from ..clients.prepared import PreparedCall
from ..clients.sessions import session
from ..errors import AuthError, ConfigError, InvalidRequestError, NotFoundError, QuotaError, TinyLLMError
from ..files import replace_whole
from ..messages import Request
from ..models import pricing
from ..providers.batch_service import ENDED, USELESS, BatchService, BatchState, read_lines
from ..recording.modes import Mode
from ..recording.store import Store
from .job_answers import Collector, Outcomes, Way
from .job_questions import Part, Questions, read_keys, write_parts
from .job_state import GONE, IN_DOUBT, Job, JobFile
from .state import state

Tell = Callable[[str, int, int], None]
"""Is told what is done, how much of it, and how much there is in all."""
Seen = list[tuple[Job, TinyLLMError | None]]
"""Jobs, each with the error that kept its state from being found out."""
_OURS, _DIGEST = "tinyllm_magic", "tinyllm_magic_requests"  # names in a batch's metadata: our id of it, and which requests it holds


class _Overtaken(Exception):
    """Another kernel has left some of the same requests meanwhile."""


class BatchJobs:
    """The batches of one store; ``tell`` is told how far a step has come."""

    def __init__(self, store: Store, tell: Tell | None = None) -> None:
        self.file, self._store = JobFile(store.path), store
        self._tell = tell or (lambda _message, _done, _total: None)
        self._known: set[str] = set()

    # -- what a cell does ----------------------------------------------------------------------

    def fetch(self, wanted: Mapping[str, PreparedCall], outcomes: Outcomes) -> None:
        """Fetch what has ended of the batches that hold wanted requests; of the others these requests are pending."""
        for job in self.file.read():
            self._known.add(job.id)
            if job.fetched:
                continue
            keys = [key for key in read_keys(self.file.questions(job)) if key in wanted and key not in outcomes]
            if not keys:
                continue
            way = _find_way(wanted[keys[0]])
            if self._is_under_way(job, way) and not (self._look(job, way) and self._collect(job, way, outcomes)):
                outcomes.pending.update((key, job) for key in keys if key not in outcomes)

    def leave(self, calls: Mapping[str, PreparedCall], outcomes: Outcomes) -> None:
        """Leave requests with their batch services; each is pending from then on, or has failed where it could not be left.

        Raises ``BudgetError`` where the answers could pass the budget: then nothing of the same model was left.
        """
        try:
            for group in _group(call for key, call in calls.items() if key not in outcomes):
                self._leave_group(group, outcomes)
        except _Overtaken:
            self.fetch(calls, outcomes)
            self.leave(calls, outcomes)

    def _leave_group(self, group: list[PreparedCall], outcomes: Outcomes) -> None:
        service = _find_way(group[0]).service
        with tempfile.TemporaryDirectory(prefix="tinyllm-batch-") as folder:
            self._tell(f"writing {len(group):,} requests", 0, 0)
            parts = write_parts(group, service, Path(folder), outcomes.errors)
            amounts = _reserve(parts, group)
            try:
                for part in parts:
                    job = self._leave_part(part, group[0], service)
                    outcomes.pending.update(dict.fromkeys(part.keys, job))
                    state.reserved[job.id] = amounts.pop(part.digest)
            finally:
                session.budget.release(sum(amounts.values()))

    # -- what ``%llm_batch`` does ---------------------------------------------------------------

    def look(self) -> Seen:
        """All jobs as their services tell them now."""
        return [(job, self._try(job, self._look)) for job in self.file.read()]

    def fetch_all(self) -> tuple[Seen, Outcomes]:
        """Fetch every batch that has ended; returns all jobs that were not fetched before, and what became of their requests."""
        outcomes = Outcomes()

        def collect(job: Job, way: Way) -> None:
            if self._look(job, way):
                self._collect(job, way, outcomes)

        return [(job, self._try(job, collect)) for job in self.file.read() if not job.fetched], outcomes

    def cancel(self, job: Job) -> None:
        """End a batch: what it has answered can be fetched. One that was never made is forgotten."""
        way = open_way(job) if job.is_open or job.status == IN_DOUBT else None
        if way is None or not self._is_under_way(job, way) or job.batch is None:
            self._forget(job)
        elif job.status in ENDED:
            self._forget_if_gone(job, way)
        else:
            try:
                self._note(job, way.service.cancel(job.batch))
            except NotFoundError:  # the vendor has forgotten it, or it is another project's
                self._forget(job)

    def _forget_if_gone(self, job: Job, way: Way) -> None:
        """Forget a batch that has ended and whose answers can be had no more; what can be fetched stays."""
        try:
            with tempfile.TemporaryDirectory(prefix="tinyllm-batch-") as folder:
                self._download(job, way, Path(folder))
        except NotFoundError:
            self._forget(job)

    def _forget(self, job: Job) -> None:
        """Wait for a job no more; a batch stays listed, so that it is not taken for one that can be shared."""
        if job.batch is None:
            self.file.drop(job)
        else:
            job.fetched, job.status = True, GONE
            self.file.save(job)
            self.file.remove_questions(job)
        session.budget.release(state.reserved.pop(job.id, 0.0))

    def _try(self, job: Job, step: Callable[[Job, Way], object]) -> TinyLLMError | None:
        """Take a step with a job that is under way; the error that it ends with."""
        try:
            if job.is_open or job.status == IN_DOUBT:
                way = open_way(job)
                if self._is_under_way(job, way):
                    step(job, way)
        except TinyLLMError as error:
            return error
        return None

    # -- leaving ---------------------------------------------------------------------------------

    def _leave_part(self, part: Part, first: PreparedCall, service: BatchService) -> Job:
        """Leave the requests of a part; returns their job, which is another kernel's where that was faster."""
        with ExitStack() as claims:
            job, is_ours = self._begin(part, first, claims)
            if is_ours and job.batch is None:
                self._submit(job, part, service)
            self._tell(f"left {len(part.keys):,} requests{f' as {job.batch}' if job.batch else ''}", 0, 0)
            return job

    def _begin(self, part: Part, first: PreparedCall, claims: ExitStack) -> tuple[Job, bool]:
        """Write down that a part is going to be left, and claim it; a job of the same requests that was lost goes on.

        Raises ``_Overtaken`` where another kernel has left some of them since ``fetch`` looked.
        """
        route, wanted = first.plan.route, set(part.keys)
        mine = Job(
            secrets.token_hex(8), part.digest, route.endpoint.provider, route.model, route.spelling, first.request.kind,
            len(part.keys), _format_time(datetime.now(UTC)), refresh=first.mode is Mode.REFRESH,
        )  # fmt: skip
        with self.file.changing() as jobs:
            for job in [job for job in jobs if not job.fetched]:
                path = self.file.questions(job)
                is_same = job.digest == mine.digest and job.refresh == mine.refresh
                if job.id not in self._known and not wanted.isdisjoint(read_keys(path)):
                    raise _Overtaken
                if is_same and job.batch is not None and path.exists():
                    return job, False
                if is_same:
                    try:
                        claims.enter_context(self._claim(job))
                    except TimeoutError:
                        return job, False
                    mine = job
                elif job.batch is None and job.status != IN_DOUBT and not wanted.isdisjoint(read_keys(path)):
                    jobs.remove(job)  # it was lost before anything was asked, and its cell asks something else now
                    self.file.remove_questions(job)
            if mine not in jobs:
                claims.enter_context(self._claim(mine))
                jobs.append(mine)
            with part.questions.open("rb") as lines:
                replace_whole(self.file.questions(mine), lines)
            self._known.add(mine.id)
        return mine, True

    def _submit(self, job: Job, part: Part, service: BatchService) -> None:
        """Take the steps from a written job to a batch, each written down before."""
        if self._adopt(job, service):
            return
        if job.file is None and job.status == "uploading":
            job.file = service.find_upload(job.file_name, part.size)
        if job.file is None:
            self._step(job, "uploading")
            self._tell(f"uploading {len(part.keys):,} requests, {part.size / 1e6:.1f} MB", 0, 0)
            job.file = service.upload(part.requests, job.file_name)
        self._step(job, "uploaded")
        if not service.wait_until_checked(job.file):
            return
        self._step(job, IN_DOUBT)
        try:
            self._note(job, self._create(job, job.file, service))
        except InvalidRequestError as error:
            if isinstance(error, (AuthError, QuotaError)):
                self._step(job, "uploaded")
            else:
                self.file.drop(job)
            raise

    def _create(self, job: Job, file: str, service: BatchService) -> BatchState:
        """Make a batch; after a failure that leaves open whether there is one now, look for it before it is tried again."""
        tried: list[bool] = []

        def make() -> BatchState:
            found = service.find(lambda _, metadata: metadata.get(_OURS) == job.id) if tried else None
            tried.append(True)
            return found or service.create(file, job.kind, {_OURS: job.id, _DIGEST: job.digest})

        made: BatchState = service.repeat(make)
        return made

    def _adopt(self, job: Job, service: BatchService) -> bool:
        """Take a batch that holds the same requests for this job's: made by a kernel that was lost, or for another notebook."""
        known = {other.batch for other in self.file.read() if other.id != job.id}

        def is_wanted(batch: str, metadata: Mapping[str, Any]) -> bool:
            same = metadata.get(_DIGEST) == job.digest and not job.refresh and batch not in known
            return same or metadata.get(_OURS) == job.id

        try:
            found = service.find(is_wanted)
        except InvalidRequestError as error:
            if isinstance(error, (AuthError, NotFoundError)) or job.status == IN_DOUBT:
                raise
            return False  # a service that lists nothing
        if found is None or found.status in USELESS:
            return False
        self._note(job, found)
        return True

    def _step(self, job: Job, status: str) -> None:
        job.status = status
        self.file.save(job)

    @contextmanager
    def _claim(self, job: Job) -> Iterator[None]:
        """Hold a job's claim; raises ``TimeoutError`` where another kernel does."""
        claim = self.file.claim(job)
        with claim.held():
            yield
        claim.remove()

    # -- looking and fetching ----------------------------------------------------------------------

    def _is_under_way(self, job: Job, way: Way) -> bool:
        """Whether a job's answers are to be waited for: there is a batch, or another kernel is about to make one."""
        if job.batch is None:
            try:
                with self._claim(job):
                    if self._reread(job) and not job.is_open and job.status == IN_DOUBT:
                        found = way.service.find(lambda _, metadata: metadata.get(_OURS) == job.id)
                        if found is None:
                            self._step(job, "uploaded")
                        else:
                            self._note(job, found)
            except TimeoutError:
                return True
        return job.is_open

    def _reread(self, job: Job) -> bool:
        """Take over what other kernels have written of a job; whether it is still there."""
        now = next((known for known in self.file.read() if known.id == job.id), None)
        vars(job).update({} if now is None else vars(now))
        return now is not None

    def _look(self, job: Job, way: Way) -> bool:
        """Find out how far a batch has come; whether it has ended."""
        if job.batch is None:
            return False
        if job.status not in ENDED:
            with _naming(job):
                self._note(job, way.service.retrieve(job.batch))
        return job.status in ENDED

    def _note(self, job: Job, told: BatchState) -> None:
        """Write down what the service tells of a job's batch."""
        before = vars(job).copy()
        job.batch, job.status = told.id, told.status
        job.completed, job.failed = told.completed, told.failed
        job.expires = None if told.expires is None else _format_time(datetime.fromtimestamp(told.expires, UTC))
        if vars(job) != before:
            self.file.save(job)

    def _collect(self, job: Job, way: Way, outcomes: Outcomes) -> bool:
        """Record the answers of a batch that has ended; ``False`` where another kernel is at it, or they cannot be recorded."""
        try:
            with self._claim(job):
                if not self._reread(job):
                    return False
                if job.fetched:  # by another kernel, just now
                    return True
                with _naming(job):
                    return self._record(job, way, outcomes)
        except TimeoutError:
            return False

    @staticmethod
    def _download(job: Job, way: Way, folder: Path) -> tuple[BatchState, list[Path]]:
        """Write what a batch has answered, and what has failed, into a folder."""
        told = way.service.retrieve(str(job.batch))
        files = [file for file in (told.output_file, told.error_file) if file is not None]
        paths = [folder / str(number) for number in range(len(files))]
        for file, path in zip(files, paths, strict=True):
            way.service.download(file, path)
        return told, paths

    def _record(self, job: Job, way: Way, outcomes: Outcomes) -> bool:
        questions = Questions(self.file.questions(job))
        collector = Collector(self._store, job, way, outcomes)
        with tempfile.TemporaryDirectory(prefix="tinyllm-batch-") as folder:
            self._tell(f"fetching the answers of {job.batch}", 0, 0)
            told, paths = self._download(job, way, Path(folder))
            for path in paths:
                for name, line in read_lines(path):
                    collector.add(questions.get(name), line)
        for name in questions:
            collector.add_missing(questions.get(name), told)
        if not self._store.flush():
            return False
        job.fetched, job.status, job.completed, job.failed = True, told.status, told.completed, told.failed
        self.file.save(job)
        self.file.remove_questions(job)
        session.budget.release(state.reserved.pop(job.id, 0.0))
        return True


def count_left(store: Store, keys: Collection[str]) -> int:
    """How many of these requests are under way in a batch; nobody is asked."""
    file = JobFile(store.path)
    return sum(key in keys for job in file.read() if job.is_open for key in read_keys(file.questions(job)))


def _group(calls: Iterable[PreparedCall]) -> list[list[PreparedCall]]:
    """The calls that may stand in one batch: of one model, asked in one way."""
    groups: dict[Any, list[PreparedCall]] = {}
    for call in calls:
        groups.setdefault((call.request.provider, call.request.model, call.request.kind, id(call.client)), []).append(call)
    return list(groups.values())


def _reserve(parts: Iterable[Part], group: Iterable[PreparedCall]) -> dict[str, float]:
    """Reserve what the answers can cost at most, by the parts' digests; raises ``BudgetError`` where they could pass the budget."""
    if session.budget.limit is None:
        return {part.digest: 0.0 for part in parts}
    calls, amounts = {call.request.key: call for call in group}, dict[str, float]()
    try:
        for part in parts:
            amounts[part.digest] = 0.0
            for key in part.keys:
                amounts[part.digest] += session.budget.reserve(calls[key].request, calls[key].plan.route, tier=pricing.BATCH)
    except BaseException:
        session.budget.release(sum(amounts.values()))
        raise
    return amounts


@contextmanager
def _naming(job: Job) -> Iterator[None]:
    """Say of a batch that is not there which it is, and how to go on."""
    try:
        yield
    except NotFoundError as error:
        error.args = (f"{job.batch} is not there, or its files are gone: {error.message}",)
        error.hint = f"It may be of another key or project; `%llm_batch cancel {job.batch}` forgets it, and its rows are left anew."
        raise


def _find_way(prepared: PreparedCall) -> Way:
    return Way(prepared.client.batch_service(prepared.plan), prepared.plan.route)


def open_way(job: Job) -> Way:
    """How a job's service is reached without its cell; raises ``ConfigError`` where its model leads elsewhere now."""
    current = session.settings()
    client, route = session.resolve(None, job.spelling, current)
    if (route.endpoint.provider, route.model) != (job.provider, job.model):
        raise ConfigError(
            f"{job.batch or job.id} was left with {job.provider}, but '{job.spelling}' leads to {route.endpoint.provider} now",
            key="MODEL",
            hint="Set the address as it was (`%llm_config` shows what is set), or run its cell again.",
        )
    plan = build_plan(Request(job.provider, job.model, (), kind=job.kind), route, current, Mode.AUTO, None)
    return Way(client.batch_service(plan), route)


def _format_time(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
