"""A table of answers in, MIME bundles out: the table itself, how far it has come, a comparison, a preview.

Knows which columns and rows are shown, and what is said about the rest.
Does not know how rows are answered, the notebook, the terminal, stores or sessions.

What is shown of a finished table comes from its records alone, so that a replay shows the same.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from . import markup
from .answers import Response
from .cards import SKELETON, Bundle, Card, brief, grid_bundle, money, pack, progress_bundle, style, table_bundle
from .markup import QUIET, escape
from .tables import Entry, Table, Tally, result

SHOWN = 50
_LONGEST_CELL = 200
_MOST_KEYS = 1000


def rows_bundle(table: Table) -> Bundle:
    """The first rows of a table, what they sum to, and whether they were asked now."""
    if table.kind == "compare":
        return compared_bundle(table)
    names = [c for c in table.columns if c != "error" or table.sums.errors]
    rows = [[_cell(d[n]) for n in names] for d in itertools.islice(table.dicts(), SHOWN)]
    badge = next((b for b in ("live", "recorded") if b in table.sums.sources), "")
    facts = list(summary(table))
    if len(table) > SHOWN:
        facts.insert(0, f"… {len(table) - SHOWN:,} more rows; .to_pandas() has them all")
    kind = "live" if badge == "live" else "other"
    foot = escape(" · ".join(facts)) + (f' · <span class="tlm-badge tlm-badge-{kind}">{badge}</span>' if badge else "")
    page = (
        f'<article class="tlm {QUIET}" style="{SKELETON}" aria-label="Table of answers">'
        f'{markup.table_html(names, rows)}<footer class="tlm-foot">{foot}</footer></article>'
    )
    text = f"{markup.table_text(names, rows)}\n-- {' · '.join(filter(None, [*facts, badge]))}"
    return pack(style() + page, markup.printable(text))


def summary(table: Table) -> Iterator[str]:
    """What a table sums to: rows, failures, tokens and cost of its calls, whenever they were made."""
    yield f"{len(table):,} row{'' if len(table) == 1 else 's'}"
    sums = table.sums
    if sums.failed:
        yield f"{sums.failed:,} failed"
    if sums.tokens_in or sums.tokens_out:
        yield f"{sums.tokens_in:,} in / {sums.tokens_out:,} out tokens"
    if sums.cost is not None:
        yield money(sums.cost) + (f" + {sums.unpriced:,} of unknown price" if sums.unpriced else "")


def facts_of(table: Table) -> dict[str, Any]:
    """What a table's output tells in its metadata: how many rows, and the keys of their answers."""
    keys = [e.key for e in itertools.islice(table.entries, _MOST_KEYS)]
    return {"version": 1, "table": {"kind": table.kind, "rows": len(table), "failed": table.sums.failed, "keys": keys}}


def tally_bundle(tally: Tally, note: str = "") -> Bundle:
    """How far a map has come, and below it what there was to do."""
    return progress_bundle(" · ".join(tally.facts), tally.done, tally.total or 0, note)


def compared_bundle(table: Table) -> Bundle:
    """The cards of a comparison side by side, in what they differ, and what each took; cards still waiting say so."""
    cards = [_card(e, table) for e in table.entries]
    parts = [grid_bundle([replace(c, title=title) for c, title in zip(cards, _titles(table), strict=True)])]
    if all(c.state != "streaming" for c in cards):
        parts.append(_matrix(table))
    return {mime: "\n".join(p[mime] for p in parts) for mime in ("text/html", "text/plain")}


def answers_of(table: Table) -> dict[str, Any]:
    """The metadata of a comparison: where each answer comes from."""
    answers = [dict(_card(e, table).metadata) for e in table.entries]
    return {"version": 1, "answers": answers} if all(answers) else facts_of(table)


def preview_bundle(facts: Mapping[str, Any], example: str, title: str = "Dry run: nothing was sent") -> Bundle:
    """What a map or a grid would send: ``facts`` by name, and the first prompt."""
    rows = [(name, value) for name, value in facts.items() if value not in (None, "")]
    shown = table_bundle(title, ("what", "how much"), rows)
    inner = f'<summary>the first prompt</summary><pre class="tlm-said">{escape(example)}</pre>'
    prompt = f'<details class="tlm {QUIET}" style="{SKELETON}">{inner}</details>'
    return pack(shown["text/html"] + (prompt if example else ""), f"{shown['text/plain']}\n{markup.printable(example)}".rstrip())


def _cell(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float)):
        return f"{value:.7f}".rstrip("0") if isinstance(value, float) and 0 < abs(value) < 0.0001 else value
    text = str(value)
    return text if len(text) <= _LONGEST_CELL else f"{text[: _LONGEST_CELL - 1]}…"


def _titles(table: Table) -> list[str]:
    """What tells each combination from the others: a model that all have in common is left to the footers."""
    alike = len({str(e.row.get("model")) for e in table.entries}) == 1 and len(table.names) > 1
    own = ({n: v for n, v in e.row.items() if n != "model" or not alike} for e in table.entries)
    return [" · ".join(str(v) if n == "model" else f"{n} {brief(v)}" for n, v in row.items()) for row in own]


def _card(entry: Entry, table: Table) -> Card:
    if entry.answered:
        answer = next(iter(table_of(entry, table)))
        if isinstance(answer, Response):
            return Card.of(answer)
    if entry.error is not None:
        return Card.failed(entry.error)
    return Card(state="streaming", model=str(entry.row.get("model", "")))


def table_of(entry: Entry, table: Table) -> Table:
    """A table of one row of another."""
    return Table([entry], fetch=table.fetch)


def _matrix(table: Table) -> Bundle:
    """What each combination took: tokens, cost, and the seconds of its live call."""
    columns = ("", *table.names, "tokens in / out", "cost", "time", *(["error"] if any(e.error for e in table.entries) else []))
    rows = []
    for number, entry in enumerate(table.entries, 1):
        tokens = f"{entry.tokens[0]:,} / {entry.tokens[1]:,}" if entry.answered else ""
        own = [_cell(entry.row.get(n)) for n in table.names]
        told = [_cell(result(entry)["error"])] if len(columns) > len(own) + 4 else []
        rows.append((f"({number})", *own, tokens, money(entry.cost), f"{entry.waited:.2f} s" if entry.answered else "", *told))
    shown = table_bundle("Cost and time", columns, rows, caption=" · ".join(itertools.islice(summary(table), 4)))
    return {"text/html": shown["text/html"].removeprefix(style()), "text/plain": "\n" + shown["text/plain"]}
