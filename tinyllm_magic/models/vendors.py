"""The vendors of `models.toml` (``find_vendor``, ``vendors``): where each is asked, what holds its key, how its models' names begin."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from .catalog import read_data


@dataclass(frozen=True)
class Vendor:
    """Who serves models through an API as OpenAI's.

    ``name`` stands before the colon of ``VENDOR:MODEL``, ``title`` is for readers. ``base_url`` is ``None`` where the user
    has an address of their own (Azure). ``keys`` are the environment variables that may hold the key, the first that is set
    counts. ``prefixes`` begin the names of its models. ``prices`` is its name in the price list, ``tiers`` the share of
    the listed price that a service tier costs, ``batches`` whether it has a batch service that is asked as OpenAI's. ``local``
    servers run on this machine and need no key.
    """

    name: str
    title: str
    base_url: str | None = None
    keys: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    prices: str | None = None
    local: bool = False
    tiers: Mapping[str, float] = field(default_factory=dict)
    batches: bool = False


@functools.cache
def vendors() -> Mapping[str, Vendor]:
    """All vendors by name, in the order of the data."""
    return MappingProxyType({name: _read_vendor(name, block) for name, block in read_data()["vendors"].items()})


def _read_vendor(name: str, block: Mapping[str, Any]) -> Vendor:
    return Vendor(
        name,
        block["title"],
        block.get("base_url"),
        tuple(block.get("keys", ())),
        tuple(block.get("prefixes", ())),
        block.get("prices"),
        block.get("local", False),
        MappingProxyType(block.get("tiers", {})),
        block.get("batches", False),
    )


def find_vendor(name: str | None) -> Vendor | None:
    """The vendor of that name.

    >>> find_vendor("anthropic").keys
    ('ANTHROPIC_API_KEY',)
    """
    return None if name is None else vendors().get(name)


def split_vendor(model: str) -> tuple[str, str] | None:
    """The vendor and the rest of a name ``VENDOR:MODEL``; ``None`` where no vendor stands before the colon.

    >>> split_vendor("ollama:llama3:8b"), split_vendor("llama3:8b")
    (('ollama', 'llama3:8b'), None)
    """
    head, _, rest = model.partition(":")
    return (head.lower(), rest) if rest and head.lower() in vendors() else None


def vendor_by_prefix(model: str) -> str | None:
    """The vendor whose models' names begin like this one; with a tag or an owner it is a name of some other server.

    >>> vendor_by_prefix("deepseek-chat"), vendor_by_prefix("deepseek-r1:8b")
    ('deepseek', None)
    """
    folded = "" if {":", "/"} & set(model) else model.lower()
    return next((v.name for v in vendors().values() if folded.startswith(v.prefixes)), None)
