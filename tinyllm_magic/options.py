"""A magic's line in, checked options and the remaining text out.

Knows the options of ``%%llm`` and ``%llm`` and how a line is split: quotes, brackets, ``{{ }}``.
Does not know settings, sessions, templates or IPython.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from .errors import OptionError, near, suggest

FORMATS = ("markdown", "text", "json", "code", "html")
MODES = ("auto", "replay", "refresh", "off")
_OPENING = {"(": ")", "[": "]", "{": "}"}
_NAME = re.compile(r"[^\W\d]\w*\Z")


@dataclass(frozen=True)
class Option:
    """One option: its spellings, where its value goes, and what it means."""

    flags: tuple[str, ...]
    dest: str
    help: str
    metavar: str = ""
    read: Callable[[str], Any] = str
    repeat: bool = False
    value: Any = None
    """What a flag without an argument sets."""

    @property
    def takes_value(self) -> bool:
        """Whether an argument follows."""
        return bool(self.metavar)


@dataclass
class Options:
    """What a line asked for; ``params`` are the model's parameters."""

    model: str | None = None
    out: str | None = None
    system: str | None = None
    template: str | None = None
    params: dict[str, Any] = field(default_factory=dict)
    format: str = "markdown"
    mode: str | None = None
    dry_run: bool = False
    show_prompt: bool = False
    stream: bool = True
    quiet: bool = False
    samples: int | None = None
    compare: list[str] | None = None
    grid: dict[str, list[Any]] = field(default_factory=dict)
    map: str | None = None
    workers: int | None = None
    text: str = ""

    @property
    def spreads(self) -> bool:
        """Whether the cell asks once for each of several rows, models or parameters."""
        return self.map is not None or self.compare is not None or bool(self.grid)


def json_or_text(text: str) -> Any:
    """The JSON value of a text, or the text itself where it is no JSON.

    >>> json_or_text("0.2"), json_or_text("fast")
    (0.2, 'fast')
    """
    try:
        return json.loads(text)
    except ValueError:
        return text


def _pair(text: str) -> tuple[str, Any]:
    name, sign, value = text.partition("=")
    if not sign or not name.strip():
        raise ValueError(f"'{text}' is not KEY=VALUE")
    return name.strip(), json_or_text(value)


