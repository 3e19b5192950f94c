"""Finds the templates of a call: text written in code, and files beside the notebook and in ``prompts/``."""

from __future__ import annotations

import os
from functools import cached_property, lru_cache
from pathlib import Path

from ..prompts.loader import find_template, is_inline, leads_out
from ..prompts.template import Template, is_text
from .environment import notebook_path

Folders = tuple[Path, ...]


def template_folders() -> Folders:
    """Where template files are looked for: beside the notebook, the working directory, and ``prompts/`` in both (no link to elsewhere)."""
    folders, inner = _list_folders(notebook_path(), os.getcwd())  # noqa: PTH109  # for each cell; Path costs more
    outside = [f for f in inner if os.path.islink(f) and leads_out(f.parent, f)]  # noqa: PTH114  # a link may come or go
    return tuple(f for f in folders if f not in outside) if outside else folders


@lru_cache(maxsize=16)
def _list_folders(notebook: Path | None, here: str) -> tuple[Folders, Folders]:
    """The folders of a notebook and a working directory, and those of them that lie in another."""
    roots = list(dict.fromkeys([*([notebook.parent] if notebook is not None else []), Path(here)]))
    folders = tuple(folder for root in roots for folder in (root, root / "prompts"))
    return folders, tuple(f for f in folders if f not in roots)


@lru_cache(maxsize=64)
def _parse_inline(text: str, name: str, folders: Folders, first_line: int) -> Template:
    """A template that is text: a cell in a loop is the same one each time."""
    return Template(text, name=name, folders=folders, first_line=first_line)


class TemplateFinder:
    """The templates in these folders; what one of these has found stays as it was, for all rows of a map."""

    def __init__(self) -> None:
        self._found: dict[tuple[str | Path, str, int], Template] = {}

    @cached_property
    def folders(self) -> Folders:
        """The folders, as they are when they are first asked for."""
        return template_folders()

    def find(self, template: str | Path, name: str) -> Template:
        """The template of a file, or of text where that is what is given, under this name; raises ``PromptError`` where there is none."""
        known = self._found.get((template, name, 1))
        if known is not None:
            return known
        if isinstance(template, str) and is_inline(template, self.folders):
            return self.parse(template, name)
        found = Template.from_file(find_template(str(template), self.folders), self.folders)
        return self._found.setdefault((template, name, 1), found)

    def parse(self, text: str, name: str, first_line: int = 1) -> Template:
        """The template of a text that begins at this line of its cell."""
        known = self._found.get((text, name, first_line))
        if known is None:
            folders = () if is_text(text) else self.folders
            known = self._found[text, name, first_line] = _parse_inline(text, name, folders, first_line)
        return known
