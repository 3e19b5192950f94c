"""Finds the file or the picture that a value stands for: a path, a URL, bytes, a Pillow image, a figure, an IPython image."""

from __future__ import annotations

import base64
import io
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import PromptError, near, suggest
from ..file_text import FileText, read_data_url
from . import documents, images

MAX_BYTES = 64 * 2**20
"""How large an attached file may be."""
_URL = re.compile(r"https?://\S+\Z", re.IGNORECASE)
_DATA_URL = re.compile(r"data:[\w.+/-]+(?:;[\w=-]+)*;base64,", re.IGNORECASE)


@dataclass(frozen=True)
class Bytes:
    """A file's content and its name, if it has one."""

    data: bytes
    name: str = ""


def is_url(value: object) -> bool:
    """Whether a value is the text of a web address."""
    return isinstance(value, str) and _URL.match(value) is not None


def read_image(value: Any, folders: Sequence[Path], *, below: Path | None = None) -> FileText | str:
    """The image that a value stands for, or its web address; relative paths are looked for in ``folders``.

    With ``below`` only files in that folder are read. Raises ``PromptError``.
    """
    if is_url(value):
        return str(value)
    drawn = _draw(value)
    if drawn is not None:
        return drawn
    found = _read_bytes(value, folders, below, "image")
    return found if isinstance(found, str) else images.read_image(found.data, found.name)


def read_file(value: Any, folders: Sequence[Path], *, below: Path | None = None) -> FileText | str:
    """The PDF, text file or image that a value stands for, or its web address; as ``read_image``."""
    if is_url(value):
        return str(value)
    drawn = _draw(value)
    found = drawn if drawn is not None else _read_bytes(value, folders, below, "file")
    return found if isinstance(found, str) else read_content(found)


def read_content(found: Bytes) -> FileText:
    """A file by what it holds: a PDF, an image or a text."""
    if documents.is_pdf(found.data):
        return documents.read_pdf(found.data, found.name)
    if b"\0" in found.data[:4096]:
        try:
            return images.read_image(found.data, found.name)
        except PromptError:
            pass  # what it is not is said below
    return documents.read_text(found.data, found.name)


def _draw(value: Any) -> FileText | None:
    """The picture of a value that is no file: a Pillow image, a figure of matplotlib or plotly; else ``None``."""
    kinds = {f"{kind.__module__}.{kind.__qualname__}" for kind in type(value).__mro__}
    if "PIL.Image.Image" in kinds:
        return images.encode_pixels(value)
    if "IPython.core.display.Image" in kinds:
        return None
    figure = value if hasattr(value, "savefig") else getattr(value, "figure", None)  # axes and seaborn's grids have one
    if figure is not None and hasattr(figure, "savefig"):
        file = io.BytesIO()
        figure.savefig(file, format="png")
        return images.read_drawn(file.getvalue(), "figure")
    if "plotly.basedatatypes.BaseFigure" in kinds:
        return images.read_drawn(_draw_plotly(value), "figure")
    png = getattr(value, "_repr_png_", None)
    data = png() if callable(png) and not isinstance(value, type) else None
    data = data[0] if isinstance(data, tuple) else data
    if isinstance(data, (str, bytes)):
        return images.read_drawn(base64.b64decode(data) if isinstance(data, str) else data, "figure")
    return None


def _draw_plotly(figure: Any) -> bytes:
    try:
        return bytes(figure.to_image(format="png"))
    except Exception as error:  # whatever the program that draws it raises
        hint = "plotly draws pictures by the package kaleido and a Chrome: `pip install kaleido`, then `plotly_get_chrome`."
        raise PromptError(f"plotly could not draw the figure: {str(error).strip().splitlines()[0]}", hint=hint) from error


def _read_bytes(value: Any, folders: Sequence[Path], below: Path | None, what: str) -> Bytes | str:
    """The content of a file that a value names or holds; the text of a web address that an IPython image is made of."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return Bytes(bytes(value))
    if isinstance(value, str) and _DATA_URL.match(value):
        return Bytes(read_data_url(value))
    if isinstance(value, (str, os.PathLike)):
        return _read_path(Path(os.path.expanduser(os.fspath(value))), folders, below, what)  # noqa: PTH111  # "~" of a text, too
    if callable(getattr(value, "read", None)):
        data = value.read(MAX_BYTES + 1)
        return Bytes(_check_size(data.encode() if isinstance(data, str) else data, what))
    data, url = getattr(value, "data", None), getattr(value, "url", None)  # of IPython.display.Image
    if isinstance(data, (str, bytes)) and data:
        return Bytes(base64.b64decode(data) if isinstance(data, str) else data, Path(getattr(value, "filename", None) or "").name)
    if is_url(url):
        return str(url)
    takes = "a path, a URL, bytes, a PIL image, a matplotlib or plotly figure" if what == "image" else "a path, a URL or bytes"
    raise PromptError(f"`{what}` takes {takes}, not {type(value).__name__}")


def _read_path(path: Path, folders: Sequence[Path], below: Path | None, what: str) -> Bytes:
    try:
        outside = below is not None and not (below / path).resolve().is_relative_to(below.resolve())
        place = None if outside else next((p for p in (folder / path for folder in folders) if p.is_file()), None)
    except (OSError, ValueError) as error:  # a name that is too long, or holds a NUL
        raise PromptError(f"`{what}`: this is no path: {error}") from error
    if outside:
        hint = "What a template file names lies below its own folder, links included; the cell may name any path."
        raise PromptError(f"the template file may not read {path}: it lies outside {below}", hint=hint)
    if place is None:
        similar = suggest(near(path.name, _list_names([(folder / path).parent for folder in folders])))
        looked = ", ".join(dict.fromkeys(str(folder) for folder in folders)) if not path.is_absolute() else str(path.parent)
        raise PromptError(f"there is no file {str(path)!r}; looked in {looked}", hint=similar)
    try:
        with place.open("rb") as file:
            return Bytes(_check_size(file.read(MAX_BYTES + 1), place.name), place.name)
    except OSError as error:
        raise PromptError(f"{place} cannot be read: {error.strerror}") from error


def _check_size(data: bytes, name: str) -> bytes:
    if len(data) > MAX_BYTES:
        raise PromptError(f"{name} is larger than {MAX_BYTES >> 20} MB, which is as much as can be attached")
    return data


def _list_names(folders: Sequence[Path]) -> set[str]:
    return {entry.name for folder in folders if folder.is_dir() for entry in folder.iterdir()}
