"""Lists what ``-m`` may name (``list_offers``): what answers here and now first, then what wants a key or a server."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import ConfigError
from ..models.catalog import EMBEDDED, TINY
from ..models.endpoints import Endpoint, key_state
from ..models.routing import Route
from ..models.vendors import Vendor, vendors
from ..settings.layers import Settings
from ..web_page import ANSWERS_RECORDED, runs_in_page
from .sessions import Session


@dataclass(frozen=True)
class Offer:
    """A name for ``-m``; ``route`` is where it leads, if that is known, ``state`` what it wants, ``ready`` whether it can be asked now.

    ``is_default`` is what answers where no model is named. A ``vendor`` takes the name of a model after its own.
    """

    name: str
    route: Route | None
    state: str
    ready: bool
    is_default: bool = False
    vendor: Vendor | None = None


def list_offers(
    session: Session, current: Settings, environ: Mapping[str, str], served: Mapping[str, tuple[str, ...]] | None
) -> list[Offer]:
    """All offers, what can be asked now first and the embedded model at the top.

    ``served`` are the models of the servers on this machine that were found, ``None`` where nobody has looked.
    """
    default = _route(session, None, current)
    embedded = _route(session, TINY, current)
    own = TINY if embedded is not None and embedded.model == EMBEDDED else EMBEDDED
    spelled = [] if default is None or default.spelling == EMBEDDED else [default.spelling]
    answered = [own if name == EMBEDDED else name for name in answered_models(session)]
    names = dict.fromkeys([own, *current.models, *spelled, *answered])
    failed = _failures(session)
    offers = [_offer_model(name, _route(session, name, current), environ, failed) for name in names]
    offers = [_mark_default(offer, default) for offer in offers]
    offers += [_offer_vendor(vendor, environ, served) for vendor in vendors().values()]
    for name, models in (served or {}).items():
        offers += [_offer_model(f"{name}:{m}", _route(session, f"{name}:{m}", current), environ, failed) for m in models]
    return sorted(offers, key=lambda offer: not offer.ready)


def answered_models(session: Session) -> list[str]:
    """What this session has asked and what answered the last time, by the names that lead there."""
    failed = _failures(session)
    return [name for name in dict.fromkeys(e.route.spelling for e in tuple(session.history)) if name not in failed]


def _failures(session: Session) -> dict[str, str]:
    """The models whose last call in this session failed, each with the name of its error."""
    last = {e.route.spelling: e.error for e in tuple(session.history)}
    return {name: type(error).__name__ for name, error in last.items() if isinstance(error, Exception)}


def _route(session: Session, name: str | None, current: Settings) -> Route | None:
    try:
        return session.route(name, current)
    except ConfigError:
        return None


def _mark_default(offer: Offer, default: Route | None) -> Offer:
    same = (
        default is not None
        and offer.route is not None
        and (offer.name == default.spelling or offer.route.model == default.model == EMBEDDED)
    )
    return Offer(offer.name, offer.route, offer.state, offer.ready, is_default=same) if same else offer


def _offer_model(name: str, route: Route | None, environ: Mapping[str, str], failed: Mapping[str, str]) -> Offer:
    if route is None:
        return Offer(name, None, "not available with these settings", ready=False)
    if error := failed.get(route.spelling):
        return Offer(name, route, f"failed at its last call ({error})", ready=False)
    if runs_in_page() and route.endpoint.api_type != "echo":
        return Offer(name, route, ANSWERS_RECORDED, ready=False)
    if route.endpoint.api_type == "local" and importlib.util.find_spec("xllamacpp") is None:
        return Offer(name, route, 'wants its engine: pip install "tinyllm-magic[local]"', ready=False)
    state = key_state(route.endpoint, environ)
    return Offer(name, route, state, ready=_has_key(state))


def _has_key(state: str) -> bool:
    return not state.endswith("is missing") and not state.startswith("not sent")


def _offer_vendor(vendor: Vendor, environ: Mapping[str, str], served: Mapping[str, tuple[str, ...]] | None) -> Offer:
    name = f"{vendor.name}:"
    if vendor.local:
        place = str(vendor.base_url).removeprefix("http://").partition("/")[0]
        here = vendor.name in (served or {})
        state = "answers" if here else "was not looked for" if served is None else f"no server answers at {place}"
        return Offer(name, None, state, ready=here, vendor=vendor)
    if vendor.name == "azure" and not environ.get("AZURE_OPENAI_ENDPOINT", "").strip():
        return Offer(name, None, "AZURE_OPENAI_ENDPOINT is missing", ready=False, vendor=vendor)
    state = key_state(Endpoint("openai", vendor.base_url, vendor=vendor.name), environ)
    return Offer(name, None, state, ready=_has_key(state), vendor=vendor)
