"""The seeds' way of connecting a client: ``_setup_from_config`` assigns ``self.client``, the SDK's client.

Subclasses of that family override the one, read and assign the other, and may leave out ``super().__init__()``.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Self

from ..errors import ConfigError
from ..models.endpoints import Endpoint
from ..providers import openai_client as vendor
from ..providers.chat_transport import ChatTransport, open_transport

_under_way: ContextVar[tuple[object, Endpoint] | None] = ContextVar("tinyllm_magic_endpoint", default=None)
"""The client that is sending in this context, and where to: many threads may share one client."""


class SeedsConnection:
    """Connections by endpoint, built when they are first needed by ``_setup_from_config``."""

    _given: Any
    _connected: dict[Endpoint, tuple[str, Any]]
    _transports: dict[Endpoint, tuple[str, ChatTransport | None]]
    _assigned: list[Any] | None
    _lock: Any

    def __new__(cls, *_: Any, **__: Any) -> Self:
        """State that a subclass has even where its ``__init__`` does not call ours."""
        self = super().__new__(cls)
        self._given, self._connected, self._transports, self._assigned = None, {}, {}, None
        self._lock = threading.RLock()
        return self

    def default_endpoint(self) -> Endpoint:
        """Where a call would go now."""
        raise NotImplementedError

    @property
    def endpoint(self) -> Endpoint:
        """Where the call under way goes, else where one would go now."""
        mine = _under_way.get()
        return mine[1] if mine is not None and mine[0] is self else self.default_endpoint()

    @property
    def client(self) -> Any:
        """The SDK's client, built when it is first needed: the key is looked up here, not before."""
        if self._given is not None:
            return self._given
        with self._lock:
            if self._assigned is not None:  # read by ``_setup_from_config`` itself
                if not self._assigned:
                    SeedsConnection._setup_from_config(self)
                return self._assigned[-1]
            endpoint = self.endpoint
            mark = vendor.present_mark(endpoint)
            known = self._connected.get(endpoint)
            if known is None or known[0] != mark:
                known = self._connected[endpoint] = (mark, self._connect(endpoint))
            return known[1]

    @client.setter
    def client(self, value: Any) -> None:  # documented at the getter
        with self._lock:
            if self._assigned is None:
                self._given = value
            else:
                self._assigned.append(value)

    def _find_transport(self) -> ChatTransport | None:
        """The thin transport to the endpoint of the call under way; ``None`` where the SDK, or what stands in its place, is to be asked."""
        endpoint = self.endpoint
        known = self._connected.get(endpoint)
        if self._given is not None or vendor.is_create_replaced(known[1] if known else None):
            return None
        mark = vendor.present_mark(endpoint)
        found = self._transports.get(endpoint)
        if found is None or found[0] != mark:
            with self._lock:
                found = self._transports[endpoint] = (mark, open_transport(endpoint, os.environ))
        return found[1]

    def __getattr__(self, name: str) -> Any:
        """A part of the SDK's client by its own name (``chat``, ``embeddings``, ``models`` …); what is asked through it is not recorded."""
        if name not in vendor.RESOURCES:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        retries = self.endpoint.max_retries  # our own calls are repeated by us, these by the SDK
        return getattr(self.client.with_options(max_retries=retries) if retries else self.client, name)

    def _setup_from_config(self) -> None:
        """Assign ``self.client``, the SDK's client for ``self.endpoint``."""
        self.client = vendor.connect(self.endpoint, environ=os.environ, timeout=None)

    def _connect(self, endpoint: Endpoint) -> Any:
        """What ``_setup_from_config`` assigns to ``self.client`` for an endpoint."""
        self._assigned = []
        try:
            with self._towards(endpoint):
                self._setup_from_config()
            return self._assigned[-1] if self._assigned else None
        except AttributeError as error:  # Python would take it for a missing attribute ``client``
            raise ConfigError(f"_setup_from_config of {type(self).__name__} failed: {error}") from error
        finally:
            self._assigned = None

    @contextmanager
    def _towards(self, endpoint: Endpoint) -> Iterator[None]:
        token = _under_way.set((self, endpoint))
        try:
            yield
        finally:
            _under_way.reset(token)
