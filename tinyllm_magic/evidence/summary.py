"""Sums up the records that a notebook uses: models, parameters, samples, tokens, cost, dates. Every number is a plain sum over records."""

from __future__ import annotations

import functools
import json
import operator
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import MessageError
from ..messages import key_of
from ..models.gen_ai import title_provider
from ..responses import Record, Usage

_FREE = frozenset(("local", "echo"))
"""Providers that are this machine: nobody is paid."""


@dataclass(frozen=True)
class Totals:
    """Sums over records.

    ``cost`` is US dollars of those with a known price (``None``: none has one), ``free`` counts those answered on this machine,
    ``unpriced`` the others without a price, ``untold`` those without tokens, ``estimated`` those whose tokens no provider counted;
    ``seconds`` is the time of the live calls; ``first`` and ``last`` are UTC, ISO 8601.
    """

    answers: int = 0
    usage: Usage = field(default_factory=Usage)
    untold: int = 0
    estimated: int = 0
    cost: float | None = None
    free: int = 0
    unpriced: int = 0
    seconds: float = 0.0
    median_seconds: float = 0.0
    first: str = ""
    last: str = ""


@dataclass(frozen=True)
class ModelUse:
    """One model as it was asked and as it answered, of one provider, with one fingerprint (``None``: the provider sent none)."""

    provider: str
    asked: str
    answered: str
    fingerprint: str | None
    kind: str
    totals: Totals

    @property
    def vendor(self) -> str:
        """Who answered, for a reader."""
        return title_provider(self.provider)


@dataclass(frozen=True)
class ParameterSet:
    """Parameters that were sent together to one model, with how many questions and answers were asked so.

    ``form`` is the type of the answer that was demanded ("" where none was), ``tools`` the names of those offered.
    """

    asked: str
    params: Mapping[str, Any]
    form: str
    tools: tuple[str, ...]
    questions: int
    answers: int


@dataclass(frozen=True)
class Samples:
    """How often questions were asked: ``counts`` has, for a number of samples, how many questions have it.

    Of the questions with several samples ``agreeing`` have the same text in all.
    """

    counts: Mapping[int, int]
    agreeing: int

    @property
    def repeated(self) -> int:
        """How many questions have several samples."""
        return sum(questions for samples, questions in self.counts.items() if samples > 1)


def total(records: Iterable[Record]) -> Totals:
    """The sums of records that models have made."""
    found = list(records)
    usages = [r.answer.usage for r in found if r.answer.usage is not None]
    known = [r.cost for r in found if r.cost is not None]
    free = sum(r.cost is None and is_free(r) for r in found)
    dates = sorted(r.created for r in found if r.created)
    return Totals(
        answers=len(found),
        usage=functools.reduce(operator.add, usages, Usage()),
        untold=len(found) - len(usages),
        estimated=sum(usage.estimated for usage in usages),
        cost=sum(known) if known else None,
        free=free,
        unpriced=len(found) - len(known) - free,
        seconds=sum(r.duration for r in found),
        median_seconds=statistics.median(r.duration for r in found) if found else 0.0,
        first=dates[0] if dates else "",
        last=dates[-1] if dates else "",
    )


def is_free(record: Record) -> bool:
    """Whether a record was answered on this machine, where no vendor is paid."""
    return str(record.request.get("provider", "")).partition(":")[0] in _FREE


def group_models(records: Iterable[Record]) -> tuple[ModelUse, ...]:
    """The models of records, those with the most answers first."""
    groups: dict[tuple[str, str, str, str | None, str], list[Record]] = defaultdict(list)
    for record in records:
        request, answer = record.request, record.answer
        asked = str(request.get("model", ""))
        fingerprint = answer.fingerprint or None
        groups[str(request.get("provider", "")), asked, answer.model or "", fingerprint, str(request.get("kind", "chat"))].append(record)
    uses = [ModelUse(*key, totals=total(group)) for key, group in groups.items()]
    return tuple(sorted(uses, key=lambda use: (-use.totals.answers, use.asked, use.answered, use.fingerprint or "")))


def group_parameters(records: Iterable[Record]) -> tuple[ParameterSet, ...]:
    """The parameters that were sent, those of the most answers first."""
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        request = record.request
        parts = [request.get("model"), sent_parameters(record), _form_of(request), _tools_of(request)]
        groups[json.dumps(parts, sort_keys=True, default=str)].append(record)
    sets = []
    for group in groups.values():
        request = group[0].request
        sets.append(
            ParameterSet(
                asked=str(request.get("model", "")),
                params=sent_parameters(group[0]),
                form=_form_of(request),
                tools=_tools_of(request),
                questions=len({question_of(r) for r in group}),
                answers=len(group),
            )
        )
    return tuple(sorted(sets, key=lambda s: (-s.answers, s.asked, json.dumps(s.params, sort_keys=True, default=str), s.form)))


def sent_parameters(record: Record) -> dict[str, Any]:
    """The parameters of a record's request; what is embedded is content, not a parameter."""
    return {name: value for name, value in (record.request.get("params") or {}).items() if name != "input"}


def _form_of(request: Mapping[str, Any]) -> str:
    form = request.get("response_format")
    if not isinstance(form, Mapping):
        return ""
    schema = form.get("json_schema")
    name = schema.get("name") if isinstance(schema, Mapping) else None
    return f"{form.get('type')} ({name})" if name else str(form.get("type"))


def _tools_of(request: Mapping[str, Any]) -> tuple[str, ...]:
    tools: Sequence[Any] = request.get("tools") or ()
    functions = (tool.get("function") or tool for tool in tools if isinstance(tool, Mapping))
    return tuple(str(function.get("name") or function.get("type")) for function in functions)


def question_of(record: Record) -> str:
    """What all samples of one question share: the key of the request without the sample's number."""
    if "sample" not in record.request:
        return record.key
    try:
        return key_of({name: part for name, part in record.request.items() if name != "sample"})
    except MessageError:  # a store may hold anything
        return record.key


def count_samples(records: Iterable[Record]) -> Samples:
    """How many samples the questions of records have, and how many repeated questions got one text only."""
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        groups[question_of(record)].append(record)
    counts = Counter(len(group) for group in groups.values())
    agreeing = sum(len(group) > 1 and len({r.answer.text for r in group}) == 1 for group in groups.values())
    return Samples(dict(sorted(counts.items())), agreeing)
