"""Records the answers of a batch as live answers are recorded (``Collector``); what became of its requests: ``Outcomes``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ..clients.environment import shell, version
from ..clients.fallbacks import learn
from ..clients.prepared import PreparedCall
from ..clients.sessions import session
from ..errors import (
    AuthError,
    BadResponseError,
    CallTimeoutError,
    InvalidRequestError,
    NotAsked,
    QuotaError,
    TinyLLMError,
    UnsupportedError,
)
from ..messages import Request
from ..models import pricing, tokens
from ..models.routing import Route
from ..providers.batch_service import BatchAnswer, BatchService, BatchState, explain_fault
from ..recording.modes import Mode
from ..recording.recorder import RecordingProvider
from ..recording.store import Store
from ..redaction import mask_data
from ..responses import Record, Response
from .job_questions import Question
from .job_state import Job

_REMEMBERED, _LONGEST_FAILURE = 1000, 4000  # failures of one job that are kept, and characters of one
_AT_A_TIME = 256  # records that are written in one go
_AGAIN = "It failed so in a batch; `--fresh`, or mapping the table's `.failed`, asks again."


@dataclass
class Outcomes:
    """What became of requests, by key: answered just now, failed, or under way.

    Records of ``fresh`` keys stand in the store, but for ``unrecorded`` ones. A ``pending`` request belongs to a job.
    """

    fresh: set[str] = field(default_factory=set)
    unrecorded: dict[str, Record] = field(default_factory=dict)
    errors: dict[str, TinyLLMError] = field(default_factory=dict)
    pending: dict[str, Job] = field(default_factory=dict)

    def __contains__(self, key: str) -> bool:
        return key in self.fresh or key in self.unrecorded or key in self.errors or key in self.pending

    @property
    def jobs(self) -> list[Job]:
        """The jobs under way that hold pending requests."""
        return list({job.id: job for job in self.pending.values()}.values())


@dataclass(frozen=True)
class Way:
    """How a job's service is reached, and what its answers cost."""

    service: BatchService
    route: Route


class Collector:
    """Records the lines of one batch as live answers are recorded, and counts them in the session."""

    def __init__(self, store: Store, job: Job, way: Way, outcomes: Outcomes) -> None:
        self._store, self._job, self._way, self._outcomes = store, job, way, outcomes
        self._seen: set[str] = set()

    def add(self, question: Question | None, line: Mapping[str, Any]) -> None:
        """Take the answer or failure of one row."""
        if question is None or question.request.key in self._seen:
            return
        request = question.request
        key = request.key
        self._seen.add(key)
        if not self._job.refresh and key in self._store:  # asked live meanwhile, or fetched by a kernel that was lost
            return
        recorder = RecordingProvider(
            BatchAnswer(line, question.notes),
            self._store,
            Mode.REFRESH,
            flights=session.services.flights,
            estimate=tokens.estimate_usage,
            price=partial(pricing.price_answer, self._way.route, tier=pricing.BATCH),
            draw=lambda _: question.thumbnails,
            version=version(),
            defers=lambda: True,
        )
        try:
            *_, last = recorder.send(request)
        except TinyLLMError as error:
            self._fail(request, error, line)
            return
        if last.record is None:
            raise RuntimeError("the recording provider ended without a record")
        self._observe(request, Response(request, last.record, "live"))
        if key in self._store:
            self._outcomes.fresh.add(key)
        else:
            self._outcomes.unrecorded[key] = last.record
        if not len(self._seen) % _AT_A_TIME:
            self._store.flush()

    def add_missing(self, question: Question | None, told: BatchState) -> None:
        """Say of a row that stands in neither file why it has no answer."""
        if question is not None and question.request.key not in self._seen:
            self._seen.add(question.request.key)
            self._fail(question.request, _explain_missing(told), None)

    def _fail(self, request: Request, error: TinyLLMError, line: Mapping[str, Any] | None) -> None:
        self._outcomes.errors[request.key] = error
        self._observe(request, error)
        if isinstance(error, UnsupportedError) and self._learn(request, error.feature or ""):
            return
        if line is None or not isinstance(error, InvalidRequestError) or isinstance(error, (AuthError, QuotaError)):
            return
        kept = mask_data({name: line.get(name) for name in ("response", "error")})
        if len(self._job.failures) < _REMEMBERED and len(repr(kept)) <= _LONGEST_FAILURE:
            self._job.failures[request.key] = kept

    def _learn(self, request: Request, feature: str) -> bool:
        """Remember what the model does not take, so that the row is left without it at the next time."""
        if request.kind == "responses" and feature in ("reasoning_summary", "include"):
            self._way.service.learnt.add(feature)
            return True
        return learn(request, feature, session.services.unsupported)

    def _observe(self, request: Request, outcome: Response | TinyLLMError) -> None:
        services, route = session.services, self._way.route
        services.budget.settle(request, route, outcome, 0.0)
        services.history.add(request, route, outcome, in_cell=shell() is not None, pool=self._job)


def _explain_missing(told: BatchState) -> TinyLLMError:
    if told.status == "failed":
        error = explain_fault(told.errors[0] if told.errors else {"message": "the batch failed, and nothing is said of why"})
        error.args = (f"the batch {told.id} failed: {error.message}",)
        return error
    if told.status == "expired":
        return CallTimeoutError(f"the batch {told.id} ended before this row's turn came", hint="Run the same again to leave it anew.")
    if told.status == "cancelled":
        return NotAsked(f"the batch {told.id} was cancelled before this row's turn came")
    return BadResponseError(f"the batch {told.id} holds no answer to this row")


def recall_failures(jobs: Iterable[Job], wanted: Mapping[str, PreparedCall]) -> dict[str, TinyLLMError]:
    """The errors of requests that failed in a batch before, and would again."""
    found: dict[str, TinyLLMError] = {}
    for job in jobs:
        for key in wanted.keys() & job.failures.keys():
            try:
                for _ in BatchAnswer(job.failures[key]).send(wanted[key].request):
                    pass
            except TinyLLMError as error:
                error.hint = f"{error.hint} {_AGAIN}".strip()
                found[key] = error
    return found
