"""Which ``$…$`` of a text is a formula, and which is money, a shell variable or a stray sign."""

from __future__ import annotations

import re

_LONGEST = 200  # characters between two dollars
_FUNCTION_NAMES = """
    sin cos tan cot sec csc sinh cosh tanh arcsin arccos arctan log exp lim max min sup inf arg det dim deg gcd lcm mod ker var cov
"""
_FUNCTIONS = frozenset(_FUNCTION_NAMES.split())
_TEXT = re.compile(r"\\(?:text|mathrm|mathbf|mathit|mathsf|operatorname|textbf|textit|mbox|begin|end)\*?\s*\{[^{}]*\}")
_COMMAND = re.compile(r"\\[A-Za-z]+")
_PROSE = re.compile(r"[^\W\d_]{3,}")
_OPEN = "-+=*/<>,;:(&"  # no formula ends with them
_SINGLE = re.compile(r"[^\W\d_]'*|\d+(?:[.,]\d+)*")
_SIGNS = re.compile(r"[\\^_=+<>*/|!]|[^\W\d_]\(|\d[^\W\d_]|[^\W\d_]\d|[−·×÷≤≥≠≈∈∑∫√∞α-ωΑ-Ω-]")


def find_dollar_formula(text: str, at: int) -> int | None:
    r"""Where the formula ends that begins with the dollar at ``at``; ``None`` where none does.

    As in Pandoc, no space stands inside the two signs and no digit behind the second; no letter or digit stands before the
    first either. What is between them is one sign, or looks like a formula and holds no word of prose.

    >>> find_dollar_formula("$x_1$ is it", 0), find_dollar_formula("$5 or $10", 0), find_dollar_formula("$HOME/$USER", 0)
    (5, None, None)
    """
    if text[at : at + 1] != "$" or (at and (text[at - 1].isalnum() or text[at - 1] in "$\\")):
        return None
    end = at + 1
    while True:
        end = text.find("$", end, at + _LONGEST)
        if end < 0:
            return None
        if text[end - 1] != "\\":
            break
        end += 1
    inner, behind = text[at + 1 : end], text[end + 1 : end + 2]
    if not inner or inner != inner.strip() or "\n" in inner or behind.isdigit() or behind == "$" or inner[-1] in _OPEN:
        return None
    return end + 1 if _is_formula(inner) else None


def _is_formula(inner: str) -> bool:
    if _SINGLE.fullmatch(inner):
        return True
    bare = _COMMAND.sub(" ", _TEXT.sub(" ", inner))
    prose = [word for word in _PROSE.findall(bare) if word.lower() not in _FUNCTIONS]
    return not prose and _SIGNS.search(inner) is not None
