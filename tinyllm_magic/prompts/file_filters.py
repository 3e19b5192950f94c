"""The filters ``image`` and ``file``: a template file reads only what lies below its own folder, the cell any file."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from jinja2 import pass_context
from jinja2.runtime import Context

from ..attachments import sources
from ..attachments.parts import read_part


def build_file_filters(find_rendering: Callable[[], Any]) -> dict[str, Callable[..., str]]:
    """The two filters by name; ``find_rendering`` gives the rendering under way, which places what they attach."""

    @pass_context
    def image(context: Context, value: Any) -> str:
        """Send an image where it is said: a path, a URL, bytes, a PIL image, a figure."""
        return attach(context, value, sources.read_image)

    @pass_context
    def file(context: Context, value: Any) -> str:
        """Send a PDF or a text file where it is said: a path or bytes."""
        return attach(context, value, sources.read_file)

    def attach(context: Context, value: Any, read: Callable[..., Any]) -> str:
        rendering = find_rendering()
        limits = [rendering.limit(name) for name in {context.name, _running_template()}]
        below = next((folder for folder in limits if folder is not None), None)
        folders = rendering.folders if below is None else [below]
        return str(rendering.attach(read_part(read, value, folders, below=below, fetch=rendering.fetch)))

    return {"image": image, "file": file}


def _running_template() -> str | None:
    """The name of the template whose code is running: a file that another one extends runs in that one's context."""
    frame: FrameType | None = sys._getframe()  # noqa: SLF001  # Jinja marks the frames of its templates
    while frame is not None and "__jinja_template__" not in frame.f_globals:
        frame = frame.f_back
    return None if frame is None else frame.f_globals["__jinja_template__"].name
