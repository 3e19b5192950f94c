"""How scores, comparisons and agreement are shown: the sentences, a chart, confusions, the failures first; as HTML and as text.

Nothing here needs a kernel once it is shown. What a verification compares of it stands in the metadata.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..batch.table import Table
from ..display import charts, confusions, html_tables
from ..display.bundle import SKELETON, Bundle, pack
from ..display.html_text import NO_MATH, escape
from ..display.output import measure_width
from ..errors import NotAsked, TinyLLMError
from ..evaluation.agreement import AGREEMENT, Agreement
from ..evaluation.comparisons import MCNEMAR, Verdict
from ..evaluation.intervals import Estimate
from ..evaluation.scores import F1, Score
from ..evaluation.wording import write_difference, write_probability, write_range, write_value
from ..redaction import mask_data
from ..text_format import format_money, shorten

MOST_FAILURES = 20
_LONGEST_CELL = 200
_DIGITS = 6

Part = tuple[str, str]
"""A piece of an output: its HTML and its plain text."""


def bundle_score(score: Score) -> Bundle:
    """A score at the end of a cell."""
    return _join("Score", draw_score(score))


def bundle_verdict(verdict: Verdict) -> Bundle:
    """A comparison at the end of a cell."""
    return _join("Comparison", draw_verdict(verdict))


def bundle_agreement(agreement: Agreement) -> Bundle:
    """A measure of agreement at the end of a cell."""
    marks = [
        charts.Mark(m.name, m.estimate.value, m.estimate.low, m.estimate.high, _write_estimate(m.estimate, is_share=m.name == AGREEMENT))
        for m in agreement.measures
        if m.estimate is not None
    ]
    undefined = [str(m) for m in agreement.measures if m.estimate is None]
    drawn = charts.draw_intervals(marks, "Agreement with 95 % intervals", is_share=False)
    written = html_tables.write_table(("measure", "value"), [(m.name, m.note) for m in marks], measure_width())
    who = str(agreement).splitlines()[-1]
    parts = [(drawn, written), *map(_paragraph, (*undefined, who)), _draw_rows("Disputed rows", list(agreement.disputed))]
    return _join("Agreement", parts)


def expected_parts(table: Table) -> list[Part]:
    """What a table says of itself where it knows what was expected; nothing while rows were not asked."""
    if table.expect is None or any(isinstance(e.error, NotAsked) for e in table.entries):
        return []
    try:
        return draw_verdict(table.against()) if len(table.parts) > 1 else draw_score(table.score())
    except TinyLLMError as error:  # the answers are there all the same
        return [_paragraph(f"not scored: {error.message}")]


def expected_facts(table: Table) -> list[dict[str, Any]]:
    """The scores of such a table for its metadata."""
    if table.expect is None or any(isinstance(e.error, NotAsked) for e in table.entries):
        return []
    try:
        return verdict_facts(table.against()) if len(table.parts) > 1 else [score_facts(table.score())]
    except TinyLLMError:
        return []


def draw_score(score: Score) -> list[Part]:
    """The score in a sentence, how well each class was found, who was taken for whom, and the failures."""
    parts = [_paragraph(str(score), strong=True)]
    if score.confusion is not None:
        parts += _draw_classes(score)
    return [*parts, _draw_failures(score)]


def draw_verdict(verdict: Verdict) -> list[Part]:
    """The sentences to write with the tests behind them, the scores as a chart, their cost, and what failed in each."""
    parts = [_paragraph(s, strong=True) for s in verdict.sentences]
    parts += [_paragraph(c.evidence) for c in verdict.comparisons]
    is_share = verdict.scores[0].is_share
    marks = [charts.Mark(s.label, s.value, s.low, s.high, _write_estimate(s.estimate, is_share=is_share), s.cost) for s in verdict.scores]
    metric = verdict.scores[0].metric
    columns = ("", metric, "cost")
    rows = [(m.name, m.note, format_money(m.cost)) for m in marks]
    parts.append((charts.draw_intervals(marks, f"{metric} with 95 % intervals", is_share=is_share), html_tables.write_table(columns, rows)))
    if cost := charts.draw_costs(marks, f"{metric} against cost", is_share=is_share):
        parts.append((cost, ""))
    parts += [_draw_class_comparisons(verdict)] if verdict.classes else []
    for score in verdict.scores:
        remarks = ", ".join(score.remarks)
        parts += [_paragraph(f"{score.label}: {remarks}")] if remarks else []
        parts.append(_draw_failures(score))
    return parts


def _draw_class_comparisons(verdict: Verdict) -> Part:
    """In which classes one is better than another."""
    columns = ("", "better", "than", "difference", "95 %", "p")
    rows = []
    for c in verdict.classes:
        spread = write_range(c.low, c.high, is_share=True).removeprefix("95 % ")
        chance = f"{write_probability(c.corrected)}{'' if c.is_shown else ', not shown'}"
        rows.append((c.measure, c.better, c.worse, write_difference(c.difference, is_share=True), spread, chance))
    title = "F1 of each class, p corrected for all classes"
    return html_tables.draw_table(columns, rows, title), f"{title}\n{html_tables.write_table(columns, rows, measure_width())}"


def _draw_classes(score: Score) -> list[Part]:
    with_f1 = score.classes[0].f1 is not None
    marks = []
    for found in score.classes:
        estimate = found.f1 if found.f1 is not None else found.recall
        marks.append(
            charts.Mark(found.name, estimate.value, estimate.low, estimate.high, _write_estimate(estimate, is_share=True, n=found.n))
        )
    title = "F1 of each class with 95 % intervals" if with_f1 else "Share of each class that was found, with 95 % intervals"
    columns = ("class", "n", "recall", "precision", *(["F1"] if with_f1 else []))
    rows = [_class_row(c) for c in score.classes]
    drawn = (charts.draw_intervals(marks, title, is_share=True), html_tables.write_table(columns, rows, measure_width()))
    grid = score.confusion
    if grid is None:
        return [drawn]
    shown = grid.expected, grid.answered, grid.counts, "What was answered"
    table = html_tables.draw_table(columns, rows)
    below = (f"<details><summary>precision and recall</summary>{table}</details>", "")
    return [(confusions.draw_confusions(*shown), confusions.write_confusions(*shown, measure_width())), drawn, below]


def _class_row(found: Any) -> tuple[Any, ...]:
    values = (found.recall.value, found.precision, *([found.f1.value] if found.f1 is not None else []))
    return (found.name, found.n, *(write_value(v, is_share=True) for v in values))


def _draw_failures(score: Score) -> Part:
    of = f" of {score.label}" if score.label else ""
    rows = score.failures
    needless = {"score"} if score.is_share else set()
    if any(all(row.get(name) == row["expected"] for row in rows) for name in (rows[0] if rows else {}) if name != "expected"):
        needless.add("expected")  # a column of the row says it already
    shown = [{name: value for name, value in row.items() if name not in needless} for row in rows]
    return _draw_rows(f"Wrong answers{of}" if score.is_share else f"Lowest scores{of}", shown, is_open=not score.label)


def _draw_rows(title: str, rows: Sequence[Mapping[str, Any]], *, is_open: bool = True) -> Part:
    """Some rows as a table, folded where it is not ``is_open``."""
    if not rows:
        return "", ""
    first = rows[:MOST_FAILURES]
    columns = list(dict.fromkeys(name for row in first for name in row))
    cells = [[_write_cell(row.get(name)) for name in columns] for row in first]
    head = f"{title}: {len(rows):,}" + (f", the first {MOST_FAILURES}" if len(rows) > MOST_FAILURES else "")
    opened = " open" if is_open else ""
    table = html_tables.draw_table(columns, cells)
    return (
        f"<details{opened}><summary>{escape(head)}</summary>{table}</details>",
        f"{head}\n{html_tables.write_table(columns, cells, measure_width())}",
    )


def _write_cell(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:.4g}"
    if value is None or isinstance(value, (bool, int)):
        return value
    return shorten(str(mask_data(value)), _LONGEST_CELL)


def _write_estimate(estimate: Estimate, *, is_share: bool, n: int | None = None) -> str:
    spread = write_range(estimate.low, estimate.high, is_share=is_share).removeprefix("95 % ")
    return f"{write_value(estimate.value, is_share=is_share)} ({spread}), n {estimate.n if n is None else n:,}"


def _paragraph(text: str, *, strong: bool = False) -> Part:
    shown = f"<strong>{escape(text)}</strong>" if strong else escape(text)
    return f'<p class="{"tlm-text" if strong else "tlm-note"}">{shown}</p>', text


def join_parts(parts: Sequence[Part]) -> Part:
    """Pieces below each other."""
    return "".join(html for html, _ in parts), "\n".join(text for _, text in parts if text)


def _join(label: str, parts: Sequence[Part]) -> Bundle:
    html, text = join_parts(parts)
    page = f'<article class="tlm {NO_MATH}" style="{SKELETON}" aria-label="{escape(label)}">{html}</article>'
    return pack(page, text)


# ---- what is compared of them: not what resampling says, whose numbers may change with a version of its library


def score_facts(score: Score) -> dict[str, Any]:
    """A score for its output's metadata."""
    facts = {"name": score.metric, "label": score.label, "n": score.n, "unanswered": score.unanswered, "unlabelled": score.unlabelled}
    return {**facts, **_estimate_facts(score.estimate, is_resampled=score.metric == F1)}


