"""Finds what a repetition of a study cannot rely on: models that may change behind their name, draws without a seed, gaps in the store."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ..file_text import recorded_files_in
from ..models.catalog import facts
from ..models.gen_ai import find_vendor_name, title_provider
from ..responses import Record
from .collection import FILE, TOOL, Evidence
from .summary import is_free

# A date or the number of a revision in a name: gpt-4o-2024-08-06, gpt-4-0613, mistral-large-2411, gemini-2.0-flash-001
_DATED = re.compile(r"(?<!\d)(?:20\d{2}-?[01]\d-?[0-3]\d|2[0-9](?:0[1-9]|1[0-2])|[01]\d[0-3]\d|00\d)(?!\d)")
_REVISION = re.compile(r"@[0-9a-f]{7,}|@\d{6,}|sha256:")


@dataclass(frozen=True)
class Unpinned:
    """Something that is not fixed: ``what`` in a few words, ``why`` it matters or what is known instead, ``count`` of the records."""

    what: str
    why: str
    count: int = 0


def is_dated(model: str) -> bool:
    """Whether a model's name says which revision it is.

    >>> is_dated("gpt-4o-2024-08-06"), is_dated("gpt-4o"), is_dated("mistral-large-2411"), is_dated("claude-sonnet-4-20250514")
    (True, False, True, True)
    """
    return bool(_DATED.search(model) or _REVISION.search(model))


def list_undated(records: Iterable[Record]) -> Counter[str]:
    """The models that are served under a name which may mean another model tomorrow, with how many answers each gave.

    A model on this machine is a file, and has no such name.
    """
    found = Counter[str]()
    for record in records:
        asked, answered = str(record.request.get("model", "")), record.answer.model or ""
        if not is_free(record) and not is_dated(answered) and not is_dated(asked):
            found[asked if answered in ("", asked) else f"{asked} (answered as {answered})"] += 1
    return found


def is_drawn(record: Record) -> bool:
    """Whether an answer was drawn at random without a seed: a temperature of 0, or one seed, would ask for the same again."""
    params = record.request.get("params") or {}
    if record.request.get("kind") == "embedding" or str(record.request.get("provider")) == "echo":
        return False
    temperature = params.get("temperature")
    return params.get("seed") is None and temperature != 0 and params.get("top_k") != 1


def find_unpinned(evidence: Evidence, answers: Sequence[Record]) -> tuple[Unpinned, ...]:
    """All that could not be pinned, each with its count; an empty tuple where nothing is left to chance."""
    return (*_about_models(answers), *_about_draws(answers), *_about_numbers(answers), *_about_files(evidence), *_about_stores(evidence))


def _about_models(records: Sequence[Record]) -> Iterator[Unpinned]:
    for name, count in sorted(list_undated(records).items()):
        yield Unpinned(f"the version of {name}", "its name carries no date or revision: the vendor may serve another model under it", count)
    bare = Counter(str(r.request.get("model", "")) for r in records if not r.answer.fingerprint and not is_free(r))
    for name, count in sorted(bare.items()):
        yield Unpinned(f"the system behind {name}", "the provider sent no fingerprint: a change behind the name could not be seen", count)
    local = Counter(
        (str(r.request.get("model", "")), r.answer.fingerprint or "an engine of unknown version")
        for r in records
        if str(r.request.get("provider")) == "local"
    )
    for (name, engine), count in sorted(local.items()):
        yield Unpinned(f"the weights of {name}", f"the store knows their file's name and the engine ({engine}), not their digest", count)
    unnamed = sum(not r.answer.model for r in records)
    if unnamed:
        yield Unpinned("the model that answered", "the provider did not say which model answered", unnamed)


def _about_draws(records: Sequence[Record]) -> Iterator[Unpinned]:
    drawn = [r for r in records if is_drawn(r)]
    groups: dict[tuple[str, str], int] = Counter((str(r.request.get("provider", "")), str(r.request.get("model", ""))) for r in drawn)
    for (provider, model), count in sorted(groups.items()):
        refuses = facts(model, whose=find_vendor_name(provider)).refuses
        why = (
            f"{title_provider(provider)} takes no seed for it: a new draw will differ"
            if "seed" in refuses
            else "sampled without a seed: a new draw will differ, the recorded one stays"
        )
        yield Unpinned(f"the draws of {model}", why, count)


def _about_numbers(records: Sequence[Record]) -> Iterator[Unpinned]:
    unpriced = Counter(str(r.request.get("model", "")) for r in records if r.cost is None and not is_free(r))
    for name, count in sorted(unpriced.items()):
        yield Unpinned(f"the price of {name}", "no price was known when it was asked; its tokens are counted", count)
    untold = sum(r.answer.usage is None and r.request.get("kind") != "embedding" for r in records)
    if untold:
        yield Unpinned("tokens", "the provider reported none", untold)
    estimated = sum(r.answer.usage is not None and r.answer.usage.estimated for r in records)
    if estimated:
        yield Unpinned("tokens", "the provider reported none: they are our estimate", estimated)


def _about_files(evidence: Evidence) -> Iterator[Unpinned]:
    sent: dict[str, str] = {}
    addresses: list[str] = []
    for use in evidence.answers:
        for part in _parts(use.record):
            sent.update(recorded_files_in(part))
            held = part.get("image_url") or part.get("file")
            address = held.get("url") if hasattr(held, "get") else held
            if isinstance(address, str) and not address.startswith("data:"):
                addresses.append(address)
    if sent:
        names = ", ".join(sorted(set(sent.values()))[:5])
        yield Unpinned("files that were sent", f"the store keeps their digests, not the files ({names}): keep them beside it", len(sent))
    for address in sorted(set(addresses)):
        yield Unpinned(f"what stands at {address}", "it was sent as an address: whoever owns it may change it", addresses.count(address))
    tools = sum(use.record.request.get("kind") == TOOL for use in evidence.uses)
    if tools:
        yield Unpinned("tools", "their results are recorded; what the functions read outside the notebook is not", tools)
    fetched = sum(use.record.request.get("kind") == FILE for use in evidence.uses)
    if fetched:
        yield Unpinned("files from the web", "their digests are recorded, their content is not", fetched)


def _parts(record: Record) -> Iterator[dict[str, object]]:
    for message in record.request.get("messages", ()):
        content = message.get("content")
        if isinstance(content, list):
            yield from (part for part in content if isinstance(part, dict))


def _about_stores(evidence: Evidence) -> Iterator[Unpinned]:
    for number in sorted({cell.number for cell, _ in evidence.missing}):
        count = sum(cell.number == number for cell, _ in evidence.missing)
        yield Unpinned(f"answers of cell {number}", "its saved output shows them, and no store holds them: nobody can replay them", count)
    never = [str(cell.number) for cell in evidence.cells if cell.kind and not cell.executed]
    if never:
        yield Unpinned(f"cells {', '.join(never)}", "they were never run: no output was saved", len(never))
    if evidence.damaged:
        yield Unpinned("lines of the store", "they are damaged, and cannot be read", evidence.damaged)
    if evidence.forged:
        yield Unpinned("records of the store", "their key is not the digest of their request: somebody has changed them", evidence.forged)
    yield Unpinned("the Python packages of the notebook", "neither notebook nor store names their versions: add a lock file")
