"""The options of the prompt magics, and how a line is split into words: quotes, brackets, ``{{ }}``."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..display.formats import FORMATS
from ..errors import OptionError, near, suggest
from ..models.efforts import EFFORTS
from ..recording.modes import Mode

MODES = tuple(str(mode) for mode in Mode)
_OPENING = {"(": ")", "[": "]", "{": "}"}
_NAME = re.compile(r"[^\W\d]\w*\Z")


@dataclass(frozen=True)
class Option:
    """One option: its spellings, where its value goes, and what it means."""

    flags: tuple[str, ...]
    dest: str
    help: str
    metavar: str = ""
    read: Callable[[str, Callable[[str], Any]], Any] = lambda text, expand: str(expand(text))
    """Makes the value of a word; the second argument renders ``{{ }}``."""
    keyed: bool = False
    """Whether the word is ``KEY=VALUE``; such an option may be given several times."""
    value: Any = None
    """What a flag without an argument sets; where it has a ``metavar`` too, its argument may be left out."""

    @property
    def takes_value(self) -> bool:
        """Whether an argument follows."""
        return bool(self.metavar)

    @property
    def may_stand_alone(self) -> bool:
        """Whether the argument, if there is one, may be left out."""
        return self.value is not None or not self.metavar


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
    expect: str | None = None
    batch: bool = False
    workers: int | None = None
    schema: Any = None
    choices: list[Any] | None = None
    tries: int | None = None
    tools: list[str] | None = None
    max_steps: int | None = None
    approve: bool | None = None
    attached: list[tuple[str, Any]] = field(default_factory=list)
    fetch: bool = False
    chat: str | None = None
    keep: int | None = None
    text: str = ""

    @property
    def asks_many(self) -> bool:
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


Expand = Callable[[str], Any]
_RUN = re.compile(r"""[^\s"'()\[\]{}]+""")  # what needs no second look
_LONE = re.compile(r"\s*\{\{.*\}\}\s*", re.DOTALL)
_WRITES_JSON = re.compile(r"\|\s*tojson\b[^|]*\}\}\s*\Z")


def _expanded(read: Callable[[str], Any]) -> Callable[[str, Expand], Any]:
    """A reader of text behind the rendering of ``{{ }}``."""
    return lambda text, expand: read(str(expand(text)))


def _any_value(text: str, expand: Expand) -> Any:
    """JSON where it is JSON, else text; a lone ``{{ expression }}`` is its value, and one that writes JSON is read as such."""
    value = expand(text)
    as_is = _LONE.fullmatch(text) and not _WRITES_JSON.search(text)
    return value if as_is or not isinstance(value, str) else json_or_text(value)


def _stop(text: str, expand: Expand) -> Any:
    r"""A text with ``\n``, ``\t`` and ``\\`` as escapes, a JSON list of texts, or the value of a lone ``{{ expression }}``."""
    value = expand(text)
    if _LONE.fullmatch(text) or not isinstance(value, str):
        return value
    found = json_or_text(value) if value.startswith("[") else value
    return found if isinstance(found, list) else re.sub(r"\\([nt\\])", lambda m: _ESCAPES[m[1]], value)


_ESCAPES = {"n": "\n", "t": "\t", "\\": "\\"}


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
        raise ValueError(f"'{text}' is no list of names between commas")
    return names


def _axis(text: str, expand: Expand) -> list[Any]:
    """The values of one axis of a grid; a JSON list gives values that hold commas, a lone ``{{ expression }}`` any values."""
    found = _any_value(text, expand)
    if found == "":
        raise ValueError("a grid needs values: KEY=V1,V2,…")
    if isinstance(found, str):
        return [json_or_text(v.strip()) for v in found.split(",")]
    return list(found) if isinstance(found, Iterable) and not isinstance(found, Mapping) else [found]


def _choices(text: str, expand: Expand) -> list[Any]:
    """The choices of an answer: texts between commas, a JSON list, or the values of a lone ``{{ expression }}``."""
    found = _any_value(text, expand)
    if isinstance(found, str):
        found = [word.strip() for word in found.split(",") if word.strip()]
    return list(found) if isinstance(found, Iterable) and not isinstance(found, Mapping) else [found]


