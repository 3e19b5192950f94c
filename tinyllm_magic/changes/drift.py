"""Asks recorded questions of a notebook again, within a budget, and gives each a verdict; the store and the notebook stay as they are."""

from __future__ import annotations

import itertools
import os
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..clients.plans import build_plan
from ..clients.prepared import PreparedCall
from ..clients.sessions import Session
from ..errors import BudgetError, ConfigError, StoreError, TinyLLMError
from ..models import pricing
from ..models.endpoints import is_loopback, key_state
from ..models.routing import Route
from ..recording.modes import Mode
from ..redaction import mask
from ..responses import Answer
from ..settings import layers
from ..settings.layers import Settings
from .drift_sample import Question, choose_questions, list_questions
from .drift_verdict import UNKNOWN, DriftVerdict, correct_tests, judge, needs_more
from .recorded_notebook import RecordedNotebook, read_recorded
from .recorded_routes import find_route
from .restored_requests import FilesBelow, restore_request

Progress = Callable[[str], None]
STOPPED = "stopped before it was answered"


@dataclass(frozen=True)
class DriftOptions:
    """How a notebook is asked again: ``sample`` questions at most, by the random numbers of ``seed``, for ``budget`` US dollars at most.

    With ``allow_unpriced`` models are asked, too, whose price is unknown: no budget can hold them.
    """

    sample: int = 10
    budget: float = 0.0
    seed: int = 0
    allow_unpriced: bool = False


@dataclass(frozen=True)
class PlannedQuestion:
    """A question with the call that would ask it, or why it cannot be asked; costs are US dollars for all its draws."""

    question: Question
    call: PreparedCall | None = None
    why_not: str = ""
    likely: float = 0.0
    most: float = 0.0
    unpriced: str = ""
    """The model, where its price is unknown."""


@dataclass
class DriftRun:
    """One run: what is planned, and once it is through ``verdicts``, one for each planned question."""

    notebook: RecordedNotebook
    options: DriftOptions
    planned: Sequence[PlannedQuestion]
    known: int
    session: Session
    verdicts: list[DriftVerdict] = field(default_factory=list)
    seconds: float = 0.0
    stopped: bool = False

    @property
    def cost(self) -> float:
        """US dollars that the answers have cost, as far as prices are known."""
        return self.session.budget.spent

    def ask(self, progress: Progress) -> None:
        """Ask all that is planned; an error is the verdict of its question alone, and an interrupt ends the asking, not the telling."""
        began = time.monotonic()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="the price of .* is unknown")  # the plan says so
            found = self._ask_all(progress)
        self.verdicts, self.seconds = correct_tests(found), time.monotonic() - began

    def _ask_all(self, progress: Progress) -> list[DriftVerdict]:
        found: list[DriftVerdict] = []
        for number, planned in enumerate(self.planned, 1):
            progress(f"{self.notebook.path}: question {number} of {len(self.planned)}")
            try:
                found.append(_give_up(planned.question, STOPPED) if self.stopped else _ask(planned))
            except KeyboardInterrupt:
                self.stopped = True
                found.append(_give_up(planned.question, STOPPED))
        return found


def plan_drift(path: Path, options: DriftOptions) -> DriftRun:
    """Choose questions of a notebook and prepare their calls; nothing is asked yet.

    Raises ``ConfigError`` under strict replay, ``NotebookError`` and ``StoreError`` where there is nothing to ask again.
    """
    current = layers.load(path.absolute().parent, os.environ)
    if current.mode is not None and Mode.of(str(current.mode)) is Mode.REPLAY:
        source = current.source("mode")
        raise ConfigError("strict replay asks nobody, so that nothing can be said of drift", key="MODE", hint=f"It is set by {source}.")
    notebook = read_recorded(path)
    questions = list_questions(notebook)
    if not questions:
        hint = "Run the notebook with recording on, or `tinyllm-magic verify --record` it."
        raise StoreError(f"no answer of a model is recorded for {path.name} in {notebook.store.name}", hint=hint, path=str(notebook.store))
    session = Session()
    session.budget.set_limit(options.budget)
    files = FilesBelow(path.absolute().parent)
    chosen = choose_questions(questions, options.sample, options.seed)
    planned = [_plan(question, path, session, current, files, options) for question in chosen]
    return DriftRun(notebook, options, planned, len(questions), session)


def _plan(question: Question, path: Path, session: Session, current: Settings, files: FilesBelow, options: DriftOptions) -> PlannedQuestion:
    try:
        request = restore_request(question.request, files)
        route = find_route(request, session, current)
        route = _place_file(route, path.absolute().parent)
        refusal = _refuse(route)
        if refusal:
            return PlannedQuestion(question, why_not=refusal)
        call = session.prepare_plan(build_plan(request, route, current, Mode.OFF, None), current=current)
        usage = question.records[0].answer.usage
        likely, most = pricing.price_range(request, route, usage.completion_tokens if usage else 0)
    except TinyLLMError as error:
        return PlannedQuestion(question, why_not=error.message)
    if most is None and not (route.endpoint.known_vendor.local or options.allow_unpriced):
        return PlannedQuestion(
            question, why_not=f"the price of {route.model} is unknown there, so that no budget holds it (--allow-unpriced)"
        )
    unpriced = route.model if most is None else ""
    return PlannedQuestion(question, call, "", (likely or 0.0) * question.draws, (most or 0.0) * question.most_draws, unpriced)


def _place_file(route: Route, folder: Path) -> Route:
    """The route with its model file named from the notebook's folder, where its kernel runs."""
    path = route.endpoint.path
    return route if path is None else replace(route, endpoint=replace(route.endpoint, path=str(folder / Path(path).expanduser())))


def _refuse(route: Route) -> str:
    """Why nothing is sent that way; empty where it may be."""
    if not route.endpoint.trusted and not is_loopback(route.endpoint.base_url or ""):
        return "config.ini of the notebook's folder names its address, and that folder is not trusted (`%llm_config trust`)"
    if route.endpoint.api_type == "azure":  # whoever is signed in may need no key
        return ""
    state = key_state(route.endpoint, os.environ)
    return state if state.endswith("is missing") else ""


def _ask(planned: PlannedQuestion) -> DriftVerdict:
    """The verdict of one question, whatever becomes of its calls."""
    question = planned.question
    if planned.call is None:
        return _give_up(question, planned.why_not)
    answers: list[Answer] = []
    problem = ""
    try:
        for sample in itertools.count():
            answers.append(planned.call.with_sample(sample).answer().record.answer)
            if len(answers) >= question.draws and not needs_more(question, answers):
                break
    except BudgetError as error:
        problem = f"the budget does not allow it: {error.message}"
    except TinyLLMError as error:
        problem = f"{type(error).__name__}: {error.message}"
    except Exception as error:  # noqa: BLE001  # whatever a client or an engine raises, the other questions are asked all the same
        problem = f"{type(error).__name__}: {mask(str(error))}"
    if not answers or (problem and len(answers) < question.draws):
        return _give_up(question, problem, len(answers))
    return judge(question, answers)


def _give_up(question: Question, why: str, calls: int = 0) -> DriftVerdict:
    return DriftVerdict(question, UNKNOWN, why, calls=calls)
