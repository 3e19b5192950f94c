"""Keeps calls that were prepared, for those that differ from them in nothing but their messages (``AlikeCalls``)."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, Self, TypeGuard, TypeVar

from ..messages import Message
from ..settings.layers import Settings

_MOST, _MOST_ASKED = 64, 256  # calls; calls with their messages
_LONGEST = 20_000  # characters of the messages of one
_PLAIN = (str, int, float, bool, type(None))


class Call(Protocol):
    """What is kept."""

    def with_messages(self, messages: Iterable[Message]) -> Self:
        """The same call with other messages."""
        ...


_Call = TypeVar("_Call", bound=Call)


@dataclass(frozen=True, slots=True, eq=False)
class _Kept(Generic[_Call]):
    """A call with what it was resolved from: ``current`` lives as long, so that no other settings have its ``id``."""

    call: _Call
    current: Settings
    client: Any
    look: tuple[Any, ...]


class AlikeCalls(Generic[_Call]):
    """Prepared calls of text alone, each by all that it depends on besides its messages.

    A notebook's cells ask in few ways: settings, route, store and parameters are resolved once for each of these, until something
    that they hang on has changed. Who asks says in a mark what that is; what only a client knows is looked at here.
    """

    def __init__(self) -> None:
        self._kept: dict[Hashable, _Kept[_Call]] = {}
        self._asked: dict[tuple[_Kept[_Call], tuple[Message, ...]], _Call] = {}

    def find(self, mark: Hashable, messages: Sequence[Message], registered: Mapping[str, Any]) -> _Call | None:
        """The call that was kept with a mark, with these messages, where its client is as it was."""
        kept = self._kept.get(mark)
        return self._ask(kept, tuple(messages)) if kept is not None and kept.look == _look_at(kept.client, registered) else None

    def _ask(self, kept: _Kept[_Call], messages: tuple[Message, ...]) -> _Call:
        """A call with these messages; it and its key are found again when a cell is run again."""
        known = self._asked.get((kept, messages))
        if known is not None:
            return known
        call = kept.call.with_messages(messages)
        if sum(len(m.text) for m in messages) <= _LONGEST:
            if len(self._asked) >= _MOST_ASKED:
                self._asked.clear()
            self._asked[kept, messages] = call
        return call

    def keep(self, mark: Hashable, call: _Call, current: Settings, client: Any, registered: Mapping[str, Any]) -> None:
        """Keep a call, and what it was resolved from."""
        if len(self._kept) >= _MOST:
            self._kept.clear()
        self._kept[mark] = _Kept(call, current, client, _look_at(client, registered))

    def clear(self) -> None:
        """Forget all."""
        self._kept.clear()
        self._asked.clear()


def mark_params(params: Mapping[str, Any]) -> tuple[Any, ...] | None:
    """Parameters as a mark compares them, ``1`` and ``1.0`` and ``True`` apart; ``None`` where one is no plain value."""
    if not all(type(value) in _PLAIN for value in params.values()):
        return None
    return tuple((name, repr(value)) for name, value in params.items())


def are_plain(messages: Iterable[Any] | str) -> TypeGuard[Sequence[Message]]:
    """Whether these are messages of text alone: files bring notes of their own, calls of tools are no values that can be compared."""
    return isinstance(messages, (tuple, list)) and all(map(_is_plain, messages))


def _is_plain(message: Any) -> bool:
    return type(message) is Message and type(message.content) is str and not (message.tool_calls or message.output_items)


def _look_at(client: Any, registered: Mapping[str, Any]) -> tuple[Any, ...]:
    """What of a client its calls depend on, though nobody but itself can tell: assigned recording, an SDK's client handed in."""
    own = (client.own_recording, client.own_store, client.takes_responses, client.own_transport(None, {}) is None)
    return (registered.get(client.api_type), *own)
