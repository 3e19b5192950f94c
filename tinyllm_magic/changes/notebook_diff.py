"""What changed between two versions of a notebook, with what is recorded for each: prompts, parameters, answers, scores, cost."""

from __future__ import annotations

import functools
import operator
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from ..json_schema import describe_fields, find_schema
from ..messages import last_prompt
from ..recording.misses import leaves
from ..redaction import excerpt
from ..responses import Record, Usage
from ..text_format import format_money
from .cell_matching import count_words, match_cells, measure_overlap
from .recorded_notebook import RecordedCell, RecordedNotebook

_ALIKE = 0.5
_NO_ANSWERS = ("tool", "file")  # kinds of records that no model has made
_MOST = 300  # records that no cell shows and that are compared with each other
_TOLD_APART = ("messages", "sample", "response_format")


@dataclass(frozen=True)
class TextChange:
    """A text before and after; ``None`` where there was, or is, none. ``title`` says what it is."""

    title: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class FactChange:
    """A short value before and after, as it is shown; ``count`` is of how many answers, where it is not of all."""

    name: str
    before: str
    after: str
    count: int | None = None


@dataclass(frozen=True)
class CellChange:
    """What changed in one cell, or among the records that no cell shows.

    ``kind`` is ``changed``, ``added`` or ``removed``. ``prompts`` are prompts as they were sent, of some answers; ``answers`` those that
    are others, ``compared`` of how many; ``gone`` and ``come`` count answers that one version alone has.
    """

    title: str
    kind: str
    source: TextChange | None = None
    facts: tuple[FactChange, ...] = ()
    scores: tuple[FactChange, ...] = ()
    prompts: tuple[TextChange, ...] = ()
    answers: tuple[TextChange, ...] = ()
    compared: int = 0
    gone: int = 0
    come: int = 0


@dataclass(frozen=True)
class NotebookDiff:
    """Two versions of one notebook: ``totals`` of both, whether they differ or not, and what changed, cell by cell."""

    name: str
    before: str
    after: str
    totals: tuple[FactChange, ...] = ()
    cells: tuple[CellChange, ...] = ()
    others: int = 0
    """Code cells that ask no model and have changed, come or gone."""
    notes: tuple[str, ...] = ()
    kind: str = "changed"

    @property
    def is_different(self) -> bool:
        """Whether anything differs that is told here."""
        return bool(self.cells or self.others or self.kind != "changed" or any(t.before != t.after for t in self.totals))


@dataclass(frozen=True)
class _Entry:
    """One answer that a cell shows: its record, and its text where it has none."""

    key: str
    record: Record | None = None
    text: str | None = None

    @property
    def said(self) -> str:
        """The whole answer, calls of tools included."""
        if self.record is None:
            return self.text or ""
        answer = self.record.answer
        calls = [f"{call.name}({call.arguments})" for call in answer.tool_calls]
        return "\n".join(filter(None, (answer.text, answer.refusal, *calls)))

    @property
    def asked(self) -> str:
        """The prompt as it was sent."""
        messages = self.record.request.get("messages", ()) if self.record is not None else ()
        return "\n".join(f"[{m.get('role', '')}]\n{_write_content(m.get('content'))}" for m in messages)

    @property
    def title(self) -> str:
        """What was asked last."""
        return excerpt(last_prompt(self.record.request), 60) if self.record is not None else ""

    @property
    def facts(self) -> dict[str, str]:
        """All else that was asked, and who answered, as short texts."""
        if self.record is None:
            return {}
        request, answer = self.record.request, self.record.answer
        asked = {n: v for n, v in request.items() if n not in _TOLD_APART}
        sent = {path.removeprefix("params."): _write(value) for path, value in leaves(asked).items()}
        told = {"response format": _write_form(request.get("response_format"))}
        told |= {"answered by": answer.model or "", "fingerprint": answer.fingerprint or "", "ended by": answer.finish_reason or ""}
        return {**sent, **{name: value for name, value in told.items() if value}}


def compare_notebooks(name: str, before: RecordedNotebook | None, after: RecordedNotebook | None, labels: tuple[str, str]) -> NotebookDiff:
    """The differences of two versions; ``None`` is a version that has no such notebook."""
    one, other = (before.cells if before else ()), (after.cells if after else ())
    cells: list[CellChange] = []
    others = 0
    for old, new in match_cells(one, other):
        if not any(c is not None and (c.is_prompt or c.facts) for c in (old, new)):
            others += old is None or new is None or old.source != new.source
            continue
        change = _compare_cells(old, new, before, after)
        if change is not None:
            cells.append(change)
    unshown = _compare_unshown(before, after)
    cells += [unshown] if unshown is not None else []
    kind = "added" if before is None else "removed" if after is None else "changed"
    notes = tuple(f"{label}: {problem}" for label, book in zip(labels, (before, after), strict=True) if book for problem in book.problems)
    return NotebookDiff(name, *labels, tuple(_sum_up(before, after)), tuple(cells), others, notes, kind)


