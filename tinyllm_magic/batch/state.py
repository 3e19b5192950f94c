"""What maps and comparisons leave behind: the last table (``session.last_table``), and who watches those that name nobody."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..clients.sessions import Session

if TYPE_CHECKING:
    from .table import Table  # every notebook imports this module, most ask no rows

Watch = Callable[["Table"], None]


@dataclass
class BatchState:
    """The last table, also of a run that was stopped, and what makes a watcher where a caller names none."""

    last_table: Table | None = None
    make_watch: Callable[[], Watch] | None = None
    reserved: dict[str, float] = field(default_factory=dict)
    """What is reserved of the budget for batches that this kernel has left, in US dollars, by their ids here."""


state = BatchState()
"""What the maps of this process have left behind."""

Session.add_attribute("last_table", lambda: state.last_table)
