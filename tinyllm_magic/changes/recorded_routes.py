"""Finds the way to the model that a recorded request was asked of, among what the settings lead to now."""

from __future__ import annotations

from collections.abc import Iterator

from ..clients.sessions import Session
from ..errors import ConfigError
from ..messages import Request
from ..models.endpoints import API_TYPES
from ..models.routing import Route
from ..models.vendors import vendors
from ..settings.layers import Settings
from ..settings.origins import Origin


def find_route(request: Request, session: Session, current: Settings) -> Route:
    """The way to the provider and model of a request: a named model's, a vendor's, or that of an API type.

    No address that only a record names is asked: settings must lead there. Raises ``ConfigError``, which says why none does.
    """
    for route in _list_routes(request, session, current):
        if route.endpoint.provider == request.provider and route.model == request.model:
            return route
    raise ConfigError(_explain(request, current))


def _list_routes(request: Request, session: Session, current: Settings) -> Iterator[Route]:
    """The routes that could be meant, named models first."""
    kind = request.provider.partition(":")[0]
    names = [*current.usable_models(), request.model, *(f"{vendor}:{request.model}" for vendor in vendors())]
    forced = [current.over({"api_type": kind}, Origin.CALL)] if kind in API_TYPES else []
    for settings in (current, *forced):
        for name in names:
            try:
                yield session.route(name, settings)
            except ConfigError:  # what is set wrongly leads nowhere; another may
                continue


def _explain(request: Request, current: Settings) -> str:
    kind, _, address = request.provider.partition(":")
    if kind == "call":
        return f"it was asked through a function of the notebook's own ({address})"
    if kind == "local":
        return f"it was asked of a model file {request.model}.gguf, which no named model of these settings leads to"
    if address:
        return f"it was asked at {address}, where no setting leads now (BASE_URL, Azure's endpoint, a named model)"
    if kind in API_TYPES:
        return f"it was asked at the own address of {kind}, and these settings lead elsewhere (BASE_URL, OPENAI_BASE_URL, a named model)"
    known = ", ".join(current.models) or "none"
    return f"'{kind}' is no API type, vendor or identity of a named model that is known here (named models: {known})"
