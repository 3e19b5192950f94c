"""The last question under the settings that hold, and its recorded answer, as a panel shows it.

Nothing here sends a request: it prepares one, as running the cell again would, and looks its key up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..clients.call import LLMCall
from ..clients.prepared import PreparedCall
from ..clients.sessions import session
from ..display.bundle import describe_combination
from ..display.cards import Card
from ..errors import ConfigError, TinyLLMError
from ..messages import Message, to_messages
from ..recording.modes import Mode
from ..redaction import excerpt, mask
from ..settings import definitions
from ..settings.definitions import SAMPLING
from ..settings.layers import Settings
from ..settings.origins import Origin
from ..web_page import ANSWERS_RECORDED, runs_in_page
from .state import Question, state

if TYPE_CHECKING:
    from ..batch.table import Table

_MOVABLE = ("model", *SAMPLING)
_MOST_CHOICES = 200
_LONGEST_TEXT = 4000  # characters; the cell itself shows the rest
_WHY_NOT = ANSWERS_RECORDED if runs_in_page() else "the next run in mode replay finds no answer"
_ABSENT = {
    Mode.OFF: "mode off: recorded answers are not looked at",
    Mode.REPLAY: f"not recorded with these values: {_WHY_NOT}",
}


def make_question(call: LLMCall, messages: Iterable[Message | Mapping[str, Any]], *, samples: int = 1) -> Question:
    """The question of a call whose messages are rendered."""
    own = dict(call.model_params)
    model, mode, sample = own.pop("model", None), own.pop("mode", None), own.pop("sample", 0)
    return Question(to_messages(messages), model, own, mode, sample, samples)


def make_grid_question(
    call: LLMCall, grid: Mapping[str, Sequence[Any]], models: Sequence[str] | None, table: Table | None, *, samples: int = 1
) -> Question:
    """The question of a comparison, its axes left open; one that no panel can move stands at its first value."""
    question = make_question(call, call.render(), samples=samples)
    own = {n: v for n, v in question.params.items() if n not in grid}
    held = {n: values[0] for n, values in grid.items() if n not in _MOVABLE}
    axes = list(dict.fromkeys([*(["model"] if models is not None else []), *grid]))
    return replace(
        question,
        model=None if "model" in axes else question.model,
        params={**own, **held},
        combinations=tuple(_combinations(axes, table)) if table is not None else (),
    )


def _combinations(axes: Sequence[str], table: Table) -> list[Mapping[str, Any]]:
    store = session.store(session.settings())
    found: dict[str, Mapping[str, Any]] = {}
    for entry in table.entries:
        if len(found) < _MOST_CHOICES and entry.answered and entry.key in store:
            row = {n: definitions.parse(n, entry.row[n], Origin.CALL)[1] if n in SAMPLING else entry.row[n] for n in axes}
            found.setdefault(_name(row), row)
    return list(found.values())


def _name(row: Mapping[str, Any]) -> str:
    return " · ".join(describe_combination(row))


def choose_combination(name: str) -> dict[str, Any]:
    """The values of a recorded combination for the session; those that no panel can move go into the question.

    Raises ``ConfigError`` where the last question has no such combination.
    """
    question = state.last_question
    row = next((r for r in question.combinations if _name(r) == name), None) if question is not None else None
    if question is None or row is None:
        raise ConfigError(f"{name!r} is not among the recorded combinations of the last grid")
    held = {n: v for n, v in row.items() if n not in _MOVABLE}
    state.last_question = replace(question, params={**question.params, **held})
    return {n: v for n, v in row.items() if n in _MOVABLE}


def prepare_question(question: Question, current: Settings) -> PreparedCall:
    """The call of a question with the settings that hold."""
    own = dict(question.params)
    return session.prepare(
        question.messages, question.model, own, mode=question.mode, sample=question.sample, settings=current, responses=True
    )


def recall(current: Settings, now: Mapping[str, Any]) -> dict[str, Any]:
    """The recorded answer to the last question with the settings that hold, as a panel shows it; ``now`` are its values.

    Empty where no cell has asked yet. What is wrong with question or store is told in its line.
    """
    question = state.last_question
    if question is None:
        return {}
    try:
        described = _describe_recorded(prepare_question(question, current), question)
    except (TinyLLMError, OSError) as error:
        described = {"line": getattr(error, "message", str(error)), "text": ""}
    return {"title": _title(question), **described, **_choices(question, {**question.params, **now})}


def _describe_recorded(prepared: PreparedCall, question: Question) -> dict[str, str]:
    """The recorded answer of a call in words, or that there is none."""
    response = prepared.recorded()
    if response is None:
        return {"line": _ABSENT.get(prepared.mode, "not recorded with these values: the next run asks"), "text": ""}
    card = Card.of(response)
    facts = ["recorded", f"{response.created[:16].replace('T', ' ')} UTC", *card.facts]
    facts += [f"the first of {question.samples} samples"] if question.samples > 1 else []
    facts += ["mode refresh: the next run asks again"] if prepared.mode is Mode.REFRESH else []
    text = mask("\n".join((*([card.text] if card.text else []), *card.remarks)))
    rest = len(text) - _LONGEST_TEXT
    text = f"{text[:_LONGEST_TEXT]}\n… {rest:,} more characters: run the cell to see them" if rest > 0 else text
    return {"line": " · ".join(facts), "text": text}


def _title(question: Question) -> str:
    fixed = [n for n in _MOVABLE if question.params.get(n) is not None or (n == "model" and question.model)]
    own = f"; the cell itself sets {', '.join(fixed)}" if fixed else ""
    return f"Answer to “{excerpt(question.messages[-1].text, 60)}”{own}"


def _choices(question: Question, now: Mapping[str, Any]) -> dict[str, Any]:
    """The combinations to choose from, which of them holds, and each parameter's values among them."""
    rows = question.combinations
    if len(rows) < 2:
        return {}
    ticks = {n: sorted({r[n] for r in rows if r.get(n) is not None}) for n in SAMPLING if n in rows[0]}
    choices = [{"name": _name(r), "values": {n: v for n, v in r.items() if n in _MOVABLE}} for r in rows]
    picked = next((_name(r) for r in rows if all(now.get(n) == v for n, v in r.items())), "")
    return {"choices": choices, "picked": picked, "ticks": ticks}
