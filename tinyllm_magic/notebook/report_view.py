"""Shows the report of this notebook in the notebook: what one wants first stands open, the rest is folded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from ..clients.environment import notebook_path
from ..display.bundle import SKELETON, Bundle, pack
from ..display.html_tables import draw_table
from ..display.html_text import NO_MATH, escape, mark_code
from ..errors import OptionError
from ..reporting.blocks import Block, Code, Folded, Heading, Listing, Paragraph, Table
from ..reporting.markdown import write_markdown
from ..reporting.report import Report, build_report

_OPEN = 1  # how many sections stand open below the summary


def build_view(named: str) -> Bundle:
    """The report of the notebook of this name, or of the one that runs.

    Raises ``OptionError`` where this notebook's name is not known, ``NotebookError`` where it was not saved.
    """
    path = Path(named).expanduser() if named else notebook_path()
    if path is None:
        raise OptionError("the name of this notebook is not known here", hint="Write `%llm_report NOTEBOOK.ipynb`.")
    report = build_report(path)
    return pack(_draw(report), write_markdown(report.blocks()))


def _draw(report: Report) -> str:
    parts, sections = "", 0
    name = report.evidence.notebook.name
    for title, blocks in _split(report.blocks()):
        inner = "".join(map(_draw_block, blocks))
        if not title:
            parts += inner
            continue
        sections += 1
        parts += f"<details{' open' * (sections <= _OPEN)}><summary>{escape(title)}</summary>{inner}</details>"
    note = f"Of {name} as it was last saved. `tinyllm-magic report {name} --format html -o report.html` writes it as a page."
    foot = f'<footer class="tlm-foot">{mark_code(note)}</footer>'
    return f'<article class="tlm {NO_MATH}" style="{SKELETON}" aria-label="{escape(f"Report on {name}")}">{parts}{foot}</article>'


def _split(blocks: Iterable[Block]) -> Iterator[tuple[str, list[Block]]]:
    """The blocks of each section under its heading; the first stand under none."""
    title, held = "", list[Block]()
    for block in blocks:
        if isinstance(block, Heading) and block.level == 2:
            yield title, held
            title, held = block.text, []
        else:
            held.append(block)
    yield title, held


def _draw_block(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f'<p class="tlm-title">{escape(text)}</p>' if level == 1 else f'<p class="tlm-role">{escape(text)}</p>'
        case Paragraph(text, quoted):
            return f"<blockquote>{mark_code(text)}</blockquote>" if quoted else f"<p>{mark_code(text)}</p>"
        case Listing(items):
            return f"<ul>{''.join(f'<li>{mark_code(item)}</li>' for item in items)}</ul>"
        case Table(head, rows):
            return draw_table(head if any(head) else ("fact", "value"), [[text.replace("`", "") for text in row] for row in rows])
        case Code(text):
            return f'<pre class="tlm-said" dir="auto">{escape(text)}</pre>'
        case Folded(title, inner):
            return f"<details><summary>{escape(title)}</summary>{''.join(map(_draw_block, inner))}</details>"
