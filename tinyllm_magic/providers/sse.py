"""Reads server-sent events out of the bytes of a body (https://html.spec.whatwg.org/multipage/server-sent-events.html).

More forgiving than the SDK's reader, which loses the first event behind a byte order mark and the last one without a
blank line after it.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from itertools import chain


def read_events(parts: Iterable[bytes]) -> Iterator[tuple[str, str]]:
    r"""Name (often empty) and data of each event, as soon as it is there. Raises ``UnicodeDecodeError`` for what is no UTF-8.

    >>> list(read_events([b": ping\n\nda", b"ta: 1\r", b"\n\r\nevent: error\ndata: 2\n"]))
    [('', '1'), ('error', '2')]
    """
    name, data = "", list[str]()
    for line in chain(_lines(parts), ("",)):
        field, _, value = line.partition(":")
        if field == "data":
            data.append(value.removeprefix(" "))
        elif field == "event":
            name = value.strip()
        elif not line:
            if data:
                yield name, "\n".join(data)
            name, data = "", []


def _lines(parts: Iterable[bytes]) -> Iterator[str]:
    """The lines, without their ends (LF, CR or CRLF) and the byte order mark before the first."""
    pending: list[bytes] = []
    after_return, first = False, True
    for part in parts:
        fresh = part[1:] if after_return and part.startswith(b"\n") else part
        after_return = part.endswith(b"\r") if fresh else after_return and not part
        for piece in fresh.splitlines(keepends=True):
            pending.append(piece)
            if piece.endswith((b"\r", b"\n")):
                yield _decoded(pending, first=first)
                pending, first = [], False
    if pending:
        yield _decoded(pending, first=first)


def _decoded(pieces: list[bytes], *, first: bool) -> str:
    line = b"".join(pieces).rstrip(b"\r\n")
    return (line.removeprefix(codecs.BOM_UTF8) if first else line).decode()
