"""Where the value of a setting came from: the layer that set it (``Origin``) and the place there (``Source``)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any


class Origin(StrEnum):
    """The layers of settings, the weakest first. Saved notebooks print their texts, so those stay; ``label`` is for readers.

    The table of a named model is a layer for a call to it alone: ``Settings`` never has it.
    """

    PACKAGED = "packaged"
    USER_FILE = "user file"
    FOLDER_FILE = "config.ini"
    ENVIRONMENT = "environment"
    NAMED_MODEL = "named model"
    CLIENT = "client"
    SESSION = "session"
    OVERRIDE = "override"
    CALL = "call"

    @property
    def label(self) -> str:
        """The layer in a reader's words."""
        return {Origin.PACKAGED: "default", Origin.USER_FILE: "user config.ini"}.get(self, self.value)


_LAYERS = tuple(Origin)
_EXPLICIT = frozenset({Origin.CLIENT, Origin.SESSION, Origin.OVERRIDE, Origin.CALL})


@dataclass(frozen=True, slots=True)
class Source:
    """A layer, and the ``place`` in it: the path of a file, the name of a variable."""

    origin: Origin
    place: str = ""

    @property
    def is_explicit(self) -> bool:
        """Whether code or a cell chose the value: such a choice wins over the table of a named model."""
        return self.origin in _EXPLICIT

    @property
    def strength(self) -> int:
        """The place of the layer among the others: a stronger one wins."""
        return _LAYERS.index(self.origin)

    @property
    def label(self) -> str:
        """The source as a user reads it, without a path: a file's folder is another one on every machine."""
        return str(self) if self.origin is Origin.ENVIRONMENT else self.origin.label

    @property
    def where(self) -> str:
        """The source for a warning that a notebook may save: the user's file with its path below ``~``, else the label."""
        if self.origin is not Origin.USER_FILE:
            return self.label
        home = f"{Path.home()}{os.sep}"
        return f"{self.label} ({self.place.replace(home, '~/', 1) if self.place.startswith(home) else Path(self.place).name})"

    def __str__(self) -> str:
        return f"{self.origin} {self.place}".rstrip()


@dataclass(frozen=True, slots=True)
class Sourced:
    """A value with its source; ``None`` takes back what weaker layers set."""

    value: Any
    source: Source
