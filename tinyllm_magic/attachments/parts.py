"""Makes files into parts of messages, and these into what a model takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import PromptError
from ..file_text import FileText, files_in
from ..messages import Message
from .documents import PDF, extract_text
from .images import draw_thumbnail, fit_image
from .sources import read_file

Part = Mapping[str, Any]
Fetch = Callable[[str], FileText]


def make_part(file: FileText | str) -> Part:
    """The part of a message that holds a file, in the OpenAI chat format; a plain text is the address of an image."""
    if not isinstance(file, FileText) or file.facts.width:
        return {"type": "image_url", "image_url": {"url": file}}
    if file.facts.media_type == PDF:
        return {"type": "file", "file": {"filename": file.facts.name, "file_data": file}}
    return {"type": "text", "text": file}


def read_part(
    read: Callable[..., FileText | str], value: Any, folders: Sequence[Path], *, below: Path | None = None, fetch: Fetch | None = None
) -> Part:
    """The part that a value stands for; ``fetch`` gets what is at a web address, which is sent as one without it.

    Where files are read ``below`` a folder only, nothing is fetched. Raises ``PromptError``.
    """
    found = read(value, folders, below=below)
    if not isinstance(found, FileText) and fetch is not None and below is None:
        found = fetch(found)
    if not isinstance(found, FileText) and read is read_file:
        raise PromptError(f"{found} is an address: vendors fetch images alone", hint="--fetch fetches it here, and fixes it by its digest.")
    return make_part(found)


def change_files(messages: tuple[Message, ...], change: Callable[[FileText], FileText]) -> tuple[Message, ...]:
    """The messages with each of their files changed; those that no file of ours is in stay as they are."""
    if not any(isinstance(m.content, tuple) for m in messages):
        return messages
    return tuple(
        replace(m, content=tuple(_change_in(part, change) for part in m.content)) if isinstance(m.content, tuple) else m for m in messages
    )


def _change_in(value: Any, change: Callable[[FileText], FileText]) -> Any:
    if isinstance(value, FileText):
        return change(value)
    return {name: _change_in(inner, change) for name, inner in value.items()} if isinstance(value, Mapping) else value


def fit_messages(messages: tuple[Message, ...], model: str, *, longest_side: int, pdf: bool) -> tuple[tuple[Message, ...], tuple[str, ...]]:
    """The messages with their files as a model takes them, and notes: images scaled, of PDFs their text where it takes none.

    Files that callers put into messages themselves stay as they are. Raises ``PromptError`` where a PDF's text cannot be had.
    """
    if not any(isinstance(m.content, tuple) for m in messages):
        return messages, ()
    notes: list[str] = []

    def fit(part: Part) -> Part:
        files = files_in(part)
        if not files:
            return part
        if part["type"] == "image_url":
            return {**part, "image_url": {**part["image_url"], "url": fit_image(files[0], longest_side)}}
        if part["type"] == "file" and not pdf:
            notes.append(f"{model} is not known to take PDFs: the text of {files[0].facts.name} is sent")
            return {"type": "text", "text": extract_text(files[0])}
        return part

    fitted = (replace(m, content=tuple(map(fit, m.content))) if isinstance(m.content, tuple) else m for m in messages)
    return tuple(fitted), tuple(dict.fromkeys(notes))


def attach(messages: Iterable[Message], parts: Iterable[Part]) -> tuple[Message, ...]:
    """The messages with these parts before the text of the user's last one, as the vendors advise."""
    said, added = tuple(messages), tuple(parts)
    if not added:
        return said
    last = next((i for i in reversed(range(len(said))) if said[i].role == "user"), None)
    if last is None:
        return (*said, Message("user", added))
    content = said[last].content
    text = content if isinstance(content, tuple) else ({"type": "text", "text": content},)
    return (*said[:last], replace(said[last], content=(*added, *text)), *said[last + 1 :])


def find_files(messages: Iterable[Message]) -> list[FileText]:
    """The files in messages, in order."""
    return [f for m in messages if isinstance(m.content, tuple) for part in m.content for f in files_in(part)]


def has_images(messages: Iterable[Message]) -> bool:
    """Whether messages hold an image, whoever put it there."""
    return any(part.get("type") == "image_url" for m in messages if isinstance(m.content, tuple) for part in m.content)


def draw_thumbnails(messages: Iterable[Message]) -> dict[str, str]:
    """Small pictures of the images in messages, as data URLs by digest; without what cannot be drawn."""
    drawn: dict[str, str] = {}
    for file in find_files(messages):
        if file.facts.width and file.facts.digest not in drawn:
            try:
                drawn[file.facts.digest] = draw_thumbnail(file)
            except PromptError:  # the vendor may read what Pillow does not
                continue
    return {digest: url for digest, url in drawn.items() if url}
