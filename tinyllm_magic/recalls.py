"""The last question and the settings that hold in, its recorded answer out, as a panel shows it.

Knows how a cell's question is kept, which combinations of its grid are recorded, and what to say where nothing is.
Does not know how the panel looks, how a call is made, or how a cell is run.

Nothing here sends a request: it plans one, as running the cell again would, and looks its key up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from . import settings
from .answers import Response
from .cache import Mode
from .call import LLMCall
from .cards import Card, brief
from .errors import ConfigError, TinyLLMError
from .messages import Message, to_messages
from .plans import SAMPLING, Plan, Question
from .sessions import session
from .settings import Settings
from .tables import Table

_MOVABLE = ("model", *SAMPLING)
_MOST_CHOICES = 200
_LONGEST_TEXT = 4000  # characters; the cell itself shows the rest
_ABSENT = {
    Mode.OFF: "mode off: recorded answers are not looked at",
    Mode.REPLAY: "not recorded with these values: the next run in mode replay finds no answer",
}


def asked(call: LLMCall, messages: Iterable[Message | Mapping[str, Any]], *, samples: int = 1) -> Question:
    """The question of a call whose messages are rendered."""
    own = dict(call.model_params)
    model, mode, sample = own.pop("model", None), own.pop("mode", None), own.pop("sample", 0)
    return Question(to_messages(messages), model, own, mode, sample, samples)


def compared(
    call: LLMCall, grid: Mapping[str, Sequence[Any]], models: Sequence[str] | None, table: Table | None, *, samples: int = 1
) -> Question:
    """The question of a comparison, its axes left open; one that no panel can move stands at its first value."""
    question = asked(call, call.render(), samples=samples)
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
            row = {n: settings.parse(n, entry.row[n], "the grid")[1] if n in SAMPLING else entry.row[n] for n in axes}
            found.setdefault(_name(row), row)
    return list(found.values())


def _name(row: Mapping[str, Any]) -> str:
    return " · ".join(str(v) if n == "model" else f"{n} {brief(v)}" for n, v in row.items())


def pick(name: str) -> dict[str, Any]:
    """The values of a recorded combination for the session; those that no panel can move go into the question.

    Raises ``ConfigError`` where the last question has no such combination.
    """
    question = session.last_question
    row = next((r for r in question.combinations if _name(r) == name), None) if question is not None else None
    if question is None or row is None:
        raise ConfigError(f"{name!r} is not among the recorded combinations of the last grid")
    held = {n: v for n, v in row.items() if n not in _MOVABLE}
    session.last_question = replace(question, params={**question.params, **held})
    return {n: v for n, v in row.items() if n in _MOVABLE}


def planned(question: Question, current: Settings) -> Plan:
    """The plan of a question with the settings that hold."""
    own = dict(question.params)
    return session.client().plan(question.messages, question.model, own, mode=question.mode, sample=question.sample, current=current)[1]


def recall(current: Settings, now: Mapping[str, Any]) -> dict[str, Any]:
    """The recorded answer to the last question with the settings that hold, as a panel shows it; ``now`` are its values.

    Empty where no cell has asked yet. What is wrong with question or store is told in its line.
    """
    question = session.last_question
    if question is None:
        return {}
    try:
        told = _told(planned(question, current), question)
    except (TinyLLMError, OSError) as error:
        told = {"line": getattr(error, "message", str(error)), "text": ""}
    return {"title": _title(question), **told, **_choices(question, {**question.params, **now})}


def _told(plan: Plan, question: Question) -> dict[str, str]:
    """The recorded answer of a plan in words, or that there is none."""
    store = session.store_at(plan.store) if plan.store is not None and plan.mode is not Mode.OFF else None
    record = store.get(plan.request.key, plan.request.canonical()) if store is not None else None
    if record is None:
        return {"line": _ABSENT.get(plan.mode, "not recorded with these values: the next run asks"), "text": ""}
    card = Card.of(Response(plan.request, record, "recorded"))
    facts = ["recorded", f"{record.created[:16].replace('T', ' ')} UTC", *card.facts]
    facts += [f"the first of {question.samples} samples"] if question.samples > 1 else []
    facts += ["mode refresh: the next run asks again"] if plan.mode is Mode.REFRESH else []
    text = "\n".join((*([card.text] if card.text else []), *card.remarks))
    rest = len(text) - _LONGEST_TEXT
    text = f"{text[:_LONGEST_TEXT]}\n… {rest:,} more characters: run the cell to see them" if rest > 0 else text
    return {"line": " · ".join(facts), "text": text}


def _title(question: Question) -> str:
    words = " ".join(question.messages[-1].text.split())
    fixed = [n for n in _MOVABLE if question.params.get(n) is not None or (n == "model" and question.model)]
    own = f"; the cell itself sets {', '.join(fixed)}" if fixed else ""
    return f"Answer to “{words if len(words) <= 60 else words[:59] + '…'}”{own}"


def _choices(question: Question, now: Mapping[str, Any]) -> dict[str, Any]:
    """The combinations to choose from, which of them holds, and each parameter's values among them."""
    rows = question.combinations
    if len(rows) < 2:
        return {}
    ticks = {n: sorted({r[n] for r in rows if r.get(n) is not None}) for n in SAMPLING if n in rows[0]}
    choices = [{"name": _name(r), "values": {n: v for n, v in r.items() if n in _MOVABLE}} for r in rows]
    picked = next((_name(r) for r in rows if all(now.get(n) == v for n, v in r.items())), "")
    return {"choices": choices, "picked": picked, "ticks": ticks}
