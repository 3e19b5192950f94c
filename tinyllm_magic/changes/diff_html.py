"""A comparison of two versions as one HTML page: no script, nothing loaded from elsewhere, light and dark."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from ..display.html_text import escape, replace_surrogates
from ..display.word_diff import draw_pieces
from ..redaction import mask_html
from .diff_pieces import Extent, Part, list_facts, list_notes, list_parts, read_fact, summarize
from .notebook_diff import CellChange, NotebookDiff

_EXTENT = Extent(texts=25, context=400, longest=50_000)
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def draw_page(diffs: Sequence[NotebookDiff]) -> str:
    """The differences as a page."""
    title = f"{diffs[0].name}: {diffs[0].before} → {diffs[0].after}" if len(diffs) == 1 else f"{len(diffs)} notebooks compared"
    style = (Path(__file__).parent / "static" / "diff.css").read_text(encoding="utf-8")
    page = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>{escape(title)}</title>
<style>
{style}</style>
</head>
<body>
<main>
{"".join(map(_draw_notebook, diffs))}</main>
</body>
</html>
"""
    return mask_html(replace_surrogates(page))


def _draw_notebook(diff: NotebookDiff) -> str:
    notes = "".join(f'<p class="note">{escape(note)}</p>\n' for note in list_notes(diff))
    totals = _draw_facts(map(read_fact, diff.totals), "Recorded, all in all") if diff.totals else ""
    head = f"<h1>{escape(diff.name)}</h1>\n<p><code>{escape(diff.before)}</code> → <code>{escape(diff.after)}</code></p>\n"
    return f"{head}{notes}{totals}{''.join(map(_draw_cell, diff.cells))}"


def _draw_cell(cell: CellChange) -> str:
    facts = list(list_facts(cell))
    table = _draw_facts(facts, "") if facts else ""
    parts = "".join(map(_draw_part, list_parts(cell, _EXTENT)))
    summary = f'<p class="note">{escape(summarize(cell))}</p>\n'
    return f'<section class="{cell.kind}">\n<h2>{escape(cell.title)}</h2>\n{summary}{table}{parts}</section>\n'


def _draw_part(part: Part) -> str:
    text = draw_pieces(part.pieces) or '<span class="note">(nothing)</span>'
    body = f'<div class="text" dir="auto">{text}</div>\n'
    if part.is_minor:
        return f"<details><summary>{escape(part.name)}</summary>\n{body}</details>\n"
    return f"<h3>{escape(part.name)}</h3>\n{body}"


def _draw_facts(facts: Iterable[tuple[str, str, str]], caption: str) -> str:
    rows = "".join(_draw_fact(*fact) for fact in facts)
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    head = '<thead><tr><td></td><th scope="col">before</th><th scope="col">after</th></tr></thead>'
    return f'<div class="scroll" tabindex="0"><table>{title}{head}<tbody>{rows}</tbody></table></div>\n'


def _draw_fact(name: str, before: str, after: str) -> str:
    same = before == after
    old, new = (escape(before), escape(after)) if same else (_mark("del", before), _mark("ins", after))
    return f'<tr><th scope="row">{escape(name)}</th><td>{old}</td><td>{new}</td></tr>'


def _mark(tag: str, value: str) -> str:
    return f"<{tag}>{escape(value)}</{tag}>" if value else ""
