"""Writes the paragraph for a paper's methods section: every sentence is a fact of notebook and store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ..evidence.findings import Findings
from ..evidence.pinning import is_drawn, list_undated
from ..evidence.summary import ModelUse
from ..evidence.wording import (
    count,
    describe_cost,
    describe_samples,
    describe_seconds,
    describe_sent,
    describe_tokens,
    join,
    name_model,
    period,
)
from .facts_of_questions import defaults

_MOST_SETS = 4


def write_methods(found: Findings) -> str:
    """The paragraph; one sentence where no answer is recorded."""
    if not found.records:
        return f"No answer of a language model is recorded for {found.evidence.notebook.name}."
    return " ".join((*_about_models(found), *_about_prompts(found), *_about_settings(found), *_about_effort(found), *_about_proof(found)))


def _about_models(found: Findings) -> Iterator[str]:
    models = join([_describe_model(use) for use in found.models])
    versions = join(list(found.recorded_with)) or "of an unknown version"
    yield f"We asked {models} through tinyllm-magic {versions} {period(found.totals)} (UTC)."
    undated = list_undated(found.records)
    if undated:
        yield f"The name of {join(sorted(undated))} carries no date, so that the vendor may serve another model under it."


def _describe_model(use: ModelUse) -> str:
    known = [use.vendor, f"fingerprint {use.fingerprint}" if use.fingerprint else "no fingerprint"]
    return f"{name_model(use)} ({', '.join(known)}; {count(use.totals.answers, 'answer')})"


def _about_prompts(found: Findings) -> Iterator[str]:
    cells = len(found.asking_cells)
    yield f"The prompts stand in {count(cells, 'cell')} of a Jupyter notebook; {describe_samples(found.samples)}."
    tools = dict.fromkeys(name for p in found.parameters for name in p.tools)
    if tools:
        yield f"The models could call {join(list(tools))}; the results of {count(len(found.tool_results), 'call')} are recorded."
    forms = dict.fromkeys(p.form for p in found.parameters if p.form)
    if forms:
        yield f"Answers were held to a format ({join(list(forms))}) in {count(sum(p.answers for p in found.parameters if p.form), 'case')}."


def _about_settings(found: Findings) -> Iterator[str]:
    groups = Counter[str]()
    for group in found.parameters:
        groups[describe_sent(group.params)] += group.answers
    sets = [f"{sent} ({count(answers, 'answer')})" for sent, answers in groups.most_common(_MOST_SETS)]
    rest = len(groups) - _MOST_SETS
    more = f"; {count(rest, 'further combination')} in the report" if rest > 0 else ""
    yield f"Parameters were {'; '.join(sets)}{more}."
    yield defaults(found)
    drawn = sum(map(is_drawn, found.records))
    if drawn:
        yield f"{count(drawn, 'answer')} {'was' if drawn == 1 else 'were'} drawn at random without a seed."
    repeated = found.samples.repeated
    if repeated:
        yield f"Of {count(repeated, 'question')} with several samples, {found.samples.agreeing:,} got the same text each time."


def _about_effort(found: Findings) -> Iterator[str]:
    totals = found.totals
    yield f"This took {describe_tokens(totals)} and {describe_seconds(totals.seconds)} of calls, and cost {describe_cost(totals)}."


def _about_proof(found: Findings) -> Iterator[str]:
    evidence = found.evidence
    stores = join([f"{store.name} (sha256 {store.digest})" for store in evidence.stores])
    notebook = f"{evidence.notebook.name} (sha256 {evidence.notebook.digest})"
    yield f"All questions and answers are recorded in {stores or 'no store'}; the notebook is {notebook}."
    yield f"`{found.commands[-1]}` runs it from that record without key or network."
    if evidence.missing:
        yield f"{count(len(evidence.missing), 'answer')} that the notebook shows is not in the record."
