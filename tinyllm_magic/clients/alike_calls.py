"""Keeps calls that were prepared, for those that differ from them in nothing but their messages (``AlikeCalls``)."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard

from ..messages import Message

if TYPE_CHECKING:
    from ..settings.layers import Settings
    from .prepared import Client, PreparedCall

_MOST = 64
_PLAIN = (str, int, float, bool, type(None))


@dataclass(frozen=True, slots=True)
class _Kept:
    """A call with what it was resolved from: ``current`` lives as long, so that no other settings have its ``id``."""

    prepared: PreparedCall
    current: Settings
    client: tuple[Any, ...]


class AlikeCalls:
    """Prepared calls, each by all that it depends on besides its messages.

    A notebook's cells ask in few ways: settings, route, store and parameters are resolved once for each of these, until something
    that they hang on has changed. Who asks says in a mark what that is.
    """

    def __init__(self) -> None:
        self._kept: dict[Hashable, _Kept] = {}

    def find(self, mark: Hashable, messages: Iterable[Any] | str, registered: Mapping[str, Client]) -> PreparedCall | None:
        """The call of these messages, where one of this mark was kept and its client is as it was."""
        kept = self._kept.get(mark)
        if kept is None or not _are_plain(messages) or kept.client != _describe(kept.prepared.client, registered):
            return None
        return kept.prepared.with_messages(messages)

    def keep(self, mark: Hashable, prepared: PreparedCall, current: Settings, registered: Mapping[str, Client]) -> None:
        """Keep a call, but none with files, whose notes are about them, and none with a function in place of its transport."""
        if prepared.plan.transport is not None or not _are_plain(prepared.request.messages):
            return
        if len(self._kept) >= _MOST:
            self._kept.clear()
        self._kept[mark] = _Kept(prepared, current, _describe(prepared.client, registered))

    def clear(self) -> None:
        """Forget all."""
        self._kept.clear()


def mark_params(params: Mapping[str, Any]) -> tuple[Any, ...] | None:
    """Parameters as a mark compares them, ``1`` and ``1.0`` and ``True`` apart; ``None`` where one is no plain value."""
    if not all(type(value) in _PLAIN for value in params.values()):
        return None
    return tuple((name, repr(value)) for name, value in params.items())


def _are_plain(messages: Iterable[Any] | str) -> TypeGuard[Sequence[Message]]:
    """Whether these are messages of text alone."""
    return isinstance(messages, (tuple, list)) and all(type(m) is Message and type(m.content) is str for m in messages)


def _describe(client: Client, registered: Mapping[str, Client]) -> tuple[Any, ...]:
    """What of a client its calls depend on, though nobody but itself can tell: assigned recording, an SDK's client handed in."""
    own = (client.own_recording, client.own_store, client.takes_responses, client.own_transport(None, {}) is None)
    return (registered.get(client.api_type), *own)