def _number(kind: type[int | float]) -> Callable[[str, Expand], Any]:
    def read(text: str, expand: Expand) -> Any:
        value = expand(text)
        if not isinstance(value, str):
            return value
        try:
            return kind(value)
        except ValueError:
            raise ValueError(f"'{text}' is not {'a whole number' if kind is int else 'a number'}") from None

    return read


OPTIONS: tuple[Option, ...] = (
    Option(("-m", "--model"), "model", "a named model, VENDOR:MODEL, a vendor's model id, or tiny; default: the session's", "NAME"),
    Option(("-o", "--out"), "out", "assign the Response to this variable", "NAME", _expanded(_variable)),
    Option(("-s", "--system"), "system", "system message (also a Jinja template)", "TEXT"),
    Option(("-t", "--template"), "template", "take the messages from a template file; the cell's text is its variable `cell`", "FILE"),
    Option(
        ("-p", "--param"),
        "params",
        "any parameter of the model, the value read as JSON where it is JSON; repeatable",
        "KEY=VALUE",
        _any_value,
        keyed=True,
    ),
    Option(
        ("--effort",),
        "params",
        f"how much a model that reasons thinks: {', '.join(EFFORTS)}; refused where the model does not reason",
        "LEVEL",
        _expanded(_one_of(*EFFORTS)),
    ),
    Option(("--temperature",), "params", "sampling temperature, 0 to 2", "NUMBER", _number(float)),
    Option(("--max-tokens",), "params", "the most tokens an answer may have", "NUMBER", _number(int)),
    Option(("--top-p",), "params", "nucleus sampling, 0 to 1", "NUMBER", _number(float)),
    Option(("--seed",), "params", "random seed, where the model supports it", "NUMBER", _number(int)),
    Option(("--stop",), "stop", "end the answer before this text; repeatable, reads \\n and \\t as escapes", "TEXT", _stop),
    Option(("-f", "--format"), "format", f"how the body is shown: {', '.join(FORMATS)}", "FORMAT", _expanded(_one_of(*FORMATS))),
    Option(("-n", "--samples"), "samples", "ask for this many samples of the same request; --out gets a list", "N", _expanded(_count)),
    Option(
        ("-c", "--chat"),
        "chat",
        "a turn of this conversation (default: chat; on a %llm line -c=NAME), sent behind the turns before it",
        "[NAME]",
        value="chat",
    ),
    Option(("--keep",), "keep", "with --chat: send the system message and the last N turns alone", "N", _expanded(_count)),
    Option(
        ("--compare",),
        "compare",
        "one card for each of these models, with --map a comparison over its rows; --out gets the table",
        "M1,M2,…",
        _expanded(_names),
    ),
    Option(("--grid",), "grid", "one card for each value of a parameter; repeatable, all combinations", "KEY=V1,V2,…", _axis, keyed=True),
    Option(("--map",), "map", "once for each row of this variable or expression; columns are variables; --out gets the table", "ROWS"),
    Option(
        ("--expect",),
        "expect",
        "with --map: the column of the right answers; the table says accuracy with its interval, confusions, and what failed",
        "COLUMN",
    ),
    Option(
        ("--batch",),
        "batch",
        "with --map: leave the rows with the vendor's batch service, at half the price; run the cell again to fetch what is done",
        value=True,
    ),
    Option(("--workers",), "workers", "how many rows are asked at a time; default 8", "N", _expanded(_count)),
    Option(
        ("--schema",),
        "schema",
        "what the answer has to be, checked and in .parsed: a type of the notebook, list[str] and the like, a JSON Schema, or fields: "
        '"name, age int, tags list[str]: free words"',
        "TYPE",
        lambda text, expand: expand(text),
    ),
    Option(("--choices",), "choices", "the answer is one of these; .parsed is that one", "A,B,C", _choices),
    Option(
        ("--tries",),
        "tries",
        "ask again, up to N times in all, where the answer does not fit --schema or --choices",
        "N",
        _expanded(_count),
    ),
    Option(
        ("--image",),
        "attached",
        "attach an image: a variable (PIL image, figure, bytes), a path, a URL or an expression; repeatable",
        "EXPR",
        lambda text, expand: expand(text),
    ),
    Option(
        ("--file",),
        "attached",
        "attach a PDF or a text file: a variable, a path or an expression; repeatable",
        "EXPR",
        lambda text, expand: expand(text),
    ),
    Option(
        ("--fetch",),
        "fetch",
        "fetch the web addresses of images and files, once, and fix them by digest: replays need no network",
        value=True,
    ),
    Option(
        ("--tools",),
        "tools",
        "functions of the notebook that the model may call until it answers; their results are recorded, a replay runs none",
        "F,G",
        _expanded(_names),
    ),
    Option(("--max-steps",), "max_steps", "with --tools: how many requests are made at most; default 8", "N", _expanded(_count)),
    Option(("--approve",), "approve", "with --tools: ask before each call; what is typed for a no goes to the model", value=True),
    Option(("--mode",), "mode", f"recording mode of this cell: {', '.join(MODES)}", "MODE", _expanded(_one_of(*MODES))),
    Option(("--fresh",), "mode", "ask again and replace the record (--mode refresh)", value="refresh"),
    Option(("--dry-run",), "dry_run", "send nothing: show messages, tokens, cost estimate, key, and whether it is recorded", value=True),
    Option(("--show-prompt",), "show_prompt", "show the rendered prompt, folded, under the card", value=True),
    Option(("--no-stream",), "stream", "show the answer when it is complete", value=False),
    Option(("-q", "--quiet"), "quiet", "show nothing", value=True),
)
FLAGS = {flag: option for option in OPTIONS for flag in option.flags}


