"""Renders the ``{{ }}`` in the values of options over the variables in scope."""

from __future__ import annotations

from typing import Any

from ..clients.template_finder import template_folders
from ..prompts.template import Template
from .scope import Scope


def expand(scope: Scope, text: str) -> Any:
    """An option's value, ``{{ }}`` rendered over the variables in scope; a lone ``{{ expression }}`` is its value, whatever its type."""
    if "{{" not in text and "{%" not in text:
        return text
    return Template(text, name="<options>", folders=template_folders()).evaluate(scope.names)
