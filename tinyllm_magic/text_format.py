"""How amounts of money, samples, progress, long texts and a stranger's characters are written, everywhere alike."""

from __future__ import annotations

import math

# Control characters but tab and newline (C0, delete, C1), and those that write the rest of a line backwards.
_CONTROLS = (*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_UNPRINTABLE = dict.fromkeys(set(_CONTROLS) - {0x09, 0x0A})


def printable(text: str) -> str:
    r"""Text without control characters (but tab and newline) and direction overrides: a terminal obeys none of a stranger's.

    >>> printable("a\x1b]0;title\x07b\u202ec")
    'a]0;titlebc'
    """
    return text if _is_plain(text) else text.translate(_UNPRINTABLE)


def _is_plain(text: str) -> bool:
    """Whether a text surely holds none of these: a look at it takes a tenth of the time of a translation."""
    return text.replace("\n", "").replace("\t", "").isprintable()


def format_money(dollars: float | None, about: str = "", unpriced: int = 0) -> str:
    """US dollars with as many decimals as they need; nothing when unknown.

    ``about`` stands before the amount; ``unpriced`` is how many more calls cost an unknown amount.

    >>> format_money(0.0004), format_money(0.00000123), format_money(None)
    ('$0.0004', '$0.0000012', '')
    >>> format_money(2.5, "≈ ", unpriced=3), format_money(None, unpriced=1)
    ('≈ $2.50 + 3 of unknown price', '1 of unknown price')
    """
    parts = []
    if dollars is not None:
        decimals = 2 if dollars == 0 or dollars >= 1 else 4 if dollars >= 0.0001 else 1 - math.floor(math.log10(dollars))
        parts.append(f"{about}${dollars:.{decimals}f}")
    if unpriced:
        parts.append(f"{unpriced:,} of unknown price")
    return " + ".join(parts)


def name_sample(number: int) -> str:
    """A draw of an answer as it is shown: counted from 1, where the parameter ``sample`` counts from 0.

    >>> name_sample(0)
    'sample 1'
    """
    return f"sample {number + 1}"


def format_progress(message: str, done: int, total: int) -> str:
    """How far something has come, in per cent where the whole is known (``total`` is not 0).

    >>> format_progress("reading", 1, 4), format_progress("reading", 1, 0)
    ('reading  25%', 'reading')
    """
    return f"{message} {done / total:4.0%}" if total else message


def shorten(text: str, length: int) -> str:
    """``text`` in at most ``length`` characters; what was cut off shows as an ellipsis.

    >>> shorten("a long sentence", 8)
    'a long …'
    """
    return text if len(text) <= length else f"{text[: length - 1]}…"


def shorten_line(text: str, length: int) -> str:
    r"""The same on one line: every stretch of white space is one space.

    >>> shorten_line("two\n  lines", 20)
    'two lines'
    """
    return shorten(" ".join(text.split()), length)


def shorten_middle(text: str, length: int) -> str:
    """``text`` without its middle where it is longer than ``length`` characters."""
    return text if len(text) <= length else f"{text[: length // 2]}…{text[-length // 2 :]}"
