"""What the notebook remembers between cells: its panel, and what the last cell asked. ``session.panel`` shows the panel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..batch import state as _  # noqa: F401  # it adds ``session.last_table``
from ..clients.plans import Plan
from ..clients.sessions import (
    Session,
    session,  # noqa: F401  # the public session, with what is added below
)
from ..messages import Message

if TYPE_CHECKING:
    from ..display.kept_cards import KeptCards
    from ..display.panel_widget import ParamPanel


@dataclass(frozen=True)
class Question:
    """What a cell asked, before the settings of a moment come in: its rendered messages, and what it says of its own.

    ``params`` win over every setting, as in the cell. ``combinations`` are the recorded ones of its grid, by
    parameter (and ``model``, where models are compared); ``samples`` is how many draws it asked for.
    """

    messages: tuple[Message, ...]
    model: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    mode: str | None = None
    sample: int = 0
    samples: int = 1
    combinations: tuple[Mapping[str, Any], ...] = ()


@dataclass
class NotebookState:
    """The panel, the question and the plan of the last cell, the cards shown (``None`` before), whether one has told of the session."""

    panel: ParamPanel | None = None
    last_question: Question | None = None
    last_plan: Plan | None = None
    cards: KeptCards | None = None
    introduced: bool = False


state = NotebookState()
"""What the notebook of this kernel remembers."""

Session.add_attribute("panel", lambda: state.panel)
