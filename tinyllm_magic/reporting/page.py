"""Draws a report as one HTML page that loads nothing and runs nothing."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from importlib.resources import files

from ..redaction import mask_html
from ..text_format import printable
from .blocks import Badge, Block, Code, Folded, Heading, Listing, Mono, Paragraph, Table

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_CLASSES = {"answered": "answered", "partly": "partly", "a person must say": "person"}


def draw_page(blocks: Iterable[Block], title: str, version: str) -> str:
    """The report as a page, without secrets."""
    parts = list(blocks)
    style = re.sub(r"\s*\n\s*", "\n", files(__package__).joinpath("report.css").read_text("utf-8")).strip()
    body = [line for block in parts[:1] for line in _draw(block)]
    body.append(_draw_contents(parts))
    body += [line for block in parts[1:] for line in _draw(block)]
    page = (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>Report: {_escape(title)}</title>\n'
        f"<style>\n{style}\n</style>\n</head>\n<body>\n<main>\n{chr(10).join(body)}\n</main>\n"
        f"<footer>Made by tinyllm-magic {_escape(version)} from a notebook and its store; nothing was run.</footer>\n</body>\n</html>\n"
    )
    return mask_html(page)


def _draw_contents(blocks: Sequence[Block]) -> str:
    """Links to the sections."""
    links = (f'<li><a href="#{_anchor(b.text)}">{_inline(b.text)}</a></li>' for b in blocks if isinstance(b, Heading) and b.level == 2)
    return f'<nav aria-label="Sections"><ul>{"".join(links)}</ul></nav>'


def _draw(block: Block) -> Iterator[str]:
    match block:
        case Heading(text, level):
            yield f'<h{level} id="{_anchor(text)}">{_inline(text)}</h{level}>'
        case Paragraph(text, quoted):
            yield f"<blockquote>{_inline(text)}</blockquote>" if quoted else f"<p>{_inline(text)}</p>"
        case Listing(items):
            yield f"<ul>{''.join(f'<li>{_inline(item)}</li>' for item in items)}</ul>"
        case Table():
            yield _draw_table(block)
        case Code(text):
            yield f'<pre tabindex="0" dir="auto">{_escape(text)}</pre>'
        case Folded(title, inner):
            yield f"<details><summary>{_inline(title)}</summary>"
            for part in inner:
                yield from _draw(part)
            yield "</details>"


def _draw_table(table: Table) -> str:
    if not any(table.head):  # names and values
        rows = "".join(f'<tr><th scope="row">{_inline(name)}</th><td>{_inline(value)}</td></tr>' for name, value in table.rows)
        return f'<table class="facts"><tbody>{rows}</tbody></table>'
    kinds = [' class="number"' if column in table.numbers else "" for column in range(len(table.head))]
    head = "".join(f'<th scope="col"{kind}>{_inline(name)}</th>' for kind, name in zip(kinds, table.head, strict=True))
    rows = "".join(f"<tr>{''.join(map(_draw_cell, row, kinds, table.head))}</tr>" for row in table.rows)
    return f'<table class="wide"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'


def _draw_cell(text: str, kind: str, label: str) -> str:
    named = f' data-label="{_escape(label)}"'
    if isinstance(text, Badge):
        return f'<td class="state-cell"{named}><span class="state state-{_CLASSES.get(text, "none")}">{_escape(text)}</span></td>'
    return f"<td{kind}{named}>{f'<code>{_escape(text)}</code>' if isinstance(text, Mono) else _inline(text)}</td>"


def _anchor(text: str) -> str:
    return re.sub(r"\W+", "-", text.lower()).strip("-") or "section"


def _inline(text: str) -> str:
    """Plain text; what stands between back quotes is code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:  # one that is not closed
        return _escape(text)
    return "".join(f"<code>{_escape(part)}</code>" if odd % 2 else _escape(part) for odd, part in enumerate(parts))


def _escape(text: str) -> str:
    return html.escape(printable(text))
