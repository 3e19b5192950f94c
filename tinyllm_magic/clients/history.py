"""The calls of this session in the order in which they ended (``History``), and a hint for a cell that repeats one."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from dataclasses import dataclass

from ..messages import Request
from ..models.routing import Route
from ..responses import Response
from ..user_warnings import warn

LENGTH = 1000
REPEATS_BEFORE_HINT = 3


@dataclass(frozen=True)
class HistoryEntry:
    """One call of this session: when it ended (seconds since 1970), what was asked and where, and how it ended."""

    when: float
    request: Request
    route: Route
    response: Response | None = None
    error: BaseException | None = None


class History(deque[HistoryEntry]):
    """The last calls, the newest at the end."""

    def __init__(self) -> None:
        super().__init__(maxlen=LENGTH)
        self._repeats: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(self, request: Request, route: Route, outcome: Response | BaseException, *, in_cell: bool) -> None:
        """Take note of how a call ended; ``in_cell`` says whether there are cells at all."""
        if isinstance(outcome, BaseException):
            self.append(HistoryEntry(time.time(), request, route, error=outcome))
            return
        self.append(HistoryEntry(time.time(), request, route, response=outcome))
        if in_cell and request.params.get("temperature") != 0 and request.is_conversation:
            self._hint_at_samples(outcome)

    def begin_cell(self) -> None:
        """A new cell starts: repetitions are counted afresh."""
        self._repeats.clear()

    def _hint_at_samples(self, outcome: Response) -> None:
        """A loop over one request is answered by one record: say once how to draw several."""
        with self._lock:
            self._repeats[outcome.key] += 1  # the live one counts, so that a replayed cell says the same
            repeats = self._repeats[outcome.key]
        if outcome.source == "recorded" and repeats == REPEATS_BEFORE_HINT:
            warn(
                "the same request was answered by the same record several times in this cell; "
                "to draw different answers use `%%llm -n 5` or sample=0, 1, 2 …"
            )
