"""A comparison of two versions as Markdown for a pull request: folded by cell, and short enough for a comment.

What notebooks hold stands in ``<pre>`` and ``<code>``, escaped: nothing of it is read as Markdown, links to anybody or loads anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ..display.html_text import escape, replace_surrogates
from ..display.word_diff import draw_pieces
from ..redaction import mask_html
from .diff_pieces import Extent, Part, list_facts, list_notes, list_parts, read_fact, summarize, wrap_pieces
from .notebook_diff import CellChange, NotebookDiff

LONGEST = 60_000
"""Characters: a comment on GitHub holds 65,536."""
_WIDTH = 100  # characters of a line, which GitHub does not wrap here
_EXTENT = Extent(texts=5, context=120, longest=4_000)


def write_markdown(diffs: Sequence[NotebookDiff], longest: int = LONGEST) -> str:
    """The differences as Markdown of at most ``longest`` characters; what is left out is said."""
    blocks = [block for diff in diffs for block in _write_notebook(diff)]
    written, left = [], longest - 200
    for number, block in enumerate(blocks):
        text = mask_html(replace_surrogates(block))
        if len(text) > left:
            rest = len(blocks) - number
            written.append(f"… and {rest:,} more {'part' if rest == 1 else 'parts'}: too much for a comment; `--html` shows all.\n")
            break
        written.append(text)
        left -= len(text) + 1
    return "\n".join(written)


def _write_notebook(diff: NotebookDiff) -> Iterator[str]:
    notes = "".join(f"\n<p>{escape(note)}</p>\n" for note in list_notes(diff))
    totals = f"\n{_write_facts(map(read_fact, diff.totals))}" if diff.totals else ""
    yield f"### <code>{escape(diff.name)}</code>\n\n{_code(diff.before)} → {_code(diff.after)}\n{notes}{totals}"
    yield from map(_write_cell, diff.cells)


def _write_cell(cell: CellChange) -> str:
    facts = list(list_facts(cell))
    blocks = [_write_facts(facts)] if facts else []
    blocks += map(_write_part, (part for part in list_parts(cell, _EXTENT) if not part.is_minor))
    title = f"<summary>{_code(cell.title)} {escape(summarize(cell))}</summary>"
    return f"<details>{title}\n\n{chr(10).join(blocks)}\n</details>\n"


def _write_part(part: Part) -> str:
    return f"{_code(part.name)}\n\n<pre>{draw_pieces(wrap_pieces(part.pieces, _WIDTH)) or '(nothing)'}</pre>\n"


def _write_facts(facts: Iterable[tuple[str, str, str]]) -> str:
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{_code(old)}</td><td>{_code(new)}</td></tr>\n" for name, old, new in facts)
    return f"<table>\n<tr><th></th><th>before</th><th>after</th></tr>\n{rows}</table>\n"


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>" if text else ""
