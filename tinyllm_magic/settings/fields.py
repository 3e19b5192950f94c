"""What one setting may be (``Setting``): its type, range and spellings; checks and converts its values."""

from __future__ import annotations

import configparser
import math
import numbers
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ConfigError, near, suggest
from ..redaction import hide_private


class Secret(str):
    """Text that is not shown by ``repr``, alone or inside a dict."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'…'"


@dataclass(frozen=True)
class Setting:
    """One thing that can be set.

    ``key`` is its name in a file and, after ``TINYLLM_``, in the environment; ``name`` its name in
    Python. ``low`` and ``high`` are allowed themselves, ``above`` is not. ``unset`` are further
    words for "not set", ``spellings`` further names, ``variables`` the vendors' environment variables.
    ``long`` is prose of several lines, ``path`` a text that may hold spaces and marks.
    """

    key: str
    name: str
    type: type[str | int | float | bool]
    doc: str
    low: float | None = None
    high: float | None = None
    above: float | None = None
    choices: tuple[str, ...] = ()
    unset: tuple[str, ...] = ()
    spellings: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    long: bool = False
    path: bool = False

    @property
    def allowed(self) -> str:
        """The type and range in words.

        >>> Setting("TEMPERATURE", "temperature", float, "", low=0, high=2).allowed
        'a number from 0 to 2'
        """
        if self.choices:
            return "one of " + ", ".join(self.choices)
        kind = {str: "text on one line", bool: "true or false", int: "a whole number", float: "a number"}[self.type]
        if self.above is not None:
            return f"{kind} above {self.above:g}"
        if self.low is not None and self.high is not None:
            return f"{kind} from {self.low:g} to {self.high:g}"
        return f"{kind}, at least {self.low:g}" if self.low is not None else kind

    def check(self, value: Any, source: str) -> Any:
        """The value in its type, ``None`` where it is empty; raises ``ConfigError`` naming key, source and range.

        >>> Setting("SEED", "seed", int, "").check("7", "session")
        7
        """
        text = "" if value is None else remove_quotes(str(value).strip())
        if text.casefold() in ("", "none", *self.unset):
            return None
        try:
            return self._convert(text if isinstance(value, str) else value)
        except (ValueError, TypeError, OverflowError):
            message = f"{self.key} = {hide_private(text)!r} ({source}) is not usable: it must be {self.allowed}"
            raise ConfigError(message, key=self.key, source=source, hint=suggest(near(text, self.choices))) from None

    def _convert(self, value: Any) -> Any:
        if self.type is str:
            return self._text(value if isinstance(value, str) else str(Path(value)))
        if self.type is bool:
            return _truth(value)
        number = _number(value, whole=self.type is int)
        if (self.low is not None and number < self.low) or (self.high is not None and number > self.high):
            raise ValueError(value)
        if self.above is not None and number <= self.above:
            raise ValueError(value)
        return number

    def _text(self, text: str) -> str:
        if self.choices:
            return self.choices[self.choices.index(text.casefold())]
        if "\n" in text and not self.long:  # an indented next line has become part of the value
            raise ValueError(text)
        return text


def remove_quotes(text: str) -> str:
    """The text without one pair of quotes around all of it."""
    inner = text[1:-1]
    return inner if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" and text[0] not in inner else text


def _truth(value: Any) -> bool:
    states = configparser.ConfigParser.BOOLEAN_STATES
    if str(value).casefold() not in states:
        raise ValueError(value)
    return states[str(value).casefold()]


def _number(value: Any, *, whole: bool) -> int | float:
    """A finite number; a whole one may be written as ``5.0``, as TinyTroupe's files do."""
    if isinstance(value, bool) or not isinstance(value, (str, numbers.Real)):
        raise TypeError(value)
    number = float(value)
    if not math.isfinite(number) or (whole and not number.is_integer()):
        raise ValueError(value)
    if not whole:
        return number
    try:
        return int(str(value))  # exact, where a float is not
    except ValueError:
        return int(number)
