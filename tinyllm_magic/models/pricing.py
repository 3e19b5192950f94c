"""What tokens cost, from the data of genai-prices: US dollars, ``None`` where unknown."""

from __future__ import annotations

import functools
from typing import Any

from ..garbage_collection import pause_garbage_collection
from ..messages import Request
from ..responses import Answer, Usage
from .catalog import facts, plain_name, untuned_name
from .endpoints import Endpoint, is_loopback
from .routing import Route
from .tokens import count_request, count_text
from .vendors import vendors

_VENDOR = Endpoint("openai")


_USUAL_TIERS = frozenset({"auto", "default", "standard", "on_demand"})
"""What vendors call the service that has the listed price."""
BATCH = "batch"
"""The tier of what is asked through a batch service."""


def price(model: str, usage: Usage, endpoint: Endpoint = _VENDOR, tier: str | None = None) -> float | None:
    """US dollars for these tokens, ``None`` where the price is unknown and for models on this machine.

    Prices go by the model's id; the endpoint's vendor says whose list is looked into, and only where it is none, any list. A
    server on this machine may call its model what it likes: its price is unknown. Cached tokens have their own price; reasoning
    is paid as output. ``tier`` is the service tier, whose share of the listed price is known for some vendors.
    """
    vendor = endpoint.known_vendor
    if endpoint.is_in_process or vendor.local or is_loopback(endpoint.base_url or "") or facts(model).local:
        return None
    share = vendor.tiers.get(tier) if tier and tier not in _USUAL_TIERS else 1.0
    if share is None:
        return None
    lists = (vendor.prices,) if endpoint.vendor else (vendor.prices, None)
    cached = min(usage.cached_tokens, usage.prompt_tokens)
    listed = _price_tokens(model, lists, usage.prompt_tokens, usage.completion_tokens, cached)
    return None if listed is None else listed * share


@functools.lru_cache(maxsize=4096)
def _price_tokens(model: str, lists: tuple[str | None, ...], tokens_in: int, tokens_out: int, cached: int) -> float | None:
    """The price of these tokens; remembered, because rows of a map are alike."""
    found = _find_price(model, lists, tokens_in, tokens_out, cached)
    return None if found is None else float(found.total_price)


def price_answer(route: Route, request: Request, answer: Answer, *, tier: str | None = None) -> float | None:
    """US dollars for an answer, ``None`` where its usage or the price is unknown and for models on this machine.

    ``tier`` counts where it is given, else the one that the answer names, else the one that was asked for.
    """
    if answer.usage is None:
        return None
    tier = tier or (answer.raw or {}).get("service_tier") or request.params.get("service_tier")
    return price(request.model, answer.usage, route.endpoint, str(tier) if tier else None)


def prices(model: str, endpoint: Endpoint = _VENDOR) -> tuple[float, float] | None:
    """US dollars for a million tokens in and out, at the price of short prompts; ``None`` where unknown."""
    tokens_in = price(model, Usage(prompt_tokens=1000), endpoint)
    tokens_out = price(model, Usage(completion_tokens=1000), endpoint)
    if tokens_in is None or tokens_out is None:
        return None
    return round(tokens_in * 1000, 6), round(tokens_out * 1000, 6)


@functools.cache
def _load_prices() -> Any:
    """The library of prices with all that it lists: with pydantic behind it, it takes as long as the rest of a first cell."""
    with pause_garbage_collection():
        import genai_prices
        import genai_prices.data
    return genai_prices


def _find_price(model: str, lists: tuple[str | None, ...], tokens_in: int, tokens_out: int, cached: int) -> Any:
    library = _load_prices()
    amounts = library.Usage(input_tokens=tokens_in, output_tokens=tokens_out, cache_read_tokens=cached)
    for whose in lists:
        try:
            return library.calc_price(amounts, model_ref=plain_name(model), provider_id=whose)
        except LookupError:
            continue
    return None


@functools.cache
def priced_names() -> tuple[str, ...]:
    """Names of the models in the price lists of the vendors that sell their own."""
    own = {v.prices for v in vendors().values() if v.prefixes or v.name == "openai"}
    return tuple(dict.fromkeys(model.id for p in _load_prices().data.providers if p.id in own for model in p.models))


def is_free(route: Route) -> bool:
    """Whether a call costs nothing: the model runs in this process, or is one of this machine's."""
    return route.endpoint.is_in_process or route.facts.local


def window(model: str) -> int | None:
    """Tokens that fit into a model's context, prompt and answer together; ``None`` where unknown."""
    return facts(model).window or _find_window(model)


@functools.lru_cache(maxsize=512)
def _find_window(model: str) -> int | None:
    found = _find_price(untuned_name(model).partition(":")[0], ("openai", None), 0, 0, 0)
    return None if found is None else found.model.context_window


def most_expensive(request: Request, route: Route, *, tier: str | None = None) -> float | None:
    """US dollars that a request can cost at most: its prompt and the longest answer, ``None`` where unknown.

    The longest answer is the request's own limit, else the model's, for each of its ``n`` choices.
    What runs on this machine costs nothing.
    """
    return price_range(request, route, 0, tier=tier)[1]


def price_range(request: Request, route: Route, likely: int, *, tier: str | None = None) -> tuple[float | None, float | None]:
    """US dollars for a request with an answer of ``likely`` tokens, and at most; ``None`` where unknown.

    ``tier`` is the service tier, by default the one that the request asks for.
    """
    if is_free(route):
        return 0.0, 0.0
    if request.kind == "embedding":
        texts = request.params.get("input") or ()
        counted = sum(count_text(str(t), request.model) for t in ([texts] if isinstance(texts, str) else texts))
        whole = price(request.model, Usage(prompt_tokens=int(counted)), route.endpoint)
        return whole, whole
    params = request.params
    longest = params.get("max_completion_tokens") or params.get("max_tokens") or route.facts.output_limit or window(request.model)
    if longest is None:
        return None, None
    prompt, answers, tier = int(count_request(request)), int(params.get("n") or 1), tier or params.get("service_tier")
    lengths = (min(likely, int(longest)), int(longest))
    found = [price(request.model, Usage(prompt, n * answers), route.endpoint, str(tier) if tier else None) for n in lengths]
    return found[0], found[1]
