"""Spreads HTTP requests over several pools of connections, one for each of a few threads.

A pool looks at each of its connections whenever a request begins or ends, under one lock. With 64 calls at
a time that is a sixth of a call's work; pools of two or three connections each have next to none.
"""

from __future__ import annotations

import itertools
import ssl
import threading
from collections.abc import Callable
from typing import Any

_POOLS = 32


class ConnectionPools:
    """A transport for the SDK's HTTP client: a thread comes back to its own pool, where its connection is still open."""

    def __init__(self, transport: Callable[..., Any], limits: Any, context: ssl.SSLContext) -> None:
        self.transports = [transport(verify=context, limits=limits) for _ in range(_POOLS)]
        self._numbers, self._mine = itertools.cycle(range(_POOLS)), threading.local()

    def handle_request(self, request: Any) -> Any:
        """Send the request over a connection of this thread's pool."""
        if not hasattr(self._mine, "number"):
            self._mine.number = next(self._numbers)
        return self.transports[self._mine.number].handle_request(request)

    def close(self) -> None:
        """Close all connections."""
        for transport in self.transports:
            transport.close()
