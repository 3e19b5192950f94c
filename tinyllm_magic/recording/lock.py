"""The lock between processes that write to one store: a hidden file beside it, or a marker file where the drive has no locks.

In a web page there is no other process: nothing is locked.
"""

from __future__ import annotations

import errno
import functools
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from ..files import require_regular
from ..web_page import runs_in_page

# what drives say that have no locks, some of them in the words of another fault
_NO_LOCKS = frozenset({errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.EPERM})


class StoreLock:
    """The lock of a store; ``timeout`` is in seconds.

    The lock is the empty file ``.NAME.lock``; it stays, and can go when no kernel is running. A drive without file locks
    gets the marker ``.NAME.locked`` instead, which goes with each release. Who has waited in vain once waits no more,
    until the lock is free again.
    """

    def __init__(self, store: Path, timeout: float) -> None:
        self._store = store
        self.path = store.with_name(f".{store.name}.lock")
        self._marker = store.with_name(f".{store.name}.locked")
        self._timeout = timeout
        self._is_stuck = False
        self._drive_has_locks = True

    def fresh(self) -> StoreLock:
        """The same lock for a forked process, held by nobody in it."""
        return StoreLock(self._store, self._timeout)

    @contextmanager
    def held(self, *, timeout: float | None = None) -> Iterator[None]:
        """Hold the lock for a ``with`` block; raises ``OSError`` (``TimeoutError`` where another process holds it)."""
        patience = timeout if timeout is not None else 0 if self._is_stuck else self._timeout
        try:
            taken = self._take(patience)
        except TimeoutError as error:
            self._is_stuck = True
            name = self.path.name if self._drive_has_locks else self._marker.name
            words = f"its lock is held by another process; if there is none, remove {name}"
            raise TimeoutError(errno.ETIMEDOUT, words) from error
        with taken:
            self._is_stuck = False
            yield

    def _take(self, patience: float) -> Any:
        if runs_in_page():
            return nullcontext()
        if self._drive_has_locks:
            require_regular(self.path)
            try:
                return self._file_lock.acquire(timeout=patience)
            except (OSError, NotImplementedError) as error:
                if isinstance(error, OSError) and error.errno not in _NO_LOCKS:
                    raise
                self._drive_has_locks = False
        require_regular(self._marker)
        return self._marker_lock.acquire(timeout=patience)

    def remove(self) -> None:
        """Take the lock's empty file away, unless somebody holds it."""
        with suppress(OSError, NotImplementedError), self.held(timeout=0):
            self.path.unlink()

    @functools.cached_property
    def _file_lock(self) -> Any:
        from filelock import FileLock  # reading needs none

        return FileLock(self.path, thread_local=False, fallback_to_soft=False)

    @functools.cached_property
    def _marker_lock(self) -> Any:
        from filelock import SoftFileLock

        return SoftFileLock(self._marker, thread_local=False)
