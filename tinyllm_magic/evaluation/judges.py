"""Scores a table by whatever a metric is: a name, a function, or a judge, a call with choices that is asked for each answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..errors import OptionError
from .examples import AnswerTable, Example, read_answer
from .labels import Normaliser, spell_label
from .scores import Judgement, Score, score_examples, score_judgements

AskJudge = Callable[[Any, list[dict[str, Any]]], Any]


def score_table(
    table: AnswerTable,
    examples: list[Example],
    metric: Any,
    normalise: Normaliser | None,
    right: Any,
    ask: AskJudge | None,
    *,
    label: str = "",
) -> Score:
    """The score of a table's answers, under a label; ``ask`` makes the calls of a judge."""
    costs = [entry.cost for entry in table.entries if entry.cost is not None]
    cost = sum(costs) if costs else None
    if isinstance(metric, str) or callable(metric):
        return score_examples(examples, metric, normalise, label=label, cost=cost)
    return _ask_judge(examples, metric, right, ask, label, cost)


def _ask_judge(examples: list[Example], judge: Any, right: Any, ask: AskJudge | None, label: str, cost: float | None) -> Score:
    """The score by what a call says of each answer; rows without an answer are not judged."""
    if ask is None:
        hint = "from tinyllm_magic import map_rows, then score again."
        raise OptionError("nothing that asks a judge is loaded", option="metric", hint=hint)
    if not hasattr(judge, "model_params"):
        hint = "A metric is a name, a function, or an LLMCall with choices."
        raise OptionError(f"{type(judge).__name__} is no metric", option="metric", hint=hint)
    schema = judge.model_params.get("schema")
    choices = [] if schema is None else _read_choices(schema.json)
    if not choices:
        hint = "LLMCall(…, schema=Literal['right', 'wrong'])."
        raise OptionError("a judge needs choices", option="metric", hint=hint)
    wanted = choices[0] if right is None else right
    if wanted not in choices:
        raise OptionError(f"{wanted!r} is no choice of the judge", option="right", hint=f"Its choices are {', '.join(map(str, choices))}.")
    asked = [{**e.row, "expected": e.expected, "answer": spell_label(e.answer)} for e in examples if e.answer is not None]
    judged = ask(judge, asked)
    column = next(iter(judged.typed_columns))
    said = iter([read_answer(judged, entry, column) for entry in judged.entries])
    verdicts = [None if e.answer is None else next(said) for e in examples]
    judgements = [_read_verdict(v, wanted, as_number=right is None and _are_numbers(choices)) for v in verdicts]
    return score_judgements(
        examples, judgements, "judged" if _are_numbers(choices) else f"judged {wanted}", label=label, cost=cost, judged=judged
    )


def _read_choices(json: dict[str, Any]) -> list[Any]:
    """The choices of a schema of one value, also where that is wrapped into an object."""
    inner = json.get("properties", {}).get("value", json) if set(json.get("properties", {})) <= {"value"} else {}
    return list(inner.get("enum", [inner["const"]] if "const" in inner else []))


def _are_numbers(choices: Sequence[Any]) -> bool:
    return bool(choices) and all(isinstance(c, (int, float)) and not isinstance(c, bool) for c in choices)


def _read_verdict(verdict: Any, wanted: Any, *, as_number: bool) -> Judgement:
    if verdict is None:
        return Judgement(None)
    return Judgement(float(verdict) if as_number else float(verdict == wanted), str(verdict))
