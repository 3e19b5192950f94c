"""Asks the servers of this machine which models they have (``list_served``): a GET on loopback without key, proxy or redirect."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import urlsplit

from ..models.endpoints import is_loopback
from ..models.vendors import Vendor, vendors

_PATIENCE = 0.5  # seconds for all of them together
_LONGEST = 1_000_000  # bytes of a list
_MOST = 50  # models of one server that are listed

_found: dict[str, tuple[str, ...]] = {}


def list_served() -> Mapping[str, tuple[str, ...]]:
    """The models of each server that answers at its vendor's usual port, none of one that wants a key; all others are left out."""
    found: dict[str, tuple[str, ...]] = {}
    waiting = [
        threading.Thread(target=_ask, args=(v, found), daemon=True) for v in vendors().values() if v.local and is_loopback(str(v.base_url))
    ]
    for thread in waiting:
        thread.start()
    for thread in waiting:
        thread.join(_PATIENCE)
    _found.clear()
    _found.update(dict(found))
    return dict(_found)


def last_served() -> Mapping[str, tuple[str, ...]]:
    """What the last look has found; nobody is asked."""
    return dict(_found)


def _ask(vendor: Vendor, found: dict[str, tuple[str, ...]]) -> None:
    with suppress(OSError, ValueError, http.client.HTTPException, AttributeError, TypeError):  # whatever else listens there
        found[vendor.name] = _read_models(str(vendor.base_url))


def _read_models(base_url: str) -> tuple[str, ...]:
    place = urlsplit(base_url)
    connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=_PATIENCE)
    try:
        connection.request("GET", f"{place.path}/models", headers={"Accept": "application/json"})
        answer = connection.getresponse()
        if answer.status == http.HTTPStatus.UNAUTHORIZED:
            return ()  # it is there, and tells its models only to who has its key
        if answer.status != http.HTTPStatus.OK:
            raise ConnectionError(f"status {answer.status}")
        listed = json.loads(answer.read(_LONGEST)).get("data") or ()
        return tuple(str(model["id"]) for model in listed[:_MOST])
    finally:
        connection.close()
