"""Answers requests through the OpenAI SDK: OpenAI, Azure and any server that speaks their chat API."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import Any

from ..errors import AnswerTooLargeError, CallTimeoutError, InvalidRequestError, TinyLLMError, UnsupportedError
from ..messages import Request
from ..responses import Chunk
from .chat_format import chat_params, read_text, to_chunks, with_facts
from .deadline import MAX_ANSWER_BYTES, Attempt
from .openai_errors import causes, describe_way, is_known, status_of, translate, unreadable


class OpenAIProvider:
    """Answers requests through a ``create`` callable, as a rule the SDK's.

    ``create(model, params)`` receives the keyword arguments of ``client.chat.completions.create``
    (``model`` among them), ``embed(texts, model, **params)`` those of embeddings; both return what
    the SDK's methods return, or a dict, or text.
    ``extract`` turns the raw answer into a message dict (the answer is then asked for in one piece). ``refuses`` are parameters
    that the server is known not to take; ``stream`` and ``stream_options`` among them are left out.
    ``timeout`` bounds one whole call in seconds, streams included; ``None`` is no bound.
    ``max_answer_bytes`` bounds the size of one answer.
    """

    def __init__(
        self,
        create: Callable[[str, dict[str, Any]], Any],
        extract: Callable[[Any], Any] | None = None,
        *,
        stream: bool = True,
        embed: Callable[..., Any] | None = None,
        timeout: float | None = None,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
        refuses: Collection[str] = (),
    ) -> None:
        self._create = create
        self._extract = extract
        self._embed = embed
        self._timeout, self._max_bytes = timeout, max_answer_bytes
        self._refused = {"stream", "stream_options"} & set(refuses) | (set() if stream and extract is None else {"stream"})

    def send(self, request: Request) -> Iterator[Chunk]:
        """Yield the answer in pieces. Raises ``ProviderError``; an interrupt passes and hangs up."""
        attempt = Attempt(self._timeout, self._max_bytes)
        complete = False
        try:
            for chunk in attempt.run(self._chunks(request, attempt)):
                complete = complete or chunk.is_last
                if not complete:
                    attempt.check()
                yield chunk
        except Exception as error:
            found = _explain(error, attempt)
            if found is error:
                raise
            raise found from error
        finally:
            attempt.close()

    def _chunks(self, request: Request, attempt: Attempt) -> Iterator[Chunk]:
        yield from to_chunks(self._raw(request, attempt))

    def _raw(self, request: Request, attempt: Attempt) -> Any:
        """The raw answer; a server that refuses to stream, or to count tokens while it does, is asked again without."""
        if request.kind == "embedding":
            if self._embed is None:
                raise UnsupportedError("this provider makes no embeddings", feature="embeddings")
            return self._ask(_embedding(self._embed, request), attempt)
        while True:
            params = chat_params(request, stream="stream" not in self._refused)
            if "stream_options" in self._refused:
                params.pop("stream_options", None)
            try:
                raw = self._ask(partial(self._create, request.model, params), attempt)
            except Exception as error:
                feature = getattr(translate(error), "feature", None)
                if feature not in ("stream", "stream_options") or feature not in params:
                    raise
                self._refused.add(feature)
            else:
                return raw if self._extract is None else self._message(raw)

    def _message(self, raw: Any) -> dict[str, Any]:
        extract = self._extract or (lambda whole: whole)
        try:
            return with_facts(extract(raw), raw)
        except TinyLLMError:
            raise
        except Exception as error:  # the user's code: whatever it raises is no fault of the server
            raise translate(error) from error

    @staticmethod
    def _ask(ask: Callable[[], Any], attempt: Attempt) -> Any:
        raw = ask()
        return read_text(raw) if isinstance(raw, str) and attempt.response is not None else raw  # so the SDK hands on what is no JSON


def _embedding(embed: Callable[..., Any], request: Request) -> Callable[[], Any]:
    params = copy.deepcopy({k: v for k, v in request.params.items() if v is not None})
    return partial(embed, params.pop("input"), request.model, **params)


def _explain(error: Exception, attempt: Attempt) -> TinyLLMError:
    """The error to raise for whatever ended an attempt."""
    if too_large := next((e for e in causes(error) if isinstance(e, AnswerTooLargeError)), None):
        return too_large
    if attempt.expired and not isinstance(error, (InvalidRequestError, CallTimeoutError)) and status_of(error) is None:
        return CallTimeoutError(f"no complete answer within {attempt.seconds:g} s{describe_way(error)}")
    if isinstance(error, TinyLLMError):
        return error
    answered = attempt.response is not None and attempt.response.status_code < 400
    if answered and not is_known(error):  # the SDK stumbled over the body of a 200
        with contextlib.suppress(Exception):  # the body may be gone; then the error's own words must do
            return unreadable(attempt.response.text)
    return translate(error)
