"""Runs coroutines of tools in one thread that has an event loop of its own: no loop of the user's is touched."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Coroutine
from typing import Any

_SLICE = 0.2  # seconds between two looks at an interrupt


class LoopThread(threading.Thread):
    """A thread that runs an event loop as long as the process lives."""

    def __init__(self) -> None:
        super().__init__(daemon=True, name="tinyllm-tools")
        self.loop = asyncio.new_event_loop()
        self.start()

    def run(self) -> None:
        """Run the loop."""
        self.loop.run_forever()


_thread: LoopThread | None = None
_starting = threading.Lock()


def _running_loop() -> asyncio.AbstractEventLoop:
    global _thread  # noqa: PLW0603  # connections that one call has opened serve the next one
    with _starting:
        if _thread is None or not _thread.is_alive():  # a forked process has none
            _thread = LoopThread()
        return _thread.loop


def run_coroutine(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine returns; an interrupt cancels it."""
    future = asyncio.run_coroutine_threadsafe(coroutine, _running_loop())
    try:
        while not concurrent.futures.wait([future], _SLICE).done:
            pass
        return future.result()
    except BaseException:
        future.cancel()
        raise
