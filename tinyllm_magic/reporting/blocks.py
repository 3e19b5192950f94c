"""The parts of a report's text, which Markdown and HTML both draw. In plain text, words between back quotes are code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Heading:
    """A heading; level 1 is the report's own."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Paragraph:
    """A paragraph; ``quoted`` where it is meant to be copied."""

    text: str
    quoted: bool = False


@dataclass(frozen=True)
class Listing:
    """Items one below the other."""

    items: Sequence[str]


class Mono(str):
    """A cell of a table whose whole text is code."""

    __slots__ = ()


class Badge(str):
    """A cell of a table that is one of a few states."""

    __slots__ = ()


@dataclass(frozen=True)
class Table:
    """A table: its columns' names, and rows of text; ``numbers`` are the columns that stand to the right."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Code:
    """Lines as they are."""

    text: str
    language: str = ""


@dataclass(frozen=True)
class Folded:
    """Blocks that open on demand."""

    title: str
    blocks: Sequence[Block]


Block = Heading | Paragraph | Listing | Table | Code | Folded