def _compare_cells(
    old: RecordedCell | None, new: RecordedCell | None, before: RecordedNotebook | None, after: RecordedNotebook | None
) -> CellChange | None:
    one = _read_entries(old, before.records) if old is not None and before is not None else []
    other = _read_entries(new, after.records) if new is not None and after is not None else []
    pairs, gone, come = _pair(one, other)
    cell = new or old
    title = f"cell {cell.number}: {cell.title}" if cell is not None else ""
    kind = "added" if old is None else "removed" if new is None else "changed"
    source = None
    if old is None or new is None or old.source != new.source:
        source = TextChange("", old.source if old else None, new.source if new else None)
    scores = tuple(_compare_scores(old, new))
    if kind != "changed":
        answers = (*(TextChange(e.title, e.said, None) for e in gone), *(TextChange(e.title, None, e.said) for e in come))
        return CellChange(title, kind, source, scores=scores, answers=answers, compared=len(answers))
    facts, prompts, answers = _compare_pairs(pairs)
    facts = (*facts, *_compare_sums(old, new, before, after))
    if not (source or scores or gone or come or facts or prompts or answers):
        return None
    return CellChange(title, kind, source, facts, scores, prompts, answers, len(pairs), len(gone), len(come))


def _compare_pairs(
    pairs: Sequence[tuple[_Entry, _Entry]],
) -> tuple[tuple[FactChange, ...], tuple[TextChange, ...], tuple[TextChange, ...]]:
    """What differs between answers and their other versions: facts, prompts as they were sent, and answers."""
    facts: Counter[tuple[str, str, str]] = Counter()
    prompts, answers = [], []
    for one, other in pairs:
        if one.record is not None and one.record == other.record:
            continue
        names = {**one.facts, **other.facts}
        facts.update((n, one.facts.get(n, ""), other.facts.get(n, "")) for n in names if one.facts.get(n) != other.facts.get(n))
        title = other.title if len(pairs) > 1 else ""
        if one.record is not None and other.record is not None and one.asked != other.asked:
            prompts.append(TextChange(title, one.asked, other.asked))
        if one.said != other.said:
            answers.append(TextChange(title, one.said, other.said))
    told = (FactChange(*change, count=None if count == len(pairs) else count) for change, count in sorted(facts.items()))
    return tuple(told), tuple(prompts), tuple(answers)


def _compare_sums(
    old: RecordedCell | None, new: RecordedCell | None, before: RecordedNotebook | None, after: RecordedNotebook | None
) -> Iterator[FactChange]:
    """Tokens and cost of all that a cell shows, steps on the way to an answer included."""
    one, other = (
        _sum_records([book.records[key] for key in cell.keys if key in book.records]) if cell is not None and book is not None else {}
        for cell, book in ((old, before), (new, after))
    )
    yield from (FactChange(n, one.get(n, ""), other.get(n, "")) for n in {**one, **other} if one.get(n, "") != other.get(n, ""))


def _pair(before: Sequence[_Entry], after: Sequence[_Entry]) -> tuple[list[tuple[_Entry, _Entry]], list[_Entry], list[_Entry]]:
    """Answers with their other versions: by key where that stayed, else by their place between those; and what has none."""
    pairs: list[tuple[_Entry, _Entry]] = []
    gone: list[_Entry] = []
    come: list[_Entry] = []
    keys = [[e.key for e in entries] for entries in (before, after)]
    for _, i, j, k, m in SequenceMatcher(None, keys[0], keys[1], autojunk=False).get_opcodes():
        both = min(j - i, m - k)
        pairs += zip(before[i : i + both], after[k : k + both], strict=True)
        gone += before[i + both : j]
        come += after[k + both : m]
    return pairs, gone, come


def _read_entries(cell: RecordedCell, records: Mapping[str, Record]) -> list[_Entry]:
    found = []
    for facts in cell.facts:
        table = facts.get("table")
        parts = [facts, *(p for p in facts.get("answers") or () if isinstance(p, Mapping))]
        for part in parts:
            key = part.get("key")
            if isinstance(key, str):
                found.append(_Entry(key, records.get(key), part.get("answer")))
        if isinstance(table, Mapping):
            texts = list(table.get("answers") or ())
            for number, key in enumerate(table.get("keys") or ()):
                text = texts[number] if number < len(texts) else None
                found.append(_Entry(str(key), records.get(key), text if isinstance(text, str) else None))
    return found


def _compare_scores(old: RecordedCell | None, new: RecordedCell | None) -> Iterator[FactChange]:
    one, other = _read_scores(old), _read_scores(new)
    for name in {**one, **other}:
        if one.get(name) != other.get(name):
            yield FactChange(name, one.get(name, ""), other.get(name, ""))


