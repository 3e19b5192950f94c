"""The reasoning on a card: dim, folded, and open only while nothing else has come (``draw_reasoning``)."""

from __future__ import annotations

from .html_text import NO_MATH


def draw_reasoning(drawn: str, *, growing: bool) -> str:
    """Reasoning that is drawn already, in its fold: open and at its end where it is ``growing``, nothing where there is none."""
    if not drawn:
        return ""
    opened, tail = (" open", " tlm-tail") if growing else ("", "")
    keys = 'tabindex="0" role="region" aria-label="Reasoning, scrolls" data-lm-suppress-shortcuts="true"'
    return (
        f'<details class="{NO_MATH}"{opened}><summary>reasoning</summary>'
        f'<div class="tlm-thought{tail}" dir="auto" {keys}><div>{drawn}</div></div></details>'
    )
