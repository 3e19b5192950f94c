"""Notebooks whose records a test makes."""

from functools import partial

import pytest
from recordedbook import write_book


@pytest.fixture
def book(tmp_path):
    """``book([records of cell 1], [of cell 2], …)``: the path of a notebook with its store."""
    return partial(write_book, tmp_path / "book")
