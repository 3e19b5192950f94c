"""Tables of answers without any call, for what only looks at them."""

import pytest

import tinyllm_magic.batch.runner  # noqa: F401  # asks judges, wherever a table was asked for
from tinyllm_magic.batch.table import Table
from tinyllm_magic.row_results import RowResult


def answer(row, text):
    """A row that was answered with this text; ``None``: it failed."""
    entry = RowResult(row)
    if text is None:
        entry.error = RuntimeError("no answer")
    else:
        entry.text, entry.key, entry.source = text, f"key of {text}", "live"
    return entry


@pytest.fixture
def make_table():
    """``make_table(rows, answers)``: a table of answers to rows."""

    def make(rows, answers, **facts):
        return Table([answer(row, text) for row, text in zip(rows, answers, strict=True)], **facts)

    return make


@pytest.fixture
def labelled(make_table):
    """``labelled("aab", "abb")``: a table of rows with these labels, answered so; a dot is no answer."""

    def make(labels, answers, **facts):
        rows = [{"number": n, "label": label} for n, label in enumerate(labels)]
        return make_table(rows, [None if a == "." else a for a in answers], **facts)

    return make
