"""Makes a request that can be sent of a recorded one: files, which a store holds by digest alone, are looked for beside the notebook."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..attachments import images
from ..attachments.documents import extract_text
from ..attachments.sources import MAX_BYTES, Bytes, read_content
from ..errors import PromptError
from ..file_text import FileFacts, FileText, to_data_url
from ..messages import Request, read_request

_MOST_FILES = 20_000
_SCALED = re.compile(r"scaled to (\d+) pixels")


class FilesBelow:
    """The files of a folder and those below it, by size; hidden ones and links are left out, and read is only what has the right size."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._by_size: dict[int, list[Path]] | None = None

    def find(self, sizes: range, fits: Callable[[bytes], bool]) -> bytes | None:
        """The content of the first file of such a size that ``fits``."""
        for path in self._of_sizes(sizes):
            try:
                data = path.read_bytes()
            except OSError:
                continue
            if fits(data):
                return data
        return None

    def _of_sizes(self, sizes: range) -> Iterator[Path]:
        if self._by_size is None:
            self._by_size = {}
            for number, (size, path) in enumerate(self._walk()):
                if number == _MOST_FILES:
                    break
                self._by_size.setdefault(size, []).append(path)
        for size in sizes:
            yield from self._by_size.get(size, ())

    def _walk(self) -> Iterator[tuple[int, Path]]:
        for folder, below, names in os.walk(self._folder):
            below[:] = sorted(name for name in below if not name.startswith("."))
            for name in sorted(names):
                path = Path(folder, name)
                try:
                    found = path.lstat()
                except OSError:
                    continue
                if path.is_file() and not path.is_symlink() and found.st_size <= MAX_BYTES:
                    yield found.st_size, path


def restore_request(canonical: Mapping[str, Any], files: FilesBelow) -> Request:
    """The request whose canonical form this is; raises ``PromptError`` where a file in it cannot be had, or it is no request."""
    try:
        request = read_request(_restore(canonical, files))
        is_same = request.canonical() == canonical
    except (KeyError, TypeError, ValueError) as error:
        raise PromptError(f"its record is no request ({type(error).__name__})") from error
    if not is_same:
        raise PromptError("its record cannot be made into the same request again")
    return request


def _restore(value: Any, files: FilesBelow) -> Any:
    """A value of a canonical form as it was before: files by their content, large whole numbers as numbers."""
    if isinstance(value, Mapping):
        if "$sha256" in value:
            return _restore_file(value, files)
        if value.keys() == {"$int"}:
            return int(value["$int"])
        return {name: _restore(inner, files) for name, inner in value.items()}
    return [_restore(inner, files) for inner in value] if isinstance(value, list) else value


def _restore_file(recorded: Mapping[str, Any], files: FilesBelow) -> str:
    """What was sent of a file."""
    digest, media_type = str(recorded["$sha256"]), str(recorded.get("type", ""))
    name, process = str(recorded.get("name", "")), str(recorded.get("as", ""))
    if "len" in recorded:
        return _find_data_url(digest, media_type, int(recorded["len"]), files)
    if "pixels" in recorded:
        raise PromptError(f"a picture of {recorded['pixels']} pixels was made by the notebook; its record holds the digest alone")
    if "url" in recorded:
        side = int(scaled[1]) if (scaled := _SCALED.fullmatch(process)) else 0  # the call fetches and scales it
        facts = FileFacts(digest, media_type, int(recorded.get("size", 0)), name, side, side, process=process, url=str(recorded["url"]))
        return FileText.of("", facts)
    size = int(recorded.get("size", 0))
    data = files.find(range(size, size + 1), lambda found: hashlib.sha256(found).hexdigest() == digest)
    if data is None:
        raise PromptError(
            f"{name or f'a file ({media_type}, {size:,} bytes)'} that was sent is not in the notebook's folder, or has changed"
        )
    return _process(data, media_type, name, process)


def _process(data: bytes, media_type: str, name: str, process: str) -> FileText:
    """A file as it was sent."""
    found = images.read_image(data, name) if media_type.startswith("image/") else read_content(Bytes(data, name))
    if scaled := _SCALED.fullmatch(process):
        return images.fit_image(found, int(scaled[1]))
    return extract_text(found) if process == "pdf text" else found


def _find_data_url(digest: str, media_type: str, length: int, files: FilesBelow) -> str:
    """The data URL that somebody put into a message, of a file in the folder."""
    encoded = length - len(to_data_url(b"", media_type))
    sizes = range(max(0, encoded // 4 * 3 - 2), encoded // 4 * 3 + 1)
    data = files.find(sizes, lambda found: hashlib.sha256(to_data_url(found, media_type).encode()).hexdigest() == digest)
    if data is None:
        raise PromptError(f"data of {length:,} characters ({media_type}) that was sent is of no file in the notebook's folder")
    return to_data_url(data, media_type)
