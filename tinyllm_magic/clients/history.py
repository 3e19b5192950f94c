"""The calls of this session in the order in which they ended (``History``), and a hint for a cell that repeats one."""

from __future__ import annotations

import itertools
import statistics
import threading
import time
from collections import Counter, deque
from typing import NamedTuple

from ..messages import Request
from ..models.routing import Route
from ..responses import Response
from ..user_warnings import warn

LENGTH = 1000
REPEATS_BEFORE_HINT = 3
USUAL_TOKENS = 300
"""Length of an answer where nothing is known of the model: a few paragraphs."""
_LOOKED_AT = 50  # calls


class HistoryEntry(NamedTuple):
    """One call of this session: when it ended (seconds since 1970), what was asked and where, and how it ended.

    ``pool`` is the same object for all calls of one map or comparison.
    """

    when: float
    request: Request
    route: Route
    response: Response | None = None
    error: BaseException | None = None
    pool: object = None


class History(deque[HistoryEntry]):
    """The last calls, the newest at the end."""

    def __init__(self) -> None:
        super().__init__(maxlen=LENGTH)
        self._repeats: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(self, request: Request, route: Route, outcome: Response | BaseException, *, in_cell: bool, pool: object = None) -> None:
        """Take note of how a call ended; ``in_cell`` says whether there are cells at all, ``pool`` to which map it belongs."""
        if isinstance(outcome, BaseException):
            self.append(HistoryEntry(time.time(), request, route, error=outcome, pool=pool))
            return
        self.append(HistoryEntry(time.time(), request, route, response=outcome, pool=pool))
        if in_cell and request.params.get("temperature") != 0 and request.is_conversation:
            self._hint_at_samples(outcome)

    def expect_tokens(self, request: Request) -> int:
        """How many tokens an answer to a request is likely to have: as many as this model's last answers, at most what was asked for."""
        last = list(itertools.islice(reversed(self), _LOOKED_AT))
        known = [e.response.usage for e in last if e.response is not None and e.request.model == request.model]
        lengths = [usage.completion_tokens for usage in known if usage is not None and usage.completion_tokens > 0]
        likely = round(statistics.median(lengths)) if lengths else USUAL_TOKENS
        limit = request.params.get("max_completion_tokens") or request.params.get("max_tokens")
        return min(likely, int(limit)) if limit else likely

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
