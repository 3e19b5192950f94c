"""Code as HTML with its words coloured, where a lexer reads it in linear time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache, lru_cache
from typing import Any

_LANGUAGE = re.compile(r"[\w+#.-]{1,30}")
_LONGEST = 50_000  # characters
_LONGEST_ODD = 2_000  # of a language whose lexer may take quadratic time, or that nobody has tried
_LONGEST_LINE = 1000  # regular expressions of lexers take quadratic time on a line
_LINEAR_NAMES = """
    ada applescript awk bash batch c clojure cmake cobol common-lisp console cpp cr csharp css cython d dart delphi diff django
    docker elixir elm emacs-lisp erlang fortran fsharp go graphql groovy haskell html ini java javascript json jsx kotlin lua make
    markdown mathematica nasm nginx nimrod objective-c ocaml perl php postgresql powershell prolog protobuf python
    restructuredtext ruby rust scheme scss solidity splus sql sqlite3 swift tcl terraform tex text toml tsx typescript vb.net
    verilog vhdl vim vue xml yaml zig
"""
_LINEAR = frozenset(_LINEAR_NAMES.split())  # lexers that were tried on long runs of every odd character, by their first name


def highlight(code: str, info: str, check: Callable[[], None]) -> str | None:
    """Code as HTML by the language that its fence names; ``None`` where no lexer reads it, or not in linear time.

    ``check`` is called after every token, and what it raises ends the work.
    """
    language = _LANGUAGE.match(info)
    if language is None or len(code) > _LONGEST or any(len(line) > _LONGEST_LINE for line in code.split("\n")):
        return None
    lexer = _find_lexer(language[0])
    if lexer is None or (len(code) > _LONGEST_ODD and not _LINEAR & set(lexer.aliases[:1])):
        return None
    from pygments import format as draw  # type: ignore[import-untyped]  # it ships no types

    tokens = lexer(stripnl=False, ensurenl=False, handlecodeblocks=False).get_tokens(code)  # a block within is of any language
    return str(draw(list(_check_each(tokens, check)), _build_formatter()))


@lru_cache(maxsize=64)
def _find_lexer(language: str) -> Any:
    """The class of a language's lexer, looked for among some hundred; ``None`` where nobody knows the language."""
    from pygments.lexers import find_lexer_class_by_name  # type: ignore[import-untyped]
    from pygments.util import ClassNotFound  # type: ignore[import-untyped]

    try:
        return find_lexer_class_by_name(language)
    except ClassNotFound:
        return None


@cache
def _build_formatter() -> Any:
    """What writes the HTML: 4 ms, a style sheet made of all token types on the way."""
    from pygments.formatters.html import HtmlFormatter  # type: ignore[import-untyped]

    return HtmlFormatter(nowrap=True, classprefix="tlm-")


def _check_each(items: Iterable[Any], check: Callable[[], None]) -> Iterator[Any]:
    for item in items:
        check()
        yield item
