"""Keeps of a stranger's HTML page what can neither run nor load anything."""

from __future__ import annotations

import re
from collections import Counter

SCHEMES = re.compile(r"\s*(?:https?:|mailto:)", re.IGNORECASE)
LINK = {"rel": "noopener noreferrer nofollow", "target": "_blank"}  # Colab and VS Code show outputs in frames
_TAG = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9]*)")
_OPEN_ENDED = "br hr img wbr input col source p li dt dd td th tr thead tbody tfoot option"  # elements that need no end tag
_DEEPEST = 300  # open elements; the sanitiser takes quadratic time
_LONGEST = 500_000
_TAG_NAMES = (
    "a abbr b blockquote br caption code dd del details div dl dt em figcaption figure h1 h2 h3 h4 h5 h6 hr i ins kbd li mark ol p "
    "pre q s samp small span strong sub summary sup table tbody td tfoot th thead tr u ul var"
)
_ATTRIBUTES = {"a": {"href", "title"}, "td": {"colspan", "rowspan"}, "th": {"colspan", "rowspan"}, "ol": {"start"}, "details": {"open"}}
_DROPPED = {"script", "style", "title", "textarea", "iframe", "noscript", "noembed", "template", "object", "svg", "math"}


def is_too_deep(page: str) -> bool:
    """Whether so many elements of a page are open that sanitising it would take long."""
    if len(page) > _LONGEST:
        return True
    open_ended = frozenset(_OPEN_ENDED.split())
    unclosed: Counter[str] = Counter()
    depth = 0
    for match in _TAG.finditer(page):
        name = match[2].lower()
        if name in open_ended:
            continue
        if not match[1]:
            unclosed[name] += 1
            depth += 1
        elif unclosed[name]:
            unclosed[name] -= 1
            depth -= 1
        if depth > _DEEPEST:
            return True
    return False


def sanitize(text: str) -> str:
    """The page without scripts, styles, images and attributes of its own."""
    import nh3

    return nh3.clean(
        text,
        tags=set(_TAG_NAMES.split()),
        clean_content_tags=_DROPPED,
        attributes=_ATTRIBUTES,
        attribute_filter=lambda _tag, name, value: None if name == "href" and not SCHEMES.match(value) else value,
        link_rel=LINK["rel"],
        set_tag_attribute_values={"a": {"target": LINK["target"]}},
        url_schemes={"http", "https", "mailto"},
    )
