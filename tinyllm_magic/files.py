"""A path in, the sections of an INI file or a remembered folder out.

Knows this package's folders on the user's machine, INI text and its traps, and which folders the user trusts.
Does not know what any section or key means.
"""

from __future__ import annotations

import configparser
import io
import json
import os
import re
import stat
import tempfile
import time
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from .errors import ConfigError

APP = "tinyllm_magic"
_MOVERS = ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "APPDATA", "LOCALAPPDATA")
_RACY_NS = 2_000_000_000  # coarsest clock of a file system (FAT): a younger file may change unseen
_PLAIN_COMMENT = re.compile(r"\s[#;]")
_QUOTED_OR_COMMENT = re.compile(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'|\s[#;]')
_VALUE = re.compile(r"[^=:]*[=:]\s*(?=[\"'\[{])")
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
    if abs(time.time_ns() - found.st_mtime_ns) > _RACY_NS:
        _contents[path] = (stamp, data)
    return data


def forget() -> None:
    """Read every file anew when it is asked for next, even where it seems unchanged."""
    _contents.clear()


def sections(path: str, data: bytes) -> dict[str, dict[str, str]]:
    """The sections of an INI file, keys in lower case, values as text without comments.

    UTF-8 with or without a byte order mark; ``%`` is an ordinary character. Raises ``ConfigError``
    naming file and line.
    """
    parser = configparser.ConfigParser(interpolation=None, default_section="\0")
    try:
        text = io.StringIO(data.decode("utf-8-sig"), newline=None)
        parser.read_file(_without_comment(line) for line in text)
    except UnicodeDecodeError as error:
        line, what = data[: error.start].count(b"\n") + 1, "not UTF-8 text"
    except configparser.DuplicateOptionError as error:
        line, what = error.lineno or 0, f"{error.option.upper()} is set a second time in [{error.section}]"
    except configparser.DuplicateSectionError as error:
        line, what = error.lineno or 0, f"a second section [{error.section}]"
    except configparser.MissingSectionHeaderError as error:
        line, what = error.lineno, "a section such as [OpenAI] must come first"
    except configparser.ParsingError as error:
        line, what = _first_line(error), "neither KEY = VALUE nor a [section]"
    else:
        return {name: dict(parser[name]) for name in parser.sections()}
    # raised here, not above: configparser's own error quotes the line, which may hold a key
    raise ConfigError(f"{path}, line {line}: {what}", source=path)


def _first_line(error: configparser.ParsingError) -> int:
    found = getattr(error, "errors", None)
    return int(found[0][0] if found else getattr(error, "lineno", 0))


def _without_comment(line: str) -> str:
    """The line without a comment at its end; quoted text in a quoted or JSON value is left alone."""
    value = _VALUE.match(line)
    pattern, start = (_QUOTED_OR_COMMENT, value.end()) if value else (_PLAIN_COMMENT, 0)
    for match in pattern.finditer(line, start):
        if match[0][0].isspace():
            return line[: match.start()] if line[: match.start()].strip() else line
    return line


def user_folder(environ: Mapping[str, str] | None = None) -> Path:
    """The user's configuration directory: ``TINYLLM_CONFIG_DIR``, or the platform's own for this package."""
    given = (os.environ if environ is None else environ).get("TINYLLM_CONFIG_DIR")
    return Path(given).expanduser() if given else _platform_folder("config", tuple(map(os.environ.get, _MOVERS)))


def cache_folder(environ: Mapping[str, str] | None = None) -> Path:
    """Where weights and other replaceable files go: ``TINYLLM_CACHE_DIR``, or the platform's own."""
    given = (os.environ if environ is None else environ).get("TINYLLM_CACHE_DIR")
    return Path(given).expanduser() if given else _platform_folder("cache", tuple(map(os.environ.get, _MOVERS)))


@lru_cache(maxsize=8)
def _platform_folder(kind: str, _moved: tuple[str | None, ...]) -> Path:
    """The platform's folder for our files; asked once for each state of the variables that move it."""
    import platformdirs

    find = platformdirs.user_config_path if kind == "config" else platformdirs.user_cache_path
    return find(APP, appauthor=False)


def trusted(folder: Path | str, *, user_folder: Path | None = None) -> bool:
    """Whether the user has trusted exactly this folder; a damaged list trusts nothing."""
    return str(Path(folder).resolve()) in _trusted_folders(_trust_file(user_folder))


def trust(folder: Path | str, *, user_folder: Path | None = None) -> Path:
    """Remember the folder as trusted and return it resolved; raises ``ConfigError`` where that cannot be written."""
    resolved, path = Path(folder).resolve(), _trust_file(user_folder)
    folders = sorted({*_trusted_folders(path), str(resolved)})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, suffix=".tmp", delete=False) as new:
            json.dump(folders, new, indent=1)
        Path(new.name).replace(path)
    except OSError as error:
        raise ConfigError(f"the trusted folder cannot be remembered in {path}: {error.strerror}", source=str(path)) from error
    return resolved


def _trust_file(given: Path | None) -> Path:
    return (given or user_folder()) / "trusted.json"


def _trusted_folders(path: Path) -> frozenset[str]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return frozenset()
    return frozenset(f for f in found if isinstance(f, str)) if isinstance(found, list) else frozenset()
