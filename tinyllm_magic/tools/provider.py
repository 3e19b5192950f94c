"""A call of a tool as a request, and the provider that answers it by running the function (``ToolProvider``)."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

from ..errors import MessageError
from ..messages import Request
from ..redaction import clean_message
from ..responses import Chunk, ToolCall
from ..schemas.checks import Misfit
from ..schemas.schema import describe_faults
from .event_loop import run_coroutine
from .functions import Tool
from .results import write_result

KIND = "tool"


def make_request(key: str, index: int, call: ToolCall) -> Request:
    """The request whose answer is a call's result.

    Its own key is the digest of the ``key`` of the request that asked for the call, the call's place among its
    neighbours, the tool's name and its arguments, however they are written.
    """

    def build(arguments: Any) -> Request:
        return Request(KIND, call.name, (), {"request": key, "index": index, "arguments": arguments}, kind=KIND)

    request = build(call.read_arguments())
    try:
        request.key  # noqa: B018  # NaN and the like have no key: such arguments count as they are written
    except MessageError:
        return build(call.arguments)
    return request


class ToolProvider:
    """Answers the request of one call: the function's result is the text, an exception of it the text and ``raw["error"]``.

    A ``refusal`` is the answer where the user does not allow the call: nothing runs.
    """

    def __init__(self, tools: Mapping[str, Tool], call: ToolCall, refusal: str = "") -> None:
        self._tools, self._call, self._refusal = tools, call, refusal

    def send(self, request: Request) -> Iterator[Chunk]:
        """Run the tool, and yield its result in one piece."""
        del request  # it names what this provider was made for
        if self._refusal:
            yield Chunk(refusal=self._refusal, done=True)
            return
        tool = self._tools.get(self._call.name)
        if tool is None:
            known = ", ".join(self._tools)
            yield _fail(f"there is no tool {self._call.name}; the tools are {known}")
            return
        try:
            yield Chunk(text=write_result(_run(tool, self._call.arguments)), fingerprint=tool.digest or None, done=True)
        except Misfit as misfit:
            yield _fail(f"the arguments do not fit: {describe_faults(misfit.faults)}", tool.digest)
        except Exception as error:  # noqa: BLE001  # a tool of the user's may raise anything: the model is told
            yield _fail(f"{type(error).__name__}: {error}", tool.digest)


def _fail(words: str, digest: str = "") -> Chunk:
    error = clean_message(words)
    return Chunk(text=f"Error: {error}", raw={"error": error}, fingerprint=digest or None, done=True)


def _run(tool: Tool, arguments: str) -> Any:
    """What a tool returns; of a generator the last value."""
    value = tool.call(tool.read_arguments(arguments))
    if inspect.iscoroutine(value):
        value = run_coroutine(value)
    elif inspect.isawaitable(value):
        value = run_coroutine(_wait_for(value))
    if inspect.isasyncgen(value):
        return run_coroutine(_last(value))
    if inspect.isgenerator(value):
        last = None
        for last in value:  # noqa: B007  # it is what is returned
            pass
        return last
    return value


async def _wait_for(value: Any) -> Any:
    return await value


async def _last(values: AsyncIterator[Any]) -> Any:
    last = None
    async for last in values:  # noqa: B007  # it is what is returned
        pass
    return last
