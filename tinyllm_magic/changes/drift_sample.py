"""Which recorded questions are asked again: all that were asked of a model, and a seeded choice that is spread over models and cells."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from ..errors import MessageError
from ..evaluation.distributions import smallest_p
from ..evaluation.intervals import LEVEL
from ..messages import key_of, last_prompt
from ..redaction import excerpt
from ..responses import Record
from .recorded_notebook import RecordedCell, RecordedNotebook

_ASKED = ("chat", "responses", "embedding")
_MOST_DRAWS = 20
TIMES = 3
"""How often a new text must come before it counts as the one answer that a model has now: at temperature 0, too, vendors vary."""
_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Question:
    """One question that was asked of a model: its records, one for each sample, and the cell that shows one of them, if any does."""

    records: tuple[Record, ...]
    cell: RecordedCell | None = None

    @property
    def request(self) -> Mapping[str, Any]:
        """What was asked, in canonical form."""
        return self.records[0].request

    @property
    def model(self) -> str:
        """The model that was asked."""
        return str(self.request.get("model", ""))

    @property
    def params(self) -> Mapping[str, Any]:
        """The parameters that were sent."""
        params = self.request.get("params")
        return params if isinstance(params, Mapping) else {}

    @property
    def is_held_still(self) -> bool:
        """Whether it was asked so that the model would say the same again, as far as it can: at temperature 0, or with a seed."""
        return self.params.get("temperature") == 0 or self.params.get("seed") is not None or self.request.get("kind") == "embedding"

    @property
    def draws(self) -> int:
        """How many answers are asked for: as many as are recorded, and so many that a test of both could show a difference."""
        recorded = len(self.records)
        if recorded == 1:
            return 1
        drawn = min(recorded, _MOST_DRAWS)
        while smallest_p(recorded, drawn) > 1 - LEVEL:
            drawn += 1
        return drawn

    @property
    def most_draws(self) -> int:
        """How many answers are asked for at most: another text of a question that is held still may be chance."""
        may_repeat = len(self.records) == 1 and self.is_held_still and self.request.get("kind") != "embedding"
        return TIMES if may_repeat else self.draws

    @property
    def title(self) -> str:
        """What was asked last, on one line."""
        return excerpt(last_prompt(self.request), 60)

    @property
    def place(self) -> str:
        """The cell in words."""
        return f"cell {self.cell.number}" if self.cell is not None else "no cell's output"


def list_questions(notebook: RecordedNotebook) -> list[Question]:
    """The questions that were asked of models, in the order of the cells, then of time; results of tools and fetched files are none."""
    grouped: dict[str, list[Record]] = {}
    for record in notebook.records.values():
        if record.request.get("kind") in _ASKED:
            grouped.setdefault(_without_sample(record), []).append(record)
    cell_of = notebook.cell_of
    found = []
    for records in grouped.values():
        ordered = tuple(sorted(records, key=lambda r: int(r.request.get("sample", 0))))
        found.append(Question(ordered, next((cell_of[r.key] for r in ordered if r.key in cell_of), None)))
    return sorted(found, key=_order)


def _order(question: Question) -> tuple[float, str, str]:
    cell = question.cell
    return (float("inf") if cell is None else cell.number), question.records[0].created, question.records[0].key


def _without_sample(record: Record) -> str:
    """What samples of one question have in common; a request that has no key stands alone."""
    try:
        return key_of({name: value for name, value in record.request.items() if name != "sample"})
    except (MessageError, RecursionError):
        return record.key


def choose_questions(questions: Sequence[Question], count: int, seed: int) -> list[Question]:
    """At most so many questions by the random numbers of a seed, the models in turn, and of each model the cells in turn.

    They come in the order in which ``questions`` has them.
    """
    dice = random.Random(seed)  # noqa: S311  # a choice that can be made again
    by_model: dict[tuple[str, str], dict[int | None, list[Question]]] = {}
    for question in questions:
        cells = by_model.setdefault((str(question.request.get("provider", "")), question.model), {})
        cells.setdefault(question.cell.number if question.cell is not None else None, []).append(question)
    of_models = []
    for cells in by_model.values():
        of_cells = [dice.sample(asked, len(asked)) for asked in cells.values()]
        of_models.append(list(_take_turns(dice.sample(of_cells, len(of_cells)))))
    chosen = list(_take_turns(dice.sample(of_models, len(of_models))))[:count]
    return sorted(chosen, key=questions.index)


def _take_turns(queues: Iterable[Sequence[_Item]]) -> Iterable[_Item]:
    """One of each, then the next one of each."""
    waiting = [list(queue) for queue in queues]
    for turn in range(max(map(len, waiting), default=0)):
        yield from (queue[turn] for queue in waiting if turn < len(queue))
