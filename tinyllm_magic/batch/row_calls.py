"""The calls of many rows under the same settings (``RowPreparer``), each no more than its request until it has to be made (``RowCall``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..clients.call import LLMCall
from ..clients.prepared import PreparedCall
from ..clients.template_finder import TemplateFinder
from ..messages import Request
from ..recording.recorder import Resolution
from ..responses import Response
from ..settings.layers import Settings

_MOST_CALLS = 1000  # of one map whose first rows are remembered


class RowCall(NamedTuple):
    """The call of one row: ``alike`` was prepared, for this row or for another, and differs in nothing but its request."""

    alike: PreparedCall
    request: Request

    @classmethod
    def of(cls, prepared: PreparedCall) -> RowCall:
        """A call that is prepared already."""
        return cls(prepared, prepared.request)

    def resolve(self) -> Resolution:
        """What happens to the request, with the recorded answer; raises ``StoreError`` in strict replay of an unreadable store."""
        return self.alike.resolution or self.alike.resolve(self.request)

    def replay(self, found: Resolution) -> Response | None:
        """The recorded answer, where it is the answer whatever it says; else ``None``: the call has to be made."""
        return self.alike.replay(self.request, found)

    def make(self, found: Resolution | None = None) -> PreparedCall:
        """The call itself, with what was found out of it."""
        return self.alike.with_request(self.request, found or self.alike.resolution)


class RowPreparer:
    """Prepares the calls of many rows under the same settings: what the rows of a call have in common is resolved with the first."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._finder = settings, TemplateFinder()
        self._firsts: dict[int, tuple[LLMCall, PreparedCall]] = {}

    def prepare(self, call: LLMCall, variables: Mapping[str, Any]) -> RowCall:
        """The call of one row; raises what rendering and preparing it raise."""
        first = self._firsts.get(id(call))
        if first is not None:
            return RowCall(first[1], call.ask_like(first[1], variables, self._finder))
        prepared = call.prepare_row(variables, self._settings, self._finder)
        if len(self._firsts) < _MOST_CALLS:
            self._firsts[id(call)] = (call, prepared)  # as long as the call is kept, no other has its number
        return RowCall.of(prepared)
