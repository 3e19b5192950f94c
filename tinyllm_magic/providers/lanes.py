"""HTTP requests in, responses out, over several pools of connections instead of one.

Knows which thread uses which pool.
Does not know vendors, keys, what is sent, or how long a call may take.

A pool looks at each of its connections whenever a request begins or ends, under one lock. With 64 calls at
a time that is a sixth of a call's work; pools of two or three connections each have next to none.
"""

from __future__ import annotations

import importlib
import itertools
import threading
import urllib.request
from typing import Any

_LANES = 32


class Lanes:
    """A transport for the SDK's HTTP client: a thread comes back to its own pool, where its connection is still open."""

    def __init__(self, limits: Any) -> None:
        http = importlib.import_module(type(limits).__module__.partition(".")[0])  # the library that this version of the SDK stands on
        context = http.create_ssl_context()  # reads a file of certificates: once for all
        self._lanes = [http.HTTPTransport(verify=context, limits=limits) for _ in range(_LANES)]
        self._numbers, self._mine = itertools.cycle(range(_LANES)), threading.local()

    def handle_request(self, request: Any) -> Any:
        """Send the request over a connection of this thread's pool."""
        if not hasattr(self._mine, "number"):
            self._mine.number = next(self._numbers)
        return self._lanes[self._mine.number].handle_request(request)

    def close(self) -> None:
        """Close all connections."""
        for lane in self._lanes:
            lane.close()


def lanes(limits: Any) -> Any:
    """Lanes, or ``None`` where the environment names a proxy: which requests go through it is the HTTP library's to decide."""
    proxied = any(name != "no" for name in urllib.request.getproxies())
    return None if proxied else Lanes(limits)
