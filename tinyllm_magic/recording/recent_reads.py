"""Keeps the records that were read last while nobody touches their file: a cell that is run again need not open it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..files import is_settled
from ..responses import Record

_MOST, _LONGEST = 256, 2**16  # records, and bytes of the line of one


class RecentReads:
    """The last records that were read from one file, as it was then.

    What somebody could change in a record that he was given is not kept: data as the vendor sent it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, ...] = ()
        self._kept: dict[str, Record] = {}

    def find(self, key: str, request: Mapping[str, Any]) -> Record | None:
        """The record that was read last for a key, if the file is as it was then and this is the request that it answers."""
        record = self._kept.get(key)
        if record is None or record.request != request:
            return None
        try:
            return record if _stamp(os.lstat(self._path)) == self._stamp else None
        except OSError:
            return None

    def keep(self, record: Record, length: int, file: int) -> None:
        """Keep a record, whose line has ``length`` bytes, that was read from this open file."""
        answer, found = record.answer, os.fstat(file)
        stamp = _stamp(found)
        if stamp != self._stamp:
            self._kept.clear()
            self._stamp = stamp
        is_fixed = answer.logprobs is None and answer.raw is None and not record.thumbnails
        if is_fixed and length <= _LONGEST and is_settled(found):
            if len(self._kept) >= _MOST:
                self._kept.clear()
            self._kept[record.key] = record


def _stamp(found: os.stat_result) -> tuple[int, ...]:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