def verdict_facts(verdict: Verdict) -> list[dict[str, Any]]:
    """The scores and comparisons of a verdict."""
    pairs = [
        {
            "name": f"{c.better} against {c.worse}",
            "n": c.n,
            **({"p": _round(c.p), "corrected": _round(c.corrected)} if c.test == MCNEMAR else {}),
            **_estimate_facts(Estimate(c.difference, c.low, c.high, c.n), is_resampled=bool(c.measure)),
            **({"measure": c.measure} if c.measure else {}),
        }
        for c in (*verdict.comparisons, *verdict.classes)
    ]
    return [*map(score_facts, verdict.scores), *pairs]


def agreement_facts(agreement: Agreement) -> list[dict[str, Any]]:
    """The measures of an agreement."""
    return [{"name": m.name, **({} if m.estimate is None else _estimate_facts(m.estimate, is_resampled=True))} for m in agreement.measures]


def _estimate_facts(estimate: Estimate, *, is_resampled: bool = False) -> dict[str, Any]:
    bounds = {} if is_resampled else {"low": _round(estimate.low), "high": _round(estimate.high)}
    return {"value": _round(estimate.value), "n": estimate.n, **bounds}


def _round(value: float | None) -> float | None:
    """So many digits as every machine agrees on."""
    return None if value is None else float(f"{value:.{_DIGITS}g}")