def _one_of(*choices: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in choices:
            raise ValueError(f"'{text}' is not one of {', '.join(choices)}. {suggest(near(text, choices))}".strip())
        return text

    return read


def _variable(text: str) -> str:
    if not _NAME.match(text):
        raise ValueError(f"'{text}' is not the name of a variable")
    return text


def _count(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise ValueError(f"'{text}' is not a whole number above 0")
    return int(text)


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise ValueError(f"'{text}' is not M1,M2,…")
    return names


def _axis(text: str) -> tuple[str, list[Any]]:
    """One axis of a grid; a JSON list gives values that hold commas."""
    name, sign, values = text.partition("=")
    if not sign or not name.strip() or not values.strip():
        raise ValueError(f"'{text}' is not KEY=V1,V2,…")
    found = json_or_text(values.strip())
    return name.strip(), found if isinstance(found, list) else [json_or_text(v.strip()) for v in values.split(",")]


def _number(kind: type[int | float]) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        try:
            return kind(text)
        except ValueError:
            raise ValueError(f"'{text}' is not {'a whole number' if kind is int else 'a number'}") from None

    return read


OPTIONS: tuple[Option, ...] = (
    Option(("-m", "--model"), "model", "a named model or a vendor's model id; default: the session's", "NAME"),
    Option(("-o", "--out"), "out", "assign the Response to this variable", "NAME", _variable),
    Option(("-s", "--system"), "system", "system message (also a Jinja template)", "TEXT"),
    Option(("-t", "--template"), "template", "take the messages from a template file; the cell's text is its variable `cell`", "FILE"),
    Option(
        ("-p", "--param"),
        "params",
        "any parameter of the model, the value read as JSON where it is JSON; repeatable",
        "KEY=VALUE",
        _pair,
        True,
    ),
    Option(("--temperature",), "params", "0 to 2: how freely the model chooses its words", "NUMBER", _number(float)),
    Option(("--max-tokens",), "params", "the longest answer, in tokens", "NUMBER", _number(int)),
    Option(("--top-p",), "params", "0 to 1: choose among the likeliest words of this share", "NUMBER", _number(float)),
    Option(("--seed",), "params", "makes sampling repeatable where the model supports it", "NUMBER", _number(int)),
    Option(("--stop",), "params", "end the answer before this text (or JSON list of texts)", "TEXT", json_or_text),
    Option(("-f", "--format"), "format", f"how the body is shown: {', '.join(FORMATS)}", "FORMAT", _one_of(*FORMATS)),
    Option(("-n", "--samples"), "samples", "draw this many answers to the same request; --out gets a list", "N", _count),
    Option(("--compare",), "compare", "one card for each of these models, side by side; --out gets the table", "M1,M2,…", _names),
    Option(("--grid",), "grid", "one card for each value of a parameter; repeatable, all combinations", "KEY=V1,V2,…", _axis, True),
    Option(("--map",), "map", "once for each row of this variable or expression; columns are variables; --out gets the table", "ROWS"),
    Option(("--workers",), "workers", "how many rows are asked at a time; default 8", "N", _count),
    Option(("--mode",), "mode", f"recording mode of this cell: {', '.join(MODES)}", "MODE", _one_of(*MODES)),
    Option(("--fresh",), "mode", "ask again and replace the record (--mode refresh)", value="refresh"),
    Option(("--dry-run",), "dry_run", "send nothing: show messages, tokens, cost estimate, key, and whether it is recorded", value=True),
    Option(("--show-prompt",), "show_prompt", "show the rendered prompt, folded, under the card", value=True),
    Option(("--no-stream",), "stream", "show the answer when it is complete", value=False),
    Option(("-q", "--quiet"), "quiet", "show nothing", value=True),
)
FLAGS = {flag: option for option in OPTIONS for flag in option.flags}


def parse(line: str, *, cell: bool, expand: Callable[[str], str] = str) -> Options:
    """Options of a magic's line; in a line magic the text begins at the first word that is no option.

    ``expand`` renders ``{{ }}`` in option values. Raises ``OptionError`` with near matches.
    """
    options = Options()
    scanner = Scanner(line)
    while (word := scanner.peek()) is not None:
        flag, sign, attached = word.partition("=")
        if word == "--":
            scanner.word()
            break
        option = FLAGS.get(flag)
        if option is None:
            _refuse_misspelt(flag, cell)
            break
        scanner.word()
        if not option.takes_value:
            if sign:
                raise OptionError(f"{flag} takes no value", option=flag)
            setattr(options, option.dest, option.value)
            continue
        value = attached if sign else scanner.word()
        if value is None:
            raise OptionError(f"{flag} wants a value: {flag} {option.metavar}", option=flag)
        _store(options, option, flag, value if option.dest == "system" else expand(value))
    options.text = scanner.rest()
    if cell and options.text:
        raise OptionError(
            f"%%llm does not know what to do with {options.text.split()[0]!r} on its first line",
            option=options.text.split()[0],
            hint="The prompt stands below the first line; a value with spaces wants quotes.",
        )
    return options


def _store(options: Options, option: Option, flag: str, text: str) -> None:
    try:
        value = option.read(text)
    except ValueError as error:
        raise OptionError(f"{flag}: {error}", option=flag) from None
    if option.dest == "grid":
        options.grid[value[0]] = value[1]
    elif option.dest != "params":
        setattr(options, option.dest, value)
    elif option.repeat:
        options.params[value[0]] = value[1]
    else:
        options.params[flag.lstrip("-").replace("-", "_")] = value


def _refuse_misspelt(flag: str, cell: bool) -> None:
    """A word that looks like an option but is none: refused where it can only be a slip."""
    if not re.match(r"--?[A-Za-z]", flag):
        return
    close = near(flag, FLAGS) if flag.startswith("--") else ()
    if cell or close:
        raise OptionError(f"unknown option {flag}", option=flag, hint=suggest(close) or "`%%llm?` lists the options.")


class Scanner:
    """Splits a line into words: quotes are taken off, brackets and ``{{ }}`` keep theirs and their spaces."""

    def __init__(self, line: str) -> None:
        self.line, self.at = line, 0

    def rest(self) -> str:
        """All that has not been read, as typed."""
        return self.line[self.at :].strip()

    def peek(self) -> str | None:
        """The next word, left where it is; ``None`` at the end."""
        here = self.at
        try:
            return self.word()
        except OptionError:
            return self.line[here:].split(maxsplit=1)[0]
        finally:
            self.at = here

    def word(self) -> str | None:
        """The next word; raises ``OptionError`` where a quote is not closed."""
        while self.at < len(self.line) and self.line[self.at].isspace():
            self.at += 1
        if self.at == len(self.line):
            return None
        return "".join(self._pieces())

    def _pieces(self) -> Iterator[str]:
        closing: list[str] = []
        while self.at < len(self.line):
            char = self.line[self.at]
            if char.isspace() and not closing:
                return
            if char in "\"'":
                yield self._quoted(keep=bool(closing))
                continue
            if char in _OPENING:
                closing.append(_OPENING[char])
            elif closing and char == closing[-1]:
                closing.pop()
            self.at += 1
            yield char

    def _quoted(self, *, keep: bool) -> str:
        quote, start = self.line[self.at], self.at
        out: list[str] = []
        self.at += 1
        while self.at < len(self.line):
            char = self.line[self.at]
            if char == "\\" and quote == '"' and self.line[self.at + 1 : self.at + 2] in ('"', "\\"):
                out.append(self.line[self.at + 1])
                self.at += 2
                continue
            self.at += 1
            if char == quote:
                return self.line[start : self.at] if keep else "".join(out)
            out.append(char)
        self.at = start
        raise OptionError(f"a quote ({quote}) is not closed: {self.line[start : start + 30]}", option=None)


def describe() -> str:
    """The options as a table for the magics' help."""
    rows = [(", ".join(o.flags) + (f" {o.metavar}" if o.metavar else ""), o.help) for o in OPTIONS]
    width = max(len(left) for left, _ in rows)
    return "\n".join(f"  {left:<{width}}  {right}" for left, right in rows)
