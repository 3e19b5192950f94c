"""Reads a file's YAML front matter, with the line of every value; resolves ``${env:…}`` and ``${file:…}`` where that is allowed.

YAML takes long to import, so this module is itself imported when the first such file is read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from ..errors import OptionError, PromptError
from .loader import load, read

Keys = tuple[str | int, ...]

_FENCE = re.compile(r"(?:---|\+\+\+)[ \t]*")
_REFERENCE = re.compile(r"\$\{(env|file):([^}]*)\}")
_DEEPEST = 50  # levels of nesting


@dataclass(frozen=True)
class FrontMatter:
    """What stands before and after the second ``---`` of a file; ``first_line`` is the number of the body's first line."""

    path: Path
    values: Mapping[str, Any]
    body: str
    first_line: int = 1
    lines: Mapping[Keys, int] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    """The keys whose values are references that were not followed."""

    def place(self, *keys: str | int) -> str:
        """Where a value stands, as a reader finds it."""
        line = self._find_line(keys)
        return f"line {line} of {self.path.name}" if line else self.path.name

    def fail(self, message: str, *keys: str | int, hint: str = "") -> PromptError:
        """The error to raise for a value that is wrong."""
        return PromptError(f"{message} ({self.place(*keys)})", hint=hint, line=self._find_line(keys))

    def _find_line(self, keys: Keys) -> int | None:
        known = (self.lines.get(keys[:end]) for end in range(len(keys), 0, -1))
        return next((line for line in known if line), None)

    def mapping(self, *keys: str) -> Mapping[str, Any]:
        """The table at these keys, empty where there is none; raises ``PromptError`` for what is no table."""
        table = self.values
        for key in keys:
            value = table.get(key) or {}
            if not isinstance(value, Mapping):
                raise self.fail(f"`{key}` takes keys with values, not {type(value).__name__}", *keys)
            table = value
        return table

    def resolve(self, environ: Mapping[str, str] | None) -> FrontMatter:
        """The same with its references followed, or, where ``environ`` is ``None``, without the values that hold one."""
        ignored: list[str] = []
        resolved = self._resolve(self.values, (), environ, ignored)
        return replace(self, values=resolved, ignored=tuple(ignored))

    def _resolve(self, value: Any, keys: Keys, environ: Mapping[str, str] | None, ignored: list[str]) -> Any:
        if isinstance(value, dict):
            pairs = ((key, self._resolve(v, (*keys, key), environ, ignored)) for key, v in value.items())
            return {key: v for key, v in pairs if v is not _IGNORED}
        if isinstance(value, list):
            return [v for n, item in enumerate(value) if (v := self._resolve(item, (*keys, n), environ, ignored)) is not _IGNORED]
        if not isinstance(value, str) or not _REFERENCE.search(value):
            return value
        if environ is None:
            ignored.append(".".join(map(str, keys)))
            return _IGNORED
        whole = _REFERENCE.fullmatch(value)
        if whole:
            return self._follow(whole, keys, environ)
        return _REFERENCE.sub(lambda found: str(self._follow(found, keys, environ)), value)

    def _follow(self, reference: re.Match[str], keys: Keys, environ: Mapping[str, str]) -> Any:
        """What a reference stands for: a variable's value, or a file below this file's folder."""
        kind, name = reference.groups()
        if kind == "env":
            variable, has_default, default = name.partition(":")
            if variable not in environ and not has_default:
                raise self.fail(f"the environment variable {variable} is not set", *keys)
            return environ.get(variable, default)
        found = load((self.path.parent,), name)
        if found is None:
            raise self.fail(f"there is no file {name!r} below the folder of {self.path.name}", *keys)
        try:
            if name.endswith(".json"):
                return json.loads(found[0])
            return yaml.safe_load(found[0]) if name.endswith((".yaml", ".yml")) else found[0]
        except (ValueError, RecursionError, yaml.YAMLError) as error:
            raise self.fail(f"{name} cannot be read: {error}", *keys) from error


_IGNORED = object()


def read_front_matter(path: Path) -> FrontMatter:
    """The front matter and body of a UTF-8 file; raises ``PromptError`` with the line where YAML cannot be read."""
    text = read(path)
    lines = text.splitlines(keepends=True)
    first = next((n for n, line in enumerate(lines) if line.strip()), len(lines))
    if first == len(lines) or not _FENCE.fullmatch(lines[first].strip()):
        return FrontMatter(path, {}, text)
    last = next((n for n in range(first + 1, len(lines)) if _FENCE.fullmatch(lines[n].rstrip())), None)
    if last is None:
        raise PromptError(f"the front matter of {path.name} is never closed: a line `---` is missing (line {first + 1})", line=first + 1)
    values, places = _parse("".join(lines[first + 1 : last]), path, first + 1)
    return FrontMatter(path, values, "".join(lines[last + 1 :]), last + 2, places)


def _parse(text: str, path: Path, before: int) -> tuple[Mapping[str, Any], Mapping[Keys, int]]:
    """The values of a YAML text and the line of each; ``before`` lines of the file come first."""

    def unreadable(problem: str, line: int) -> PromptError:
        return PromptError(f"the front matter cannot be read: {problem} (line {line} of {path.name})", line=line)

    loader = _Loader(text)
    try:
        tree = loader.get_single_node()
        places = {} if tree is None else dict(_list_places(tree, (), before + 1))
        values = {} if tree is None else loader.construct_document(tree)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise unreadable(error.problem or error.context or "this is no YAML", before + 1 + (mark.line if mark else 0)) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise unreadable(str(error).partition("\n")[0], before + 1) from error
    finally:
        loader.dispose()
    if not isinstance(values, dict):
        raise unreadable(f"it takes keys with values, not {type(values).__name__}", before + 1)
    return values, places


class _Loader(yaml.SafeLoader):
    """YAML's safe loader without what makes a small file large or hides a value: no aliases, no key twice."""

    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """The next node; an alias is an error, and so is nesting without end."""
        self._depth += 1
        if self.check_event(yaml.AliasEvent) or self._depth > _DEEPEST:
            problem = "aliases are not read here" if self._depth <= _DEEPEST else "it is nested too deep"
            raise yaml.composer.ComposerError(None, None, problem, self.peek_event().start_mark)  # type: ignore[no-untyped-call]
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """A node's value; one that is no date or number, though it looks like one, is an error with its line."""
        try:
            return super().construct_object(node, deep)
        except (ValueError, OverflowError) as error:
            raise yaml.constructor.ConstructorError(None, None, str(error), node.start_mark) from error

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A dict; a key that comes twice is an error, for YAML would keep the last without a word."""
        seen: set[Any] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key.value!r} comes twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _list_places(node: yaml.Node, keys: Keys, first: int) -> Iterator[tuple[Keys, int]]:
    """The line of each value below a node, by the keys that lead there."""
    yield keys, node.start_mark.line + first
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield (*keys, key.value), key.start_mark.line + first
            yield from ((k, line) for k, line in _list_places(value, (*keys, key.value), first) if k != (*keys, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for n, value in enumerate(node.value):
            yield from _list_places(value, (*keys, n), first)


def write_yaml(values: Mapping[str, Any], path: Path) -> str:
    """The values as YAML, in their order; raises ``OptionError`` where one is more than text, number, list or table."""
    try:
        return yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True, width=120)
    except yaml.YAMLError as error:
        raise OptionError(f"a value cannot be written to {path.name}: {str(error).partition(chr(10))[0]}", option="path") from error
