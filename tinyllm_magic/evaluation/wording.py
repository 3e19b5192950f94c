"""How figures of an evaluation are written, everywhere alike."""

from __future__ import annotations


def write_value(value: float | None, *, is_share: bool) -> str:
    """A share in per cent, any other value with three digits; nothing where there is none.

    >>> write_value(0.425, is_share=True), write_value(1.23456, is_share=False), write_value(None, is_share=True)
    ('42.5 %', '1.23', '')
    """
    if value is None:
        return ""
    return f"{100 * value:.1f} %" if is_share else f"{value:.3g}"


def write_range(low: float | None, high: float | None, *, is_share: bool) -> str:
    """The bounds of a 95 % interval, as shares in per cent.

    >>> write_range(0.3581, 0.4946, is_share=True), write_range(None, None, is_share=True)
    ('95 % 35.8 to 49.5', 'too few rows for an interval')
    """
    if low is None or high is None:
        return "too few rows for an interval"
    scale, form = (100, ".1f") if is_share else (1, ".3g")
    return f"95 % {low * scale:{form}} to {high * scale:{form}}"


def write_difference(value: float, *, is_share: bool) -> str:
    """A difference with its sign; of shares in points of a hundred.

    >>> write_difference(0.0621, is_share=True), write_difference(-0.5, is_share=False)
    ('+6.2 points', '-0.5')
    """
    return f"{100 * value:+.1f} points" if is_share else f"{value:+.3g}"


def write_probability(p: float) -> str:
    """A p value.

    >>> write_probability(0.0123), write_probability(0.00001)
    ('p 0.012', 'p < 0.001')
    """
    return "p < 0.001" if p < 0.001 else f"p {p:.3f}" if p < 0.1 else f"p {p:.2f}"


def count_rows(n: int) -> str:
    """A number of rows in words.

    >>> count_rows(1), count_rows(2000)
    ('1 row', '2,000 rows')
    """
    return f"{n:,} row{'' if n == 1 else 's'}"
