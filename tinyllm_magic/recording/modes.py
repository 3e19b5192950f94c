"""The four recording modes, and what each does with a request: one pure decision."""

from __future__ import annotations

from enum import StrEnum
from functools import cache

from ..errors import ConfigError, near, suggest


class Mode(StrEnum):
    """How a store is used: answer from it and record (auto), only answer (replay), only record (refresh), not at all (off)."""

    AUTO = "auto"
    REPLAY = "replay"
    REFRESH = "refresh"
    OFF = "off"

    @classmethod
    def of(cls, text: str) -> Mode:
        """The mode of this name; raises ``ConfigError`` with near matches.

        >>> Mode.of("Replay")
        <Mode.REPLAY: 'replay'>
        """
        try:
            return cls(str(text).strip().lower())
        except ValueError:
            hint = suggest(near(str(text), list(cls))) or f"Modes are {', '.join(cls)}."
            raise ConfigError(f"there is no mode {str(text)!r}", hint=hint, key="MODE") from None


class Decision(StrEnum):
    """What happens to a request."""

    REPLAY = "replay"
    CALL_AND_RECORD = "call and record"
    CALL = "call"
    MISS = "miss"


def decide(mode: Mode, known: bool) -> Decision:
    """What happens in a mode to a request whose answer is known, or not.

    >>> decide(Mode.AUTO, known=False)
    <Decision.CALL_AND_RECORD: 'call and record'>
    """
    if mode is Mode.OFF:
        return Decision.CALL
    if mode is Mode.REFRESH:
        return Decision.CALL_AND_RECORD
    if known:
        return Decision.REPLAY
    return Decision.CALL_AND_RECORD if mode is Mode.AUTO else Decision.MISS


@cache
def depends_on_record(mode: Mode) -> bool:
    """Whether what happens in a mode hangs on what is recorded; where it does not, nobody need look.

    >>> depends_on_record(Mode.OFF), depends_on_record(Mode.AUTO)
    (False, True)
    """
    return decide(mode, known=True) is not decide(mode, known=False)
