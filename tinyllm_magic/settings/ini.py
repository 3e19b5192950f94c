"""Reads INI text and files into sections of plain texts (``sections``).

The rules are configparser's, but for three things that its users lose answers by: a fault in another program's section
stops nothing, a line that begins with ``#`` inside a value of several lines stays (it may be a heading), and the lines
below a key keep their indentation to each other. Errors name a line and never quote it: it may hold a key.
"""

from __future__ import annotations

import codecs
import os
import re
import stat
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import ConfigError
from ..files import is_settled

_HEADER = re.compile(r"\[(?P<name>[^]]+)\]")
_OPTION = re.compile(r"(?P<key>.*?)\s*[=:]\s*(?P<value>.*)")
_MARKS = ("#", ";")
_COMMENT = re.compile(r"\s[#;]|\A[#;]")
_QUOTED_OR_COMMENT = re.compile(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'|\s[#;]')
_contents: dict[str, tuple[tuple[int, int], bytes]] = {}


def content(path: str) -> bytes | None:
    """What is in the file now, or ``None`` where there is none; read again only where its time or size changed."""
    try:
        found = os.stat(path)  # noqa: PTH116  # runs for every cell; Path costs as much again
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    stamp = (found.st_mtime_ns, found.st_size)
    known = _contents.get(path)
    if known and known[0] == stamp:
        return known[1]
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}", source=path) from error
    if is_settled(found):
        _contents[path] = (stamp, data)
    return data


def forget() -> None:
    """Read every file anew when it is asked for next, even where it seems unchanged."""
    _contents.clear()


@dataclass
class Section:
    """A section: its name without white space around it (empty above the first), its texts by key in lower case, its first fault."""

    name: str
    texts: dict[str, str] = field(default_factory=dict)
    fault: tuple[int, str] | None = None

    def blame(self, line: int, what: str) -> None:
        """Note a fault; the first one counts."""
        self.fault = self.fault or (line, what)


def sections(path: str, data: bytes, is_ours: Callable[[str], bool]) -> list[Section]:
    """The sections of an INI file in its order; comments at the end of a value still stand there (``cut_comment``).

    UTF-8 with or without a byte order mark, or UTF-16 with one; ``%`` is an ordinary character. Raises ``ConfigError``
    naming file and line where a section that ``is_ours``, or what stands above the first, is faulty; faults elsewhere are passed over.
    """
    found = [s for s in _read_sections(data) if s.name or s.fault]
    any_is_ours = any(is_ours(s.name) for s in found)
    for section in found:
        if section.fault is not None and (is_ours(section.name) or (any_is_ours and not section.name)):
            line, what = section.fault
            raise ConfigError(f"{path}, line {line}: {what}", source=path)
    return found


def _read_sections(data: bytes) -> Iterator[Section]:
    section, seen = Section(""), set[str]()
    key, depth, lines = "", 0, list[str]()  # of the value that may go on
    for number, line, readable in _lines(data):
        text, indent = line.strip(), len(line) - len(line.lstrip())
        if not readable:
            section.blame(number, "not UTF-8 text")
        if not text:
            lines.append("")
        elif key and indent > depth:
            lines.append(line.rstrip())
        elif text.startswith(_MARKS):
            continue
        else:
            _end_value(section, key, lines)
            key = ""
            if header := _HEADER.match(text):
                yield section
                section = Section(header["name"].strip())
                if section.name in seen:
                    section.blame(number, f"a second section [{section.name}]")
                seen.add(section.name)
            elif (option := _OPTION.fullmatch(text)) and option["key"]:
                key, depth, lines = option["key"].lower(), indent, [option["value"]]
                if not section.name:
                    section.blame(number, "a section such as [OpenAI] must come first")
                if key in section.texts:
                    section.blame(number, f"{key.upper()} is set a second time in [{section.name}]")
            else:
                section.blame(number, "neither KEY = VALUE nor a [section]")
    _end_value(section, key, lines)
    yield section


def _end_value(section: Section, key: str, lines: list[str]) -> None:
    """Put a value into its section: its first line, then the others with their indentation to each other."""
    if key:
        section.texts.setdefault(key, "\n".join([lines[0], *textwrap.dedent("\n".join(lines[1:])).split("\n")]).rstrip())


def _lines(data: bytes) -> Iterator[tuple[int, str, bool]]:
    """The lines with their numbers, and whether each is in the file's encoding; what is not is read as Windows text."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        data = data.decode("utf-16", "replace").encode()
    for number, raw in enumerate(re.split(b"\r\n|\r|\n", data.removeprefix(codecs.BOM_UTF8)), 1):
        try:
            yield number, raw.decode(), True
        except UnicodeDecodeError:
            yield number, raw.decode("cp1252", "replace"), False


def cut_comment(value: str) -> tuple[str, bool]:
    r"""A value on one line without the comment at its end, and whether there was one; lines of comments below it count.

    In a value that begins as quoted text, a list or an object, marks between quotes are text.

    >>> cut_comment("0.5 # warm"), cut_comment("'a # b'"), cut_comment("a#b")
    (('0.5', True), ("'a # b'", False), ('a#b', False))
    """
    first, *below = value.split("\n")
    comments = [line for line in below if line.strip().startswith(_MARKS)]
    kept = "\n".join([_cut_line(first), *(line for line in below if line not in comments)]).rstrip()
    return kept, kept != value.rstrip()


def _cut_line(line: str) -> str:
    pattern = _QUOTED_OR_COMMENT if line[:1] in tuple("\"'[{") else _COMMENT
    for match in pattern.finditer(line):
        if match[0][-1] in _MARKS and match[0][0] not in "\"'":
            return line[: match.start()].rstrip()
    return line
