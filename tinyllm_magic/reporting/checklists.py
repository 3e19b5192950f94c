"""Answers the items of published checklists from what was found; says where only a person can."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from ..evidence.findings import Findings
from ..text_format import shorten_line
from . import facts_of_answers, facts_of_questions

ANSWERED, PARTLY, PERSON, NOT_APPLICABLE = "answered", "partly", "a person must say", "does not apply"
STATES = (ANSWERED, PARTLY, PERSON, NOT_APPLICABLE)
FACTS: Mapping[str, Callable[[Findings], str]] = {**facts_of_questions.FACTS, **facts_of_answers.FACTS}
_LONGEST_QUOTE = 200


@dataclass(frozen=True)
class Row:
    """One item of one guideline: what it ``wants``, its ``state`` (one of ``STATES``) and the ``answer``; ``must`` where it is required."""

    guideline: str
    item: str
    wants: str
    state: str
    answer: str
    must: bool = False


@cache
def read_guidelines() -> Sequence[Mapping[str, Any]]:
    """The guidelines of ``checklists.toml``."""
    found: Sequence[Mapping[str, Any]] = tomllib.loads(files(__package__).joinpath("checklists.toml").read_text("utf-8"))["guideline"]
    return found


def answer_checklists(found: Findings) -> tuple[Row, ...]:
    """All rows of all guidelines, in their order."""
    return tuple(row for guideline in read_guidelines() for row in _answer(guideline, found))


def _answer(guideline: Mapping[str, Any], found: Findings) -> Iterator[Row]:
    for item in guideline["items"]:
        state, answer = _answer_item(item, found)
        yield Row(guideline["name"], item["id"], item["wants"], state, answer, item.get("must", False))


def _answer_item(item: Mapping[str, Any], found: Findings) -> tuple[str, str]:
    known = " ".join(FACTS[name](found) for name in item.get("facts", ()))
    if item.get("when") == "few_shot" and not known:
        return NOT_APPLICABLE, "No prompt has examples."
    if item.get("when") == "finetuned" and not known.startswith("Fine-tuned"):
        return NOT_APPLICABLE, known
    if not known and "otherwise" in item:
        return PERSON, f"Neither notebook nor store shows one. A person must say: {item['otherwise']}."
    if "person" not in item:
        return ANSWERED, known
    said = _find_said(item.get("heading"), found)
    if said:
        return (ANSWERED if not known else PARTLY), f"{known} {said}".strip()
    missing = f"A person must say: {item['person']}."
    return (PARTLY, f"{known} {missing}") if known else (PERSON, missing)


def _find_said(heading: str | None, found: Findings) -> str:
    """What the notebook says under a heading that fits."""
    for title, text in found.evidence.headings[1:] if heading else ():  # the first is the notebook's title
        if text and re.search(heading or "", title, re.IGNORECASE):
            return f"The notebook says, under “{title}”: {shorten_line(text, _LONGEST_QUOTE)}"
    return ""


def count_states(rows: Sequence[Row]) -> dict[str, Counter[str]]:
    """How many items of each guideline are in which state."""
    counts: dict[str, Counter[str]] = {}
    for row in rows:
        counts.setdefault(row.guideline, Counter())[row.state] += 1
    return counts
