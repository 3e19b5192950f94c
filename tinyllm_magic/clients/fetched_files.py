"""Fixes what stands at a web address by its digest: recorded once, known without a network from then on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any

from ..attachments.documents import extract_text
from ..attachments.fetching import fetch
from ..attachments.images import fit_image
from ..attachments.parts import change_files
from ..attachments.sources import read_content
from ..errors import BadResponseError, PromptError, ReplayMiss
from ..file_text import FileFacts, FileText
from ..messages import Message, Request
from ..recording.lookup import Lookup
from ..recording.modes import Mode
from ..recording.recorder import RecordingProvider
from ..recording.single_flight import SingleFlight
from ..recording.store import Store
from ..redaction import hide_private
from ..responses import Chunk

_FIELDS = ("digest", "media_type", "size", "name", "width", "height", "process")


class _Fetching:
    """A provider whose answers are the facts of the file at an address; it keeps the file."""

    def __init__(self) -> None:
        self.file: FileText | None = None

    def send(self, request: Request) -> Iterator[Chunk]:
        url = str(request.params["url"])
        found = read_content(fetch(url))
        self.file = FileText.of(str(found), replace(found.facts, url=url))
        yield Chunk(raw={name: asdict(self.file.facts)[name] for name in _FIELDS}, finish_reason="stop")


def fix(url: str, mode: Mode, store: Store | None, lookup: Lookup | None, *, advice: str, version: str, flights: SingleFlight) -> FileText:
    """The file at an address, as it was when it was recorded, or fetched now and recorded.

    A recorded one holds no content: ``complete`` brings it where a call is made. Raises ``PromptError`` where it cannot be
    fetched, ``ReplayMiss`` in strict replay where it is not recorded.
    """
    request = Request("web", "", (), {"url": url}, kind="file")
    fetching = _Fetching()
    recorder = RecordingProvider(fetching, store, mode, lookup=lookup, advice=advice, version=version, flights=flights)
    try:
        *_, last = recorder.send(request)
    except ReplayMiss as miss:
        raise ReplayMiss(
            f"{hide_private(url)} is not recorded, so that it would have to be fetched", request=request, hint=miss.hint
        ) from None
    if fetching.file is not None:
        return fetching.file
    facts = (last.record.answer.raw or {}) if last.record is not None else {}
    return FileText.of("", _read_facts(facts, url))


def _read_facts(facts: Mapping[str, Any], url: str) -> FileFacts:
    try:
        words = {name: str(facts[name]) for name in ("digest", "media_type", "name", "process")}
        size, width, height = (int(facts[name]) for name in ("size", "width", "height"))
        return FileFacts(words["digest"], words["media_type"], size, words["name"], width, height, process=words["process"], url=url)
    except (KeyError, TypeError, ValueError) as error:
        raise BadResponseError(f"the record of {hide_private(url)} does not say what was fetched") from error


def complete(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """The messages with the content of files that are known by their digest alone, fetched again.

    Raises ``PromptError`` where another file stands at the address by now.
    """
    return change_files(messages, _complete)


def _complete(file: FileText) -> FileText:
    facts = file.facts
    if file or not facts.url:
        return file
    found = read_content(fetch(facts.url))
    if found.facts.digest != facts.digest:
        hint = "--fresh takes what stands there now."
        raise PromptError(f"another file stands at {hide_private(facts.url)} than the one that was recorded", hint=hint)
    made: Callable[[FileText], FileText] = {"pdf text": extract_text}.get(facts.process, lambda whole: whole)
    if facts.process.startswith("scaled"):
        found = fit_image(found, max(facts.width, facts.height))
    return FileText.of(str(made(found)), facts)
