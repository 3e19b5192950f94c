"""Answers requests through OpenAI's Responses API: ``ResponsesProvider``."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import partial
from typing import Any

from ..messages import Request
from ..responses import Chunk
from .deadline import Attempt
from .openai import OpenAIProvider
from .openai_errors import translate
from .responses_format import read_answer
from .responses_request import responses_params

_OPTIONAL = ("stream", "reasoning_summary", "include")
_NO_SUMMARY = "the vendor shows no summary of the reasoning here; asked without"


class ResponsesProvider(OpenAIProvider):
    """As ``OpenAIProvider``, for requests of the kind ``responses``: ``create`` is the SDK's ``responses.create``.

    ``learnt`` is where it remembers what was refused (to stream, to sum up the reasoning, to give it encrypted), so that the
    next call to the same model leaves that out at once.
    """

    def __init__(self, *args: Any, learnt: set[str], refuses: Collection[str] = (), **options: Any) -> None:
        super().__init__(*args, refuses=refuses, **options)
        self._learnt = learnt
        if "reasoning_effort" in refuses:  # there is no reasoning to tell of
            self._refused |= {"reasoning_summary", "include"}

    def _chunks(self, request: Request, attempt: Attempt) -> Iterator[Chunk]:
        raw = self._raw(request, attempt)
        if "reasoning_summary" in self._learnt:
            yield Chunk(note=_NO_SUMMARY)
        yield from read_answer(raw)

    def _raw(self, request: Request, attempt: Attempt) -> Any:
        """The raw answer; what a vendor or model refuses of the extras is left out, and asked again without."""
        while True:
            without = self._refused | self._learnt
            params = responses_params(request, stream="stream" not in without, without=without)
            try:
                return self._ask(partial(self._create, request.model, params), attempt)
            except Exception as error:
                feature = getattr(translate(error), "feature", None)
                if feature not in _OPTIONAL or feature in without:
                    raise
                self._learnt.add(feature)