def parse(line: str, *, cell: bool, expand: Callable[[str], Any] = str) -> Options:
    """Options of a magic's line; in a line magic the text begins at the first word that is no option.

    ``expand`` renders ``{{ }}`` in option values, and gives a lone ``{{ expression }}`` as its value.
    Raises ``OptionError`` with near matches.
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
        if not option.takes_value and sign:
            raise OptionError(f"{flag} takes no value", option=flag)
        follows = cell and option.takes_value and not (scanner.peek() or "-").startswith("-")  # in a line the text may follow
        if option.may_stand_alone and not sign and not follows:
            setattr(options, option.dest, option.value)
            continue
        value = attached if sign else scanner.word()
        if value is None:
            raise OptionError(f"{flag} requires a value: {flag} {option.metavar}", option=flag)
        _store(options, option, flag, value, str if option.dest == "system" else expand)
    options.text = scanner.rest()
    if cell and options.text:
        raise OptionError(
            f"unexpected {options.text.split()[0]!r} on the first line of %%llm",
            option=options.text.split()[0],
            hint="The prompt stands below the first line; put a value with spaces in quotes.",
        )
    return options


def _store(options: Options, option: Option, flag: str, text: str, expand: Callable[[str], Any]) -> None:
    """Read an option's value and put it where it belongs."""
    name, sign, value = text.partition("=")
    if option.keyed and (not sign or not name.strip()):
        raise OptionError(f"{flag}: '{text}' is not {option.metavar}", option=flag)
    try:
        if option.keyed:
            target = options.grid if option.dest == "grid" else options.params
            target[name.strip()] = option.read(value.strip(), expand)
        elif option.dest == "stop":
            options.params["stop"] = _add_stop(options.params.get("stop"), option.read(text, expand))
        elif option.dest == "attached":
            options.attached.append((flag, option.read(text, expand)))
        elif option.dest == "params":
            options.params[flag.lstrip("-").replace("-", "_")] = option.read(text, expand)
        else:
            setattr(options, option.dest, option.read(text, expand))
    except ValueError as error:
        raise OptionError(f"{flag}: {error}", option=flag) from None


def _add_stop(before: Any, more: Any) -> Any:
    """One text alone, several as a list."""
    if before is None:
        return more
    return [*(before if isinstance(before, list) else [before]), *(more if isinstance(more, list) else [more])]


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
            if run := _RUN.match(self.line, self.at):
                self.at = run.end()
                yield run[0]
                continue
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
