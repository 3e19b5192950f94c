"""Builds the report of a notebook: what was found, the methods paragraph, the answered checklists, and the text of it all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ..evidence.cells import SavedCell
from ..evidence.collection import Evidence, Use, gather
from ..evidence.findings import Findings
from ..evidence.prompts import CellPrompts, prompts_by_cell
from ..evidence.wording import (
    count,
    describe_cost,
    describe_demands,
    describe_parameters,
    describe_samples,
    describe_seconds,
    describe_tokens,
    join,
    period,
)
from ..text_format import format_money
from .blocks import Badge, Block, Code, Folded, Heading, Listing, Mono, Paragraph, Table
from .checklists import STATES, Row, answer_checklists, count_states, read_guidelines
from .methods import write_methods

_MOST_KEYS = 3  # of a cell that its line shows; all stand folded below
_SHORT_KEY = 15


@dataclass(frozen=True)
class Report:
    """A report; ``blocks`` is its text."""

    found: Findings

    @property
    def evidence(self) -> Evidence:
        """What notebook and store hold."""
        return self.found.evidence

    @cached_property
    def methods(self) -> str:
        """The paragraph for a paper."""
        return write_methods(self.found)

    @cached_property
    def checklist(self) -> tuple[Row, ...]:
        """The items of the checklists, answered."""
        return answer_checklists(self.found)

    @cached_property
    def prompts(self) -> list[tuple[int, CellPrompts]]:
        """The prompts by cell."""
        return prompts_by_cell(self.evidence)

    def blocks(self) -> Iterator[Block]:
        """The text, from what a reader wants first to the proof."""
        yield Heading(f"Report: {self.found.title}", 1)
        yield from _draw_summary(self.found)
        yield Heading("Methods paragraph")
        yield Paragraph(self.methods, quoted=True)
        yield from _draw_models(self.found)
        yield from _draw_parameters(self.found)
        yield from _draw_cells(self.found)
        yield from _draw_prompts(self.evidence, self.prompts)
        yield from _draw_unpinned(self.found)
        yield from _draw_unasked(self.found)
        yield from _draw_checklists(self.checklist)
        yield from _draw_proof(self.found)


def build_report(path: Path) -> Report:
    """The report of a notebook, from it and its store alone: nothing is run, nobody is asked.

    Raises ``NotebookError`` where there is no such notebook, ``StoreError`` where its store cannot be read.
    """
    return Report(Findings(gather(path), _installed_version()))


def _installed_version() -> str:
    try:
        return version("tinyllm-magic")
    except PackageNotFoundError:
        return "0"


def _draw_summary(found: Findings) -> Iterator[Block]:
    evidence, totals = found.evidence, found.totals
    rows = [("notebook", evidence.notebook.name), ("", f"{evidence.notebook.size:,} bytes, sha256 `{evidence.notebook.digest}`")]
    for store in evidence.stores:
        rows += [("store", store.name), ("", f"{store.size:,} bytes, sha256 `{store.digest}`")]
    if not evidence.stores:
        rows.append(("store", "none: nothing was recorded beside this notebook"))
    rows += [
        ("answers", f"{count(totals.answers, 'answer')} of {count(len(found.models), 'model')}, {period(totals)} (UTC)"),
        ("questions", describe_samples(found.samples)),
        ("tokens", describe_tokens(totals)),
        ("cost", describe_cost(totals)),
        ("time of the calls", f"{describe_seconds(totals.seconds)} in all, {describe_seconds(totals.median_seconds)} in the median"),
        ("recorded with", f"tinyllm-magic {join(list(found.recorded_with)) or '(version unknown)'}"),
        ("Python", str((evidence.metadata.get("language_info") or {}).get("version") or "version unknown")),
    ]
    yield Table(("", ""), rows)


def _draw_models(found: Findings) -> Iterator[Block]:
    yield Heading("Models")
    head = ("asked", "answered", "vendor", "fingerprint", "answers", "first (UTC)", "last (UTC)", "tokens in", "tokens out", "cost")
    rows = [
        (
            use.asked,
            use.answered or "not told",
            use.vendor,
            use.fingerprint or "none",
            f"{use.totals.answers:,}",
            _minute(use.totals.first),
            _minute(use.totals.last),
            f"{use.totals.usage.prompt_tokens:,}",
            f"{use.totals.usage.completion_tokens:,}",
            describe_cost(use.totals),
        )
        for use in found.models
    ]
    if rows:
        yield Table(head, rows, frozenset((4, 7, 8)))
    else:
        yield Paragraph("No answer of a model is recorded for this notebook.")


def _minute(moment: str) -> str:
    return moment[:16].replace("T", " ") or "unknown"


def _draw_parameters(found: Findings) -> Iterator[Block]:
    yield Heading("Parameters and samples")
    rows = [(p.asked, describe_parameters(p.params), describe_demands(p), f"{p.questions:,}", f"{p.answers:,}") for p in found.parameters]
    if rows:
        yield Table(("model", "sent", "demanded", "questions", "answers"), rows, frozenset((3, 4)))
    if found.samples.repeated:
        same = f"{found.samples.agreeing:,} of {count(found.samples.repeated, 'question')} with several samples got the same text in all."
        yield Paragraph(f"{describe_samples(found.samples)}. {same}")


def _draw_cells(found: Findings) -> Iterator[Block]:
    yield Heading("Cells and their answers")
    rows = []
    for cell in found.evidence.cells:
        uses = found.evidence.of_cell(cell)
        if not (uses or cell.kind):
            continue
        lost = sum(c.number == cell.number for c, _ in found.evidence.missing)
        answers = sum(use.is_answer for use in uses)
        models = join(list(dict.fromkeys(str(use.record.request.get("model", "")) for use in uses if use.is_answer)))
        keys = [f"`{use.record.key[:_SHORT_KEY]}`" for use in uses[:_MOST_KEYS]]
        more = f" and {len(uses) - _MOST_KEYS:,} more" if len(uses) > _MOST_KEYS else ""
        rows.append(
            (
                str(cell.number),
                Mono(cell.title),
                cell.kind,
                f"{answers:,}",
                models,
                f"{', '.join(keys)}{more}",
                _describe_how(cell, uses, lost),
            )
        )
    if not rows:
        yield Paragraph("No cell asks a model.")
        return
    yield Paragraph("Code cells are counted from 1. A key is the digest of a request: the record of that key answered the cell.")
    yield Table(("cell", "first line", "asks by", "answers", "models", "records", "how it is known"), rows, frozenset((0, 3)))
    for cell in found.evidence.cells:
        uses = found.evidence.of_cell(cell)
        if len(uses) > _MOST_KEYS:
            yield Folded(f"All records of cell {cell.number} ({len(uses):,})", [Code("\n".join(use.record.key for use in uses))])


def _describe_how(cell: SavedCell, uses: Sequence[Use], lost: int) -> str:
    """How it is known which records answered a cell."""
    answers = sum(use.is_answer for use in uses)
    parts = [f"{cell.rows:,} rows ask {answers:,} questions"] if cell.rows > answers else []
    parts += [f"{lost} shown, in no store"] if lost else []
    if any(not use.why and use.is_answer for use in uses):
        parts.append("its output names them")
    parts += dict.fromkeys(use.why for use in uses if use.why)
    parts += [f"{sum(not use.is_answer for use in uses)} results of tools or files"] if any(not use.is_answer for use in uses) else []
    if not parts:
        parts.append("ended with an error" if cell.fails else "no record is known: its output names none")
    return "; ".join(parts)


def _draw_prompts(evidence: Evidence, prompts: Sequence[tuple[int, CellPrompts]]) -> Iterator[Block]:
    yield Heading("Prompts")
    cells = {cell.number: cell for cell in evidence.cells}
    if not prompts:
        yield Paragraph("None is recorded.")
    for number, asked in prompts:
        blocks: list[Block] = [Paragraph("The cell:"), Code(cells[number].source), Paragraph("Its first prompt, as it was sent:")]
        blocks.append(Code(asked.first))
        if asked.others:
            blocks.append(Paragraph(f"{count(len(asked.others), 'further prompt')}, the same but for the last message:"))
            blocks.append(Code("\n".join(asked.others)))
        blocks += [Code(text) for text in asked.further]
        if asked.left_out:
            blocks.append(Paragraph(f"{count(asked.left_out, 'further prompt')} would make this report too long: the store has them all."))
        questions = 1 + len(asked.others) + len(asked.further) + asked.left_out
        yield Folded(f"Cell {number}: {count(questions, 'prompt')}", blocks)


def _draw_unpinned(found: Findings) -> Iterator[Block]:
    yield Heading("What could not be pinned")
    rows = [(u.what, u.why, f"{u.count:,}" if u.count else "") for u in found.unpinned]
    yield Table(("what", "why", "how many"), rows, frozenset((2,)))


def _draw_unasked(found: Findings) -> Iterator[Block]:
    yield Heading("Answers that nothing asks any more")
    records, evidence = found.evidence.unasked, found.evidence
    if records:
        t = found.unasked
        paid = f"They took {describe_tokens(t)}, and cost {describe_cost(t)}."
        yield Paragraph(f"{count(len(records), 'record')} of the store belong to no cell, as far as its output or its words tell. {paid}")
        rows = [(str(r.request.get("model", "")), _minute(r.created), format_money(r.cost), Mono(r.key)) for r in records[:50]]
        yield Table(("model", "recorded (UTC)", "cost", "record"), rows, frozenset((2,)))
        if len(records) > 50:
            yield Paragraph(f"… and {len(records) - 50:,} more.")
    else:
        yield Paragraph("None: every record of the store belongs to a cell.")
    unnamed = [str(cell.number) for cell in evidence.asks_from_python]
    if unnamed:
        which = f"{'Cell' if len(unnamed) == 1 else 'Cells'} {join(unnamed)}"
        verb = "asks" if len(unnamed) == 1 else "ask"
        proof = f"`tinyllm-magic verify --prune {evidence.notebook.name}` runs the notebook, and so knows for certain."
        yield Paragraph(
            f"{which} {verb} without an output that names the records, so that these were found by the words of prompts. {proof}"
        )


def _draw_checklists(rows: Sequence[Row]) -> Iterator[Block]:
    yield Heading("Checklists")
    counts = count_states(rows)
    yield Table(
        ("guideline", *STATES),
        [(name, *(str(states[state]) for state in STATES)) for name, states in counts.items()],
        frozenset(range(1, len(STATES) + 1)),
    )
    yield Paragraph(
        "The items' numbers are the guidelines', the words are this package's: complete the original where a journal asks for it."
    )
    for guideline in read_guidelines():
        own = [row for row in rows if row.guideline == guideline["name"]]
        yield Heading(guideline["name"], 3)
        yield Paragraph(guideline["source"])
        table = Table(
            ("item", "asks for", "state", "answer"),
            [(f"{row.item} (must)" if row.must else row.item, row.wants, Badge(row.state), row.answer) for row in own],
        )
        yield table


def _draw_proof(found: Findings) -> Iterator[Block]:
    yield Heading("Prove it")
    yield Paragraph(
        "Three commands, in a folder with these files. The second must print the digests below; the third needs no key and no network."
    )
    yield Code("\n".join(found.commands), "sh")
    yield Listing([f"`{file.digest}`  {file.name}" for file in (found.evidence.notebook, *found.evidence.stores)])
