"""Draws the pages of a site that need no kernel: the first page, which lists the notebooks, and each notebook as it was saved.

They load nothing: no script, no font, no formula renderer from elsewhere; a policy in each page holds its browser to that.
"""

from __future__ import annotations

import copy
import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..extras import load_library

_STATIC = Path(__file__).parent / "static"
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; media-src 'self' data:; font-src data:; form-action 'none'"
_WIDGET = "application/vnd.jupyter.widget-view+json"


@dataclass(frozen=True)
class Entry:
    """What the first page says of a notebook. ``absent`` are sentences on what a reader cannot run of it."""

    folder: str
    file: str
    title: str
    introduction: str
    facts: Sequence[str]
    absent: Sequence[str]

    @property
    def run_url(self) -> str:
        """Where it is run, below the site's own address."""
        return f"run/notebooks/index.html?path={quote(f'{self.folder}/{self.file}')}"

    @property
    def saved_url(self) -> str:
        """Its saved page."""
        return f"{quote(self.folder)}.html"


def draw_first_page(title: str, entries: Sequence[Entry], footer: str) -> str:
    """The list of the notebooks."""
    articles = "\n".join(map(_draw_entry, entries))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<link rel="icon" href="data:,">
<title>{html.escape(title)}</title>
<style>
{_read("page.css")}{_read("index.css")}</style>
</head>
<body>
<main>
<h1>{html.escape(title)}</h1>
<p class="lead">Read each notebook as it was saved, or run it here: Python runs inside this page, and every prompt is answered from
what was recorded. No key, no installation, nothing is sent anywhere. You may change prompts and move sliders: the page answers
what was recorded, and says so where it was not.</p>
{articles}
<footer>{footer}</footer>
</main>
</body>
</html>
"""


def _draw_entry(entry: Entry) -> str:
    absent = "".join(f'<p class="absent">{html.escape(words)}</p>\n' for words in entry.absent)
    introduction = f"<p>{html.escape(entry.introduction)}</p>\n" if entry.introduction else ""
    return f"""<article>
<h2><a href="{entry.saved_url}">{html.escape(entry.title)}</a></h2>
{introduction}<p class="facts">{html.escape(" · ".join(entry.facts))}</p>
{absent}<p class="doors"><a href="{entry.saved_url}">Read it</a><a class="tlm-run" href="{entry.run_url}">Run it here</a></p>
</article>"""


def draw_saved_page(notebook: Any, entry: Entry, title: str, folder: Path) -> str:
    """A notebook with its outputs; pictures beside it, in ``folder``, become part of the page."""
    nbconvert = load_library("nbconvert", "publish")
    exporter = nbconvert.HTMLExporter(template_file=str(_STATIC / "saved_page.html.j2"), embed_images=True)
    site = {
        "policy": _POLICY,
        "css": _read("page.css"),
        "dark_css": _dark_theme(exporter),
        "title": title,
        "words": "; ".join(("as it was saved", *entry.absent)),
        "run_url": entry.run_url,
    }
    resources = {"metadata": {"name": entry.title, "path": str(folder)}, "site": site}
    page, _ = exporter.from_notebook_node(_without_widgets(notebook), resources=resources)
    return str(page)


def _without_widgets(notebook: Any) -> Any:
    """The notebook with what each widget shows where there is no kernel, in place of the widget."""
    shown = copy.deepcopy(notebook)
    shown.metadata.pop("widgets", None)
    for cell in shown.cells:
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if len(data) > 1:
                data.pop(_WIDGET, None)
    return shown


def _dark_theme(exporter: Any) -> str:
    """JupyterLab's dark colours, for a reader whose system is dark."""
    for folder in map(Path, exporter.template_paths):
        theme = folder / "static" / "theme-dark.css"
        if theme.exists():
            return f"@media screen and (prefers-color-scheme: dark) {{\n{theme.read_text(encoding='utf-8')}\n}}"
    return ""


def _read(name: str) -> str:
    return (_STATIC / name).read_text(encoding="utf-8")
