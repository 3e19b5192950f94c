"""Draws a report as Markdown, as GitHub shows it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ..redaction import mask
from ..text_format import printable
from .blocks import Block, Code, Folded, Heading, Listing, Mono, Paragraph, Table

_SPECIAL = re.compile(r"([\\*<>\[\]|~$]|(?<!\w)_|_(?!\w))")
_BACKQUOTES = re.compile(r"`+")


def write_markdown(blocks: Iterable[Block]) -> str:
    """The report; it holds no secret and no control character."""
    return mask(printable("\n\n".join(part for block in blocks for part in _write(block)))) + "\n"


def _write(block: Block) -> Iterator[str]:
    match block:
        case Heading(text, level):
            yield f"{'#' * level} {_inline(text)}"
        case Paragraph(text, quoted):
            yield f"> {_inline(text)}" if quoted else _inline(text)
        case Listing(items):
            yield "\n".join(f"- {_inline(item)}" for item in items)
        case Table():
            yield _write_table(block)
        case Code(text, language):
            yield _write_code(text, language)
        case Folded(title, inner):
            yield f"<details>\n<summary>{_inline(title)}</summary>"
            for part in inner:
                yield from _write(part)
            yield "</details>"


def _write_code(text: str, language: str) -> str:
    longest = max((len(run) for run in _BACKQUOTES.findall(text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _write_table(table: Table) -> str:
    rule = ["--:" if column in table.numbers else "---" for column in range(len(table.head))]
    lines = [table.head, rule, *([_write_cell(cell) for cell in row] for row in table.rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _write_cell(text: str) -> str:
    line = " ".join(text.split())
    return _mono(line).replace("|", "\\|") if isinstance(text, Mono) else _inline(line)


def _mono(text: str) -> str:
    """Text as code, whatever back quotes it holds."""
    longest = max((len(run) for run in _BACKQUOTES.findall(text)), default=0)
    edge = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{'`' * (longest + 1)}{edge}{text}{edge}{'`' * (longest + 1)}" if text.strip() else ""


def _inline(text: str) -> str:
    """Plain text with what Markdown would read escaped; between back quotes it stands as code."""
    parts = " ".join(text.split()).split("`")
    if len(parts) % 2 == 0:  # one that is not closed
        return _SPECIAL.sub(r"\\\1", "'".join(parts))
    return "".join(f"`{part}`" if odd % 2 else _SPECIAL.sub(r"\\\1", part) for odd, part in enumerate(parts))
