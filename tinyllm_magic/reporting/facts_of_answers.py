"""What was answered: chance, quality, effort, files; each fact as one or two sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from ..evidence.findings import Findings
from ..evidence.pinning import is_drawn
from ..evidence.wording import (
    capitalize,
    count,
    day,
    describe_cost,
    describe_samples,
    describe_seconds,
    describe_tokens,
    join,
    name_cells,
    some,
)

# ---- chance, quality, effort


def seeds(f: Findings) -> str:
    """How many answers were drawn at random, with and without a seed."""
    drawn = sum(map(is_drawn, f.records))
    seeded = sum((r.request.get("params") or {}).get("seed") is not None for r in f.records)
    cold = sum((r.request.get("params") or {}).get("temperature") == 0 for r in f.records)
    return f"Of {count(len(f.records), 'answer')}, {seeded:,} with a seed, {cold:,} at temperature 0, {drawn:,} drawn without a seed."


def samples(f: Findings) -> str:
    """How often questions were asked."""
    return f"{capitalize(describe_samples(f.samples))}."


def agreement(f: Findings) -> str:
    """Whether repeated questions got the same text."""
    if not f.samples.repeated:
        return "No question was asked twice, so that nothing can be said of agreement."
    return f"Of {count(f.samples.repeated, 'question')} with several samples, {f.samples.agreeing:,} got the same text in all."


def scores(f: Findings) -> str:
    """The scores that outputs show; empty where they show none."""
    told = (f"{_write_score(score)} (cell {cell.number})" for cell, score in f.scores)
    return f"Shown: {some(told)}." if f.scores else ""


def _write_score(score: Any) -> str:
    label = f" ({score['label']})" if score.get("label") else ""
    low, high = score.get("low"), score.get("high")
    interval = f" (95 %: {low:.3g} to {high:.3g})" if isinstance(low, float) and isinstance(high, float) else ""
    n = f", n {score['n']}" if "n" in score else ""
    p = f", p {score['p']:.2g}" if isinstance(score.get("p"), float) else ""
    value = score.get("value")
    return (
        f"{score.get('name')}{label} {value:.3g}{interval}{n}{p}" if isinstance(value, (int, float)) else f"{score.get('name')}{label}{n}"
    )


def comparisons(f: Findings) -> str:
    """The comparisons that outputs show; empty where they show none."""
    told = [f"{_write_score(score)} (cell {cell.number})" for cell, score in f.scores if "p" in score]
    return f"Shown: {some(told)}." if told else ""


def labels(f: Findings) -> str:
    """Where answers were compared with labels; empty where none is."""
    marks = ("--expect", ".score(", ".rate(")
    cells = [c.number for c in f.evidence.cells if any(mark in c.source for mark in marks)]
    return f"Answers are compared with labels or rated in {name_cells(cells)}." if cells else ""


def unanswered(f: Findings) -> str:
    """What has no answer."""
    empty = sum(not r.answer.text and not r.answer.tool_calls and not r.answer.embeddings for r in f.records)
    refused = sum(bool(r.answer.refusal) for r in f.records)
    failing = [c.number for c in f.evidence.cells if c.kind and c.fails]
    fails = f"; {name_cells(failing)} ended with an error" if failing else ""
    return f"{count(empty, 'answer')} without text, {refused:,} refused{fails}."


def latency(f: Findings) -> str:
    """How long the calls took."""
    if not f.records:
        return "No call was made."
    t = f.totals
    return (
        f"{describe_seconds(t.seconds)} of calls in all, {describe_seconds(t.median_seconds)} in the median; the machine is not recorded."
    )


def tokens(f: Findings) -> str:
    """Tokens."""
    return f"Tokens: {describe_tokens(f.totals)}."


def cost(f: Findings) -> str:
    """Money."""
    return f"Cost: {describe_cost(f.totals)}."


def flow(f: Findings) -> str:
    """How many rows and answers each cell has."""
    numbers = Counter(use.cell.number for use in f.evidence.links if use.is_answer)
    most = [f"cell {number}: {n:,}" for number, n in sorted(numbers.items(), key=lambda pair: (-pair[1], pair[0]))]
    return f"Answers by cell: {some(most)}." if most else "No cell has an answer."


def updating(f: Findings) -> str:
    """Whether a model changed behind its name during the study."""
    seen: dict[str, set[tuple[str, str]]] = {}
    for m in f.models:
        seen.setdefault(m.asked, set()).add((m.answered, m.fingerprint or ""))
    changed = [name for name, forms in seen.items() if len(forms) > 1]
    return (
        f"Answered by more than one model or fingerprint: {some(changed)}."
        if changed
        else "No model changed its name or fingerprint meanwhile."
    )


def limits(f: Findings) -> str:
    """What the numbers themselves limit."""
    names = {m.asked for m in f.models}
    days = {day(r.created) for r in f.records}
    drawn = sum(map(is_drawn, f.records))
    return (
        f"{count(len(names), 'model')}, {count(len(days), 'day')}, {describe_samples(f.samples)}; {drawn:,} answers drawn without a seed; "
        f"{count(len(f.unpinned), 'thing')} not pinned."
    )


# ---- the files


def title(f: Findings) -> str:
    """The notebook's title."""
    return f"The notebook's title is “{f.title}”."


def traces(f: Findings) -> str:
    """Where the log is."""
    names = join([store.name for store in f.evidence.stores]) or "no store"
    return f"{names}: JSON lines, one record of request and answer each; `report --format json` gives them OpenTelemetry's gen_ai names."


def digests(f: Findings) -> str:
    """The digests of notebook and stores."""
    return "; ".join(f"{file.name} sha256 {file.digest}" for file in (f.evidence.notebook, *f.evidence.stores)) + "."


def commands(f: Findings) -> str:
    """The commands."""
    return "; ".join(f"`{command}`" for command in f.commands) + "."


def documentation(f: Findings) -> str:
    """How much of the notebook is text."""
    return f"{count(len(f.evidence.headings), 'section')} of text between {count(len(f.evidence.cells), 'code cell')}."


def complete(f: Findings) -> str:
    """Whether all answers are there."""
    links = sum(use.is_answer for use in f.evidence.links)
    if f.evidence.missing:
        where = name_cells(cell.number for cell, _ in f.evidence.missing)
        return f"No: {count(len(f.evidence.missing), 'answer')} that outputs show is in no store ({where})."
    return f"Every answer that an output shows is in the store ({count(links, 'link')} of cells to records)."


def prove(f: Findings) -> str:
    """The command that proves it."""
    return f"`{f.commands[-1]}` runs every cell from the store, without key or network, and compares each output with the saved one."


FACTS: Mapping[str, Callable[[Findings], str]] = {
    function.__name__: function
    for function in (
        seeds,
        samples,
        agreement,
        scores,
        comparisons,
        labels,
        unanswered,
        latency,
        tokens,
        cost,
        flow,
        updating,
        limits,
        title,
        traces,
        digests,
        commands,
        documentation,
        complete,
        prove,
    )
}
"""By the names that `checklists.toml` calls them."""
