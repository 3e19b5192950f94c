"""Says what differs between the images and files of two requests, of which both know the digests alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

_DIGEST = ".$sha256"
_DRAWN = "It was drawn or made in Python: other data, another style or another version of the library that draws it gives other pixels."


def explain_file_changes(old: Mapping[str, Any], new: Mapping[str, Any], differing: Iterable[str]) -> tuple[list[str], set[str]]:
    """Lines about the files among the flat leaves of two requests, recorded → asked, and the leaves that these lines explain."""
    lines: list[str] = []
    explained: set[str] = set()
    for path in sorted(p for p in differing if p.endswith(_DIGEST)):
        place = path.removesuffix(_DIGEST)
        before, after = (_facts(leaves, place) for leaves in (old, new))
        if ("size" in before or "pixels" in before or not before) and ("size" in after or "pixels" in after or not after):
            lines += _describe(_name(place, after or before), before, after)
            explained |= {f"{place}.{name}" for name in (*before, *after)}
    return lines, explained


def _facts(leaves: Mapping[str, Any], place: str) -> dict[str, Any]:
    """What a request knows of the file at a place; nothing where none stands there."""
    return {p.removeprefix(f"{place}."): v for p, v in leaves.items() if p.startswith(f"{place}.")} if f"{place}{_DIGEST}" in leaves else {}


def _describe(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    if not before or not after:
        return [f"{name}: {'not attached' if not before else _shape(before)} → {'not attached' if not after else _shape(after)}"]
    lines = [f"{name} has changed: {_shape(before)} → {_shape(after)}"]
    return [*lines, f"  {_DRAWN}"] if "pixels" in before and "pixels" in after else lines


def _name(place: str, facts: Mapping[str, Any]) -> str:
    """The place of a file as a person says it."""
    number = re.match(r"messages\[(\d+)\]", place)
    kind = "figure" if "pixels" in facts else "image" if str(facts.get("type", "")).startswith("image/") else "file"
    return f"the {kind} in message {int(number[1]) + 1}" if number else f"the {kind}"


def _shape(facts: Mapping[str, Any]) -> str:
    size = f"{facts['pixels']} pixels" if "pixels" in facts else f"{facts.get('size', 0):,} bytes"
    return f"{size} ({str(facts['$sha256'])[:12]}…)"
