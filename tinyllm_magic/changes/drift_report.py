"""Tells what is planned and what came of asking again: lines for a reader, JUnit XML, and an exit code."""

from __future__ import annotations

from collections.abc import Iterator

from ..redaction import mask
from ..text_format import format_money
from ..verify.junit import FAILURE, PASSED, SKIPPED, Case, Suite, write_junit
from .drift import DriftRun
from .drift_sample import TIMES
from .drift_verdict import CHANGED, SAME, UNKNOWN, DriftVerdict

_SIGNS = {SAME: "✓", CHANGED: "✗", UNKNOWN: "–"}
_OUTCOMES = {SAME: PASSED, CHANGED: FAILURE, UNKNOWN: SKIPPED}


def describe_plan(run: DriftRun) -> Iterator[str]:
    """What will be asked, and what it may cost; before anything is."""
    asked = [p for p in run.planned if p.call is not None]
    calls, most = (sum(counts) for counts in ([p.question.draws for p in asked], [p.question.most_draws for p in asked]))
    yield (
        f"{run.notebook.path.name}: {len(run.planned)} of {_count(run.known, 'recorded question')}, seed {run.options.seed}; "
        f"{len(asked)} can be asked again, in {_count(calls, 'call') if calls == most else f'{calls:,} to {most:,} calls'}"
    )
    yield f"    {_describe_cost(run)}"
    unpriced = ", ".join(dict.fromkeys(p.unpriced for p in run.planned if p.unpriced))
    if unpriced:
        yield f"    the price of {unpriced} is unknown: the budget does not count it"
    yield from (f"    {problem}" for problem in run.notebook.problems)


_AGAIN = f"a text that differs at temperature 0 or with a seed is asked for again, {TIMES} times in all"


def _describe_cost(run: DriftRun) -> str:
    most, likely, budget = sum(p.most for p in run.planned), sum(p.likely for p in run.planned), run.options.budget
    if not most:
        return f"it costs nothing that is known of; {_AGAIN}"
    cost = f"likely {format_money(likely, '≈ ')}"
    if most <= budget:
        return f"{cost}, at most {format_money(most, '≈ ')} of the budget of {format_money(budget)}; {_AGAIN}"
    return f"{cost}, never more than the budget of {format_money(budget)}: what could pass it is not asked; {_AGAIN}"


def describe(run: DriftRun) -> Iterator[str]:
    """The verdict of every question with its evidence, and what they come to."""
    for verdict in run.verdicts:
        question = verdict.question
        yield f"{_SIGNS[verdict.verdict]} {verdict.verdict}  {question.place}, {question.model}: {question.title}"
        yield f"      {mask(verdict.why)}"
        yield from (f"      {mask(line)}" for line in verdict.lines)
    counts = {kind: sum(v.verdict == kind for v in run.verdicts) for kind in _SIGNS}
    words = ((CHANGED, "changed"), (SAME, "the same"), (UNKNOWN, "could not be told"))
    told = ", ".join(f"{counts[kind]} {said}" for kind, said in words if counts[kind])
    calls = sum(v.calls for v in run.verdicts)
    cost = f", {format_money(run.cost)}" if run.cost else ""
    sign = "✗" if counts[CHANGED] else "✓" if counts[SAME] else "–"
    yield f"{sign} {run.notebook.path.name}  {told}; {_count(calls, 'call')}{cost} ({run.seconds:.1f} s)"


def exit_code(run: DriftRun) -> int:
    """0: nothing has changed; 1: something has; 2: nothing could be told."""
    kinds = {v.verdict for v in run.verdicts}
    return 1 if CHANGED in kinds else 0 if SAME in kinds else 2


def junit(run: DriftRun) -> bytes:
    """JUnit XML: a test case for each question; what could not be told counts as skipped."""
    suite = Suite(run.notebook.path.name, str(run.notebook.path), [_case(v) for v in run.verdicts], run.seconds)
    return write_junit("tinyllm-magic drift", [suite])


def _case(verdict: DriftVerdict) -> Case:
    question, why = verdict.question, mask(verdict.why)
    name = f"{question.place}, {question.model}: {question.title} ({question.records[0].key[3:11]})"
    outcome = _OUTCOMES[verdict.verdict]
    text = mask("\n".join(verdict.lines)) if outcome == FAILURE else ""
    return Case(name, outcome, why, text, verdict.verdict if outcome == FAILURE else "")


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