def _read_scores(cell: RecordedCell | None) -> dict[str, str]:
    """The scores that a cell shows, with their intervals."""
    found: dict[str, str] = {}
    for facts in cell.facts if cell is not None else ():
        for score in facts.get("scores") or ():
            if isinstance(score, Mapping) and isinstance(score.get("value"), (int, float)):
                name = " ".join(filter(None, (str(score.get("name", "score")), str(score.get("label") or ""))))
                bounds = [score.get("low"), score.get("high")]
                spread = f", 95 % {bounds[0]:.3g} to {bounds[1]:.3g}" if all(isinstance(b, (int, float)) for b in bounds) else ""
                rows = f", n {score['n']:,}" if isinstance(score.get("n"), int) else ""
                found[name] = f"{score['value']:.3g}{spread}{rows}"
    return found


def _compare_unshown(before: RecordedNotebook | None, after: RecordedNotebook | None) -> CellChange | None:
    """The records that no output shows: those of a key that stayed, then those that are most alike."""
    one, other = _list_unshown(before), _list_unshown(after)
    pairs = [(one[key], other[key]) for key in one.keys() & other.keys()]
    gone, come = [e for k, e in one.items() if k not in other], [e for k, e in other.items() if k not in one]
    alike = list(_match_alike(gone, come))
    matched = [{e.key for e in side} for side in zip(*alike, strict=True)] or [set(), set()]
    elsewhere = [book.records.keys() if book is not None else () for book in (after, before)]  # there a cell shows it
    gone, come = (
        [e for e in side if e.key not in known and e.key not in others]
        for side, known, others in zip((gone, come), matched, elsewhere, strict=True)
    )
    facts, prompts, answers = _compare_pairs(sorted((*pairs, *alike), key=lambda pair: pair[1].title))
    if not (gone or come or facts or prompts or answers):
        return None
    title = "recorded answers that no cell shows"
    return CellChange(title, "changed", None, facts, (), prompts, answers, len(pairs) + len(alike), len(gone), len(come))


def _list_unshown(notebook: RecordedNotebook | None) -> dict[str, _Entry]:
    if notebook is None:
        return {}
    records = (r for r in notebook.records.values() if r.key not in notebook.cell_of and r.request.get("kind") not in _NO_ANSWERS)
    return {record.key: _Entry(record.key, record) for record in records}


def _match_alike(gone: Sequence[_Entry], come: Sequence[_Entry]) -> Iterator[tuple[_Entry, _Entry]]:
    rest = [(count_words(old.asked), old) for old in gone[:_MOST]]
    for new in come[:_MOST]:
        words = count_words(new.asked)
        likeness, number = max(((measure_overlap(known, words), -n) for n, (known, _) in enumerate(rest)), default=(0.0, 0))
        if likeness >= _ALIKE:
            yield rest.pop(-number)[1], new


def _sum_up(before: RecordedNotebook | None, after: RecordedNotebook | None) -> Iterator[FactChange]:
    """What is recorded for each version, all in all."""
    one, other = _total(before), _total(after)
    for name in {**one, **other}:
        if one.get(name) or other.get(name):
            yield FactChange(name, one.get(name, ""), other.get(name, ""))


def _total(notebook: RecordedNotebook | None) -> dict[str, str]:
    if notebook is None:
        return {}
    records = [r for r in notebook.records.values() if r.request.get("kind") not in _NO_ANSWERS]
    models = Counter(r.answer.model or str(r.request.get("model", "")) for r in records)
    return {
        "recorded answers": f"{len(records):,}",
        "models": ", ".join(f"{model} ({count:,})" for model, count in models.most_common()),
        **_sum_records(records),
    }


def _sum_records(records: Sequence[Record]) -> dict[str, str]:
    """Tokens and cost in words."""
    usage = functools.reduce(operator.add, (r.answer.usage for r in records if r.answer.usage is not None), Usage())
    tokens = f"{usage.prompt_tokens:,} in / {usage.completion_tokens:,} out" if usage.total_tokens else ""
    return {"tokens": tokens, "cost": _write_cost(records)}


def _write_cost(records: Iterable[Record]) -> str:
    known = [r.cost for r in records]
    priced = [cost for cost in known if cost is not None]
    return format_money(sum(priced), unpriced=len(known) - len(priced)) if priced else ""


def _write_form(form: Any) -> str:
    """A response format by its fields, or by its type where it has none."""
    if not isinstance(form, Mapping):
        return ""
    schema = find_schema(form)
    fields = describe_fields(schema) if isinstance(schema, Mapping) else {}
    return ", ".join(f"{path or 'a value'}: {words}" for path, words in fields.items()) or str(form.get("type", ""))


def _write(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _write_content(content: Any) -> str:
    if not isinstance(content, list):
        return str(content or "")
    return last_prompt({"messages": [{"role": "user", "content": content}]})
