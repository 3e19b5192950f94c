"""How a table of answers is shown: its first rows, how far it has come, a comparison, a preview.

What is shown of a finished table comes from its records alone, so that a replay shows the same.
"""

from __future__ import annotations

import hashlib
import itertools
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from ..batch.table import RESULTS, Table
from ..display import html_tables
from ..display.bundle import SKELETON, Bundle, append, describe_combination, pack
from ..display.cards import Card, describe_source, draw_source, says_same
from ..display.html_text import NO_MATH, escape, replace_surrogates
from ..display.output import measure_width
from ..display.tables import bundle_grid, bundle_progress, bundle_table
from ..redaction import mask
from ..responses import Response
from ..row_results import RowResult, RunProgress
from ..schemas.columns import sort_set
from ..text_format import format_money, shorten
from ..unstable_text import MEMORY_ADDRESS

MOST_ROWS = 50
_LONGEST_CELL = 200
_MOST_KEYS = 1000
_LONGEST_FACT = 80
_AT_ADDRESS = re.compile(f" at {MEMORY_ADDRESS.pattern}")


def rows_bundle(table: Table, told: BaseException | None = None, score: tuple[str, str] = ("", "")) -> Bundle:
    """The first rows of a table, what they sum to, and whether they were asked now.

    Columns of results in which nothing stands are left out. ``told`` is the error with which the cell of the table ends: its
    words do not stand in the table too; ``score``, as HTML and as text, stands above the rows.
    """
    if table.kind == "compare":
        return compared_bundle(table, told)
    first = [_hide_read_text(d) if table.typed_columns else d for d in itertools.islice(table.iter_dicts(), MOST_ROWS)]
    if told is not None:
        told_too = (e.error is not None and says_same(told, e.error) for e in table.entries)
        first = [{**d, "error": None} if same else d for d, same in zip(first, told_too, strict=False)]
    badge = next((b for b in ("live", "recorded") if b in table.stats.sources), "")
    told_below = {"source"} if {d["source"] for d in first} == {badge} else set()
    names = [c for c in table.columns if c not in RESULTS or (c not in told_below and any(d[c] is not None for d in first))]
    rows = [[_cell(d[n]) for n in names] for d in first]
    facts = list(summary(table))
    if len(table) > MOST_ROWS:
        facts.insert(0, f"… {len(table) - MOST_ROWS:,} more rows; .to_pandas() has them all")
    scored, said = score
    kind = "live" if badge == "live" else "other"
    foot = escape(" · ".join(facts)) + (f' · <span class="tlm-badge tlm-badge-{kind}">{badge}</span>' if badge else "")
    marks, source = draw_source(_describe_source(itertools.islice(table.entries, MOST_ROWS)))
    page = (
        f'<article class="tlm {NO_MATH}" style="{SKELETON}" aria-label="Table of answers"{marks}>'
        f"{source}{scored}{_fold_rows(html_tables.draw_table(names, rows), folded=bool(scored))}"
        f'<footer class="tlm-foot">{foot}</footer></article>'
    )
    text = f"{html_tables.write_table(names, rows, measure_width())}\n-- {' · '.join(filter(None, [*facts, badge]))}"
    return pack(page, f"{said}\n\n{text}" if said else text)


def _fold_rows(table: str, *, folded: bool) -> str:
    """The rows of a table, folded where its score and its failures stand above them."""
    return f"<details><summary>all rows</summary>{table}</details>" if folded else table


def summary(table: Table) -> Iterator[str]:
    """What a table sums to: rows, failures, tokens and cost of its calls, whenever they were made."""
    yield f"{len(table):,} row{'' if len(table) == 1 else 's'}"
    stats = table.stats
    if stats.failed:
        yield f"{stats.failed:,} failed"
    if stats.cut:
        yield f"{stats.cut:,} cut"
    if stats.tokens_in or stats.tokens_out:
        yield f"{stats.tokens_in:,} in / {stats.tokens_out:,} out tokens"
    if stats.cost is not None:
        yield format_money(stats.cost, unpriced=stats.unpriced)


def table_metadata(table: Table) -> dict[str, Any]:
    """A table for its output's metadata: of the first rows key, answer, error class and tokens; of all, a digest of the answers."""
    digest = hashlib.sha256()
    for entry in table.entries:
        digest.update(f"{entry.key}\0{entry.text}\0{_error_class(entry)}\0".encode("utf-8", "replace"))
    first = list(itertools.islice(table.entries, _MOST_KEYS))
    facts = {
        "kind": table.kind,
        "rows": len(table),
        "failed": table.stats.failed,
        "keys": [e.key for e in first],
        "answers": [_abridge(e.text) for e in first],
        "errors": [_error_class(e) for e in first],
        "tokens": [list(e.tokens) for e in first],
        "digest": digest.hexdigest(),
        "sources": sorted(table.stats.sources),
    }
    return {"version": 1, "table": facts, **_describe_source(first)}


def _describe_source(entries: Iterable[RowResult]) -> dict[str, str]:
    """That a trained model wrote the answers of these rows, where one did; what the store alone holds is taken for a model's."""
    answered = [entry for entry in entries if entry.answered]
    provider = next((entry.response.request.provider for entry in answered if entry.response is not None), "")
    return describe_source(provider) if answered else {}


