"""Reads from a notebook's code, without running it, what it imports and which files it names."""

from __future__ import annotations

import ast
import re
import shlex
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

_MAGIC = re.compile(r"^\s*(?:[\w.,\[\] ]+=\s*)?[%!]")
_IMPORT = re.compile(r"^\s*(?:import|from)\s+([A-Za-z_]\w*)", re.MULTILINE)
_IN_TEMPLATE = re.compile(r"""["']([^"'\n]+)["']""")
_STATISTICS = re.compile(r"\.(?:score|agreement|against|rate)\(|^%%llm\b.*\s--expect\b", re.MULTILINE)
_IMAGES = re.compile(r"\|\s*image\b|^%%llm\b.*\s--image\b", re.MULTILINE)
_FILES = re.compile(r"\|\s*file\b|^%%llm\b.*\s--file\b", re.MULTILINE)
_SDK = re.compile(r"\bcall_llm\b")  # it returns a value of the SDK's
_BY_NAME = frozenset({"files", "import_module", "as_file", "read_text", "open_text"})
_NEEDS_A_PACKAGE = {"zoneinfo": "tzdata"}  # the browser has no data base of time zones
_ABSENT = frozenset(
    {"curses", "dbm", "ensurepip", "fcntl", "grp", "msvcrt", "pty", "pwd", "readline", "resource", "termios", "tkinter", "turtle"}
)
"""Modules of the standard library that Pyodide has not."""


@dataclass
class Mentions:
    """What code mentions: modules that it imports, texts that may name files, parts of this package that want an extra."""

    modules: set[str] = field(default_factory=set)
    texts: set[str] = field(default_factory=set)
    extras: set[str] = field(default_factory=set)

    def add(self, other: Mentions) -> None:
        """Take in what other code mentions."""
        self.modules |= other.modules
        self.texts |= other.texts
        self.extras |= other.extras

    @property
    def absent(self) -> set[str]:
        """Modules of the standard library that a page cannot import."""
        return self.modules & _ABSENT

    def foreign(self, folder: Path) -> set[str]:
        """Modules that are neither of the standard library, nor ours, nor files beside the notebook."""
        needed = {_NEEDS_A_PACKAGE[m] for m in self.modules & _NEEDS_A_PACKAGE.keys()}
        others = self.modules - sys.stdlib_module_names - {"tinyllm_magic", "__future__"}
        return needed | {m for m in others if not list_local(folder, m)}


def read_cells(sources: Iterable[str]) -> Mentions:
    """What the code cells of a notebook mention."""
    found = Mentions()
    for source in sources:
        found.add(_read_cell(source))
    return found


def list_local(folder: Path, module: str) -> list[Path]:
    """The files of a module that lies beside the notebook."""
    single, package = folder / f"{module}.py", folder / module
    if single.is_file():
        return [single]
    return sorted(p for p in package.rglob("*.py")) if (package / "__init__.py").is_file() else []


def read_module(path: Path) -> Mentions:
    """What a module beside the notebook mentions."""
    try:
        return _read_python(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return Mentions()


def _read_cell(source: str) -> Mentions:
    body = source.lstrip()
    found = Mentions(
        extras={n for n, p in {"stats": _STATISTICS, "images": _IMAGES, "files": _FILES, "sdk": _SDK}.items() if p.search(source)}
    )
    if body.startswith("%%"):
        first, _, rest = body.partition("\n")
        found.texts |= set(_split(first))
        if first.split()[0] in ("%%llm", "%%markdown", "%%html", "%%latex", "%%writefile"):
            found.texts |= set(_IN_TEMPLATE.findall(rest))
            return found
        body = rest
    kept = []
    for line in body.splitlines():
        if _MAGIC.match(line):
            found.texts |= set(_split(line))
            kept.append(f"{line[: len(line) - len(line.lstrip())]}pass")
        else:
            kept.append(line)
    found.add(_read_python("\n".join(kept)))
    return found


def _split(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        return line.split()


def _read_python(code: str) -> Mentions:
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError):
        return Mentions(modules=set(_IMPORT.findall(code)), texts=set(_IN_TEMPLATE.findall(code)))
    found = Mentions()
    for node in ast.walk(tree):
        found.modules |= set(_imported(node))
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.texts.add(node.value)
    return found


def _imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name.partition(".")[0] for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        yield node.module.partition(".")[0]
    elif isinstance(node, ast.Call) and node.args:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        first = node.args[0]
        if name in _BY_NAME and isinstance(first, ast.Constant) and isinstance(first.value, str):
            module = first.value.partition(".")[0]
            if module.isidentifier():
                yield module
