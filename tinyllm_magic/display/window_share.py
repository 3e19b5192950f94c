"""How much of a model's context window a prompt takes, in words and as a meter, and whether that is too much."""

from __future__ import annotations

from dataclasses import dataclass

from .html_text import escape

_NEARLY_FULL = 0.8  # of the window


@dataclass(frozen=True)
class WindowShare:
    """A prompt of ``total`` tokens in a context window of ``window``, of which the answer may take ``max_tokens``.

    ``about`` stands before counts that are estimates. Where the window is unknown there is nothing to say.

    >>> WindowShare(21, 128_000, 500).words
    '21 of 128,000 tokens of the context window (under 1 %); the answer may take 500 (max_tokens), 127,479 stay free'
    >>> WindowShare(2100, 2048, 500).words, WindowShare(2100, 2048, 500).level
    ('too long: 2,100 tokens, and the context window holds 2,048 together with the answer', 'error')
    """

    total: int
    window: int | None
    max_tokens: int | None = None
    about: str = ""

    @property
    def level(self) -> str:
        """``error`` where the prompt does not fit, ``warning`` where it nearly fills the window or the answer may not fit; else empty."""
        if not self.window:
            return ""
        left = self.window - self.total
        if left <= 0:
            return "error"
        return "warning" if self.total > _NEARLY_FULL * self.window or (self.max_tokens or 0) > left else ""

    @property
    def words(self) -> str:
        """The share, and what is left for the answer; empty where the window is unknown."""
        if not self.window:
            return ""
        left, count = self.window - self.total, f"{self.about}{self.total:,}"
        if left <= 0:
            return f"too long: {count} tokens, and the context window holds {self.window:,} together with the answer"
        share = self.total / self.window
        taken = f"{count} of {self.window:,} tokens of the context window ({f'{share:.0%}' if share >= 0.01 else 'under 1 %'})"
        taken += ", nearly full" if share > _NEARLY_FULL else ""
        if not self.max_tokens:
            return f"{taken}; {self.about}{left:,} left for the answer"
        if self.max_tokens > left:
            return f"{taken}; {self.about}{left:,} left for the answer, less than max_tokens {self.max_tokens:,}"
        free = left - self.max_tokens
        return f"{taken}; the answer may take {self.max_tokens:,} (max_tokens), {self.about}{free:,} stay free"


def draw_window_share(share: WindowShare) -> str:
    """The words beside a meter, which a full window colours; with a mark where it is too full."""
    if not share.window:
        return ""
    most, nearly = max(share.window, share.total), int(_NEARLY_FULL * share.window)
    bounds = f'min="0" max="{most}" low="{nearly}" high="{min(share.window, most - 1)}" optimum="0"'
    words = escape(share.words)
    meter = f'<meter {bounds} value="{share.total}">{words}</meter>'
    said = f"<strong>{words}</strong>" if share.level else words
    return f"<p{mark_alert(share.level)}><label>{meter} {said}</label></p>"


def mark_alert(level: str) -> str:
    """The class of a paragraph that warns (``warning``) or tells of what cannot work (``error``); nothing for any other."""
    return f' class="tlm-alert tlm-alert-{level}"' if level in ("warning", "error") else ""
