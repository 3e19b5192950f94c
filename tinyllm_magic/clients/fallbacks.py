"""Leaves out of a request what its model does not take, and says it in the prompt where it can: ``adapt``, ``FeatureFallback``."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace

from ..errors import UnsupportedError
from ..json_schema import find_schema
from ..messages import Message, Request
from ..models.catalog import Facts
from ..responses import Chunk, Provider

logger = logging.getLogger("tinyllm_magic")
_OPTIONAL = ("tools", "response_format")
_SCHEMA = "json_schema"
_DEMANDED = "a tool that has to be called"
Refusals = set[tuple[str, str, str]]
"""Provider, model and feature of what was refused once."""


def adapt(request: Request, unsupported: Refusals, facts: Facts | None = None) -> tuple[Request, tuple[str, ...]]:
    """A request as its model takes it, and notes about what became of the rest.

    Tools and response formats that the model has refused once are left out; so is a JSON schema of a model that takes
    none by its ``facts``. A schema then stands in the prompt.
    """
    notes: list[str] = []
    for feature in _OPTIONAL:
        if not getattr(request, feature):
            continue
        name = _name_of(request, feature)
        takes_none = facts is not None and not facts.json_schema and name == _SCHEMA
        if takes_none or (request.provider, request.model, name) in unsupported:
            notes.append(_describe_left_out(feature, request))
            request = _leave_out(request, feature)
    return request, tuple(notes)


def learn(request: Request, feature: str, unsupported: Refusals) -> bool:
    """Remember that a request was refused for a feature; ``False`` where asking without that is no use."""
    if feature not in _OPTIONAL or not getattr(request, feature):
        return False
    unsupported.add((request.provider, request.model, _name_of(request, feature)))
    return True


class FeatureFallback:
    """A provider that asks once more without tools or response format where the model refuses them.

    ``unsupported`` remembers (provider, model, feature), so that the next call leaves it out at once.
    """

    def __init__(self, provider: Provider, unsupported: Refusals, facts: Facts | None = None) -> None:
        self.provider, self.unsupported, self.facts = provider, unsupported, facts

    def send(self, request: Request) -> Iterator[Chunk]:
        """Yield the answer; a note says what was left out."""
        notes: tuple[str, ...] = ()
        again = False
        while True:
            request, more = adapt(request, self.unsupported, self.facts)
            notes = (*notes, *more)
            if again:
                yield Chunk(restart=True)
            yield from (Chunk(note=note) for note in notes)
            try:
                yield from self.provider.send(request)
            except UnsupportedError as error:
                again, feature = True, error.feature or ""
                if not learn(request, feature, self.unsupported):
                    raise
                logger.warning("%s (%s)", _describe_left_out(feature, request), error.message)
            else:
                return


def _name_of(request: Request, feature: str) -> str:
    """What is remembered of a refusal: a model without schemas may take plain JSON, one that cannot choose a tool be held to one."""
    if feature == "tools" and request.params.get("tool_choice") not in (None, "auto", "none"):
        return _DEMANDED
    return _SCHEMA if feature == "response_format" and find_schema(request.response_format) is not None else feature


def _describe_left_out(feature: str, request: Request) -> str:
    instead = "its schema stands in the prompt" if _name_of(request, feature) == _SCHEMA else "asked without"
    return f"{request.model} does not take {feature.replace('_', ' ')}; {instead}"


def _leave_out(request: Request, feature: str) -> Request:
    if feature == "response_format":
        messages = request.messages if find_schema(request.response_format) is None else _instruct(request)
        return replace(request, messages=messages, response_format=None)
    params = {k: v for k, v in request.params.items() if k not in ("tool_choice", "parallel_tool_calls")}
    return replace(request, tools=(), params=params)


def _instruct(request: Request) -> tuple[Message, ...]:
    """The messages with the schema as an instruction, at the end of the user's last one."""
    text = json.dumps(find_schema(request.response_format), ensure_ascii=False)
    instruction = f"Answer with JSON alone, without any other text. It must fit this JSON Schema:\n{text}"
    *before, last = request.messages
    if last.role != "user":
        return (*request.messages, Message("user", instruction))
    if isinstance(last.content, tuple):
        return (*before, replace(last, content=(*last.content, {"type": "text", "text": instruction})))
    return (*before, replace(last, content=f"{last.content}\n\n{instruction}"))
