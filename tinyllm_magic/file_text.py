"""``FileText``: what is sent of a file, as a data URL or as its text, which stands in keys and stores by the file's digest."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True)
class FileFacts:
    """What a key and a reader need to know of a file.

    ``digest`` is the sha256 of the file's bytes or, where ``drawn``, of the decoded pixels of a picture that was drawn or made in
    Python; ``size`` is bytes, ``width`` and ``height`` pixels (0: no picture); ``process`` names what was made of the file before it
    was sent ("" where it goes as it is); ``url`` is where it was fetched from.
    """

    digest: str
    media_type: str
    size: int
    name: str = ""
    width: int = 0
    height: int = 0
    drawn: bool = False
    process: str = ""
    url: str = ""

    @property
    def title(self) -> str:
        """The file in a few words."""
        shape = f"{self.width}×{self.height}" if self.width else f"{self.size:,} bytes"
        return f"{self.name or self.media_type}, {shape}"


class FileText(str):
    """The text that is sent of a file; JSON, copies and other processes take it for the text that it is."""

    __slots__ = ("facts",)
    facts: FileFacts

    @classmethod
    def of(cls, text: str, facts: FileFacts) -> Self:
        """The text that is sent of the file with these facts."""
        made = cls(text)
        made.facts = facts
        return made

    def __deepcopy__(self, memo: Any) -> Self:
        return self  # it cannot be changed, and may be large

    def canonical(self) -> dict[str, Any]:
        """What stands in a key: the digest of the source and what was made of it, so that no library's output is part of it."""
        facts = self.facts
        known: dict[str, Any] = {"$sha256": facts.digest, "type": facts.media_type}
        known |= {"pixels": f"{facts.width}x{facts.height}"} if facts.drawn else {"size": facts.size}
        known |= {"as": facts.process} if facts.process else {}
        return known | ({"name": facts.name} if facts.process.endswith("text") else {}) | ({"url": facts.url} if facts.url else {})

    @property
    def data(self) -> bytes:
        """The bytes in a data URL."""
        return read_data_url(self)


def to_data_url(data: bytes, media_type: str) -> str:
    """Bytes as a ``data:`` URL."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def read_data_url(url: str) -> bytes:
    """The bytes in a ``data:`` URL."""
    return base64.b64decode(url.partition(",")[2])


def files_in(part: Mapping[str, Any]) -> list[FileText]:
    """The files in one part of a message's content."""
    return [v for v in _values(part) if isinstance(v, FileText)]


def recorded_files_in(part: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The files in one part of a recorded message, as ``FileText.canonical`` keeps them: the digest of each, and the file in words."""
    known = [v for v in _values(part) if isinstance(v, Mapping) and "$sha256" in v]
    return [(str(v["$sha256"]), _describe_canonical(v)) for v in known]


def _values(part: Mapping[str, Any]) -> list[Any]:
    held = (part.get(name) for name in ("image_url", "file"))
    return [part.get("text"), *(v for place in held if isinstance(place, Mapping) for v in place.values())]


def _describe_canonical(facts: Mapping[str, Any]) -> str:
    size = facts.get("size", facts.get("len"))
    shape = str(facts["pixels"]).replace("x", "×") if "pixels" in facts else f"{size:,} bytes" if isinstance(size, int) else ""
    return ", ".join(filter(None, (str(facts.get("name") or facts.get("url") or facts.get("type", "file")), shape)))
