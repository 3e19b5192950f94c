"""Reads what ``--image`` and ``--file`` name: a variable of that name, else a path or a URL, else an expression."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import OptionError, PromptError, near, suggest
from .parts import Fetch, Part, read_part
from .sources import is_url, read_file, read_image

_READERS = {"--image": read_image, "--file": read_file}


@dataclass(frozen=True)
class Attached:
    """One ``--image`` or ``--file``: the option, and what was typed after it or the value that it has already."""

    option: str
    given: Any

    def read(self, variables: Mapping[str, Any], folders: Sequence[Path], fetch: Fetch | None = None) -> list[Part]:
        """The parts of a message that this stands for, several for a list; raises ``OptionError``."""
        try:
            value = _evaluate(self.given, variables, folders) if isinstance(self.given, str) else self.given
            values = value if isinstance(value, (list, tuple)) else [value]
            return [read_part(_READERS[self.option], v, folders, fetch=fetch) for v in values]
        except PromptError as error:
            shown = f" {self.given}" if isinstance(self.given, str) else ""
            raise OptionError(f"{self.option}{shown}: {error.message}", option=self.option, hint=error.hint) from error

    def names(self) -> set[str]:
        """The names that may be variables in what was typed."""
        return set(re.findall(r"[^\W\d]\w*", self.given)) if isinstance(self.given, str) else set()


def _evaluate(text: str, variables: Mapping[str, Any], folders: Sequence[Path]) -> Any:
    if text in variables:
        return variables[text]
    if is_url(text) or text.startswith("data:") or _is_file(text, folders):
        return text
    try:
        return eval(text, dict(variables))  # noqa: S307  # the user's code over the user's variables
    except Exception as error:  # whatever the user's expression raises
        similar = suggest(near(text, [*map(str, variables), *(p.name for f in folders if f.is_dir() for p in f.iterdir())]))
        hint = f"{similar} It takes a variable, a path, a URL or an expression.".strip()
        raise PromptError(f"this is no file, and as an expression it fails: {type(error).__name__}: {error}", hint=hint) from error


def _is_file(text: str, folders: Sequence[Path]) -> bool:
    try:
        path = Path(text).expanduser()
        return any((folder / path).is_file() for folder in folders)
    except (OSError, ValueError, RuntimeError):  # too long, a NUL, nobody's home
        return False