def _error_class(entry: RowResult) -> str | None:
    return None if entry.error is None else type(entry.error).__name__


def _abridge(text: str | None) -> str | None:
    """A text that is short, or the beginning of a long one and its digest: enough to find that it has changed."""
    if text is None:
        return None
    text = mask(replace_surrogates(text))
    if len(text) <= _LONGEST_FACT:
        return text
    return f"{text[:_LONGEST_FACT]}… sha256:{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def run_progress_bundle(progress: RunProgress, note: str = "") -> Bundle:
    """How far a map has come, and below it what there was to do."""
    return bundle_progress(" · ".join(progress.facts), progress.done, progress.total or 0, note)


def compared_bundle(table: Table, told: BaseException | None = None) -> Bundle:
    """The cards of a comparison side by side, in what they differ, and what each took; cards still waiting say so."""
    own = [describe_combination(row) for row in _list_differing(table)]
    cards = [replace(_card(e, table, told), title=" · ".join(facts), told=facts) for e, facts in zip(table.entries, own, strict=True)]
    last = len({str(e.row.get(table.names[-1])) for e in table.entries}) if table.names else 0
    columns = last if last in (2, 3, 4) and len(cards) > last else None  # a row for each model
    if any(c.state == "streaming" for c in cards):
        return bundle_grid(cards, columns=columns)
    fold = f'<details class="{NO_MATH}"><summary>cost and time</summary>{_matrix(table)}</details>' if len(cards) > 1 else ""
    return bundle_grid(cards, columns=columns, facts=[f"{len(cards)} answers", *itertools.islice(summary(table), 1, None)], fold=fold)


def comparison_metadata(table: Table) -> dict[str, Any]:
    """The metadata of a comparison: where each answer comes from."""
    answers = [dict(_card(e, table).metadata) for e in table.entries]
    return {"version": 1, "answers": answers} if all(answers) else table_metadata(table)


def preview_bundle(facts: Mapping[str, Any], example: str, title: str = "Dry run: nothing was sent") -> Bundle:
    """What a map or a grid would send: ``facts`` by name, and the first prompt."""
    rows = [(name, value) for name, value in facts.items() if value not in (None, "")]
    shown = bundle_table(title, ("what", "how much"), rows)
    inner = f'<summary>the first prompt</summary><pre class="tlm-said">{escape(example)}</pre>'
    prompt = f'<details class="tlm {NO_MATH}" style="{SKELETON}">{inner}</details>'
    return append(shown, prompt if example else "", example)


def _hide_read_text(row: dict[str, Any]) -> dict[str, Any]:
    """A typed row without the text of its answer, which its values say, unless the answer does not fit."""
    return row if row["error"] else {**row, "answer": None}


def _cell(value: Any) -> Any:
    value = sort_set(value)
    if isinstance(value, (dict, list, tuple)):
        value = html_tables.describe_cell(value)
    if value is None or isinstance(value, (bool, int, float)):
        return f"{value:.7f}".rstrip("0") if isinstance(value, float) and 0 < abs(value) < 0.0001 else value
    return shorten(mask(_describe(value)), _LONGEST_CELL)


def _describe(value: Any) -> str:
    """A value in words: of an object that has none but its type and address, no address; of an image its size."""
    pil = sys.modules.get("PIL.Image")  # where it is not imported, nothing is an image of it
    if pil is not None and isinstance(value, pil.Image):
        return f"[image, {value.width}×{value.height}]"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"[{len(value):,} bytes]"
    return str(value) if isinstance(value, str) else _AT_ADDRESS.sub("", str(value))


def _list_differing(table: Table) -> list[dict[str, Any]]:
    """What tells each combination from the others: a model that all have in common is left out."""
    alike = len({str(e.row.get("model")) for e in table.entries}) == 1 and len(table.names) > 1
    return [{n: v for n, v in e.row.items() if n != "model" or not alike} for e in table.entries]


def _card(entry: RowResult, table: Table, told: BaseException | None = None) -> Card:
    if entry.answered:
        answer = next(iter(one_row_table(entry, table)))
        if isinstance(answer, Response):
            return Card.of(answer)
    if entry.error is not None:
        return Card.failed(entry.error, told)
    return Card(state="streaming", model=str(entry.row.get("model", "")))


def one_row_table(entry: RowResult, table: Table) -> Table:
    """A table of one row of another."""
    return Table([entry], fetch=table.fetch, schema=table.schema)


def _matrix(table: Table) -> str:
    """What each combination took, as HTML: tokens, cost, and the seconds of its live call."""
    columns = ("combination", "tokens in / out", "cost", "time")
    rows = []
    for entry, row in zip(table.entries, _list_differing(table), strict=True):
        tokens = f"{entry.tokens[0]:,} / {entry.tokens[1]:,}" if entry.answered else ""
        seconds = f"{entry.duration:.2f} s" if entry.answered else ""
        rows.append((" · ".join(describe_combination(row)), tokens, format_money(entry.cost), seconds))
    return html_tables.draw_table(*html_tables.drop_empty_columns(columns, rows))
