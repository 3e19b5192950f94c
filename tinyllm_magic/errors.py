"""The tree of everything that can go wrong: what each error keeps as evidence, and how it reads in a notebook.

::

    TinyLLMError                    message · hint
    ├── ConfigError (ValueError)    .key .source       a setting, a named model, an API type
    ├── OptionError (ValueError)    .option            an option of a magic or a parameter
    ├── PromptError                 .line .column      a template that cannot be read
    │   ├── UndefinedError          .variable .near    a name that nothing defines
    │   └── EmptyPromptError                           no message came out
    ├── MessageError (ValueError)                      messages that no API takes
    ├── MissingExtraError           .extra             an optional package is not installed
    ├── LocalModelError             .path              the embedded model's weights or engine
    ├── StoreError                  .path .line        the file of recorded answers
    │   └── ReplayMiss              .request .nearest  strict replay found no recorded answer
    ├── BudgetError                 .budget .spent     a call that would pass the budget
    ├── NotAsked                                       a row whose turn had not come when a map was stopped
    ├── BatchPending                .batches           rows that a vendor's batch has not answered yet
    ├── NoJSONError (ValueError)    .text              an answer that holds no JSON
    ├── SchemaError (ValueError)    .text .faults      an answer that is not what its schema asks for
    ├── ToolError                   .response          a run of tools that cannot go on
    └── ProviderError               .status .request_id .attempts .first .last
        ├── InvalidRequestError                        the request is wrong: asking again is no use
        │   ├── AuthError                              401, 403: key missing, wrong or not allowed
        │   ├── NotFoundError                          404: no such model, deployment or path
        │   ├── ContextLengthError                     the prompt is longer than the window
        │   ├── ContentFilterError                     refused by a content filter
        │   ├── UnsupportedError    .feature           the model takes no tools, schema, parameter
        │   └── QuotaError                             no credit left
        ├── AnswerTooLargeError                        more bytes than MAX_ANSWER_BYTES
        └── NonTerminalError                           it may pass: asked again with growing waits
            ├── RateLimitError      .retry_after       429
            ├── ServerError                            5xx, 408, 409
            ├── ConnectionFailedError                  no connection, or it broke
            ├── CallTimeoutError                       no complete answer within TIMEOUT
            └── BadResponseError                       200, but no finished choice in it

    Stopped (KeyboardInterrupt)                        the user interrupted; queued cells do not run
"""

from __future__ import annotations

import difflib
import sys
import traceback
from collections.abc import Iterable, Mapping
from typing import Any, TypedDict, Unpack


class Evidence(TypedDict, total=False):
    """What an error may keep; each class declares as attributes which of these it does keep."""

    key: str | None
    source: str | None
    option: str | None
    line: int | None
    column: int | None
    variable: str | None
    near: tuple[str, ...]
    extra: str | None
    path: str | None
    request: Any
    nearest: Mapping[str, Any] | None
    difference: tuple[str, ...]
    budget: float | None
    spent: float | None
    text: str
    faults: tuple[tuple[str, str], ...]
    response: Any
    status: int | None
    request_id: str | None
    attempts: int
    first: BaseException | None
    last: BaseException | None
    feature: str | None
    retry_after: float | None
    table: Any
    batches: tuple[str, ...]


class TinyLLMError(Exception):
    """Base of every error of this package: what went wrong, and what to do next.

    ``hint`` is one sentence for the reader, or empty. Evidence arrives as keyword arguments
    and is kept as attributes; ``TypeError`` for what the class does not declare. ``table`` is what a
    map had answered before this error stopped it. Message and hint may quote a server, a file or a name:
    they are kept without secrets and control characters, and not without end.
    """

    table: Any = None
    hint: str = ""

    def __init__(self, message: object = "", *details: object, hint: str = "", **evidence: Unpack[Evidence]) -> None:
        from .redaction import clean_message  # late: an error is rare, and loading the extension is to take no time

        said = ": ".join(part for part in map(str, (message, *details)) if part)  # a client may raise ours with what it likes
        super().__init__(*([clean_message(said)] if said else []))
        if hint:
            self.hint = clean_message(hint)
        for name in evidence:
            if not hasattr(type(self), name):
                raise TypeError(f"{type(self).__name__} keeps no evidence named {name!r}")
        vars(self).update(evidence)

    @property
    def message(self) -> str:
        """What went wrong, without the hint; what the class stands for where nobody said more."""
        return str(self.args[0]) if self.args else (type(self).__doc__ or "").partition("\n")[0]

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message

    def _render_traceback_(self) -> list[str]:
        """Read by IPython: these lines stand for the traceback."""
        lines = [f"{type(self).__name__}: {self.message}"]
        if self.hint:
            lines.append(f"→ {self.hint}")
        lines.append("  (full traceback: tinyllm_magic.errors.show_traceback())")
        return "\n".join(lines).splitlines()


class ConfigError(TinyLLMError, ValueError):
    """A setting, named model or API type that is not usable; ``key`` and ``source`` name it."""

    key: str | None = None
    source: str | None = None


class OptionError(TinyLLMError, ValueError, TypeError):
    """An option of a magic, or a parameter of a call, that does not exist or has a wrong value.

    It is a ``ValueError`` and a ``TypeError``, because Python callers expect the latter for an
    unknown keyword argument.
    """

    option: str | None = None


class PromptError(TinyLLMError):
    """A template that cannot be read or rendered; ``line`` and ``column`` count from 1."""

    line: int | None = None
    column: int | None = None


class UndefinedError(PromptError):
    """The template names a variable that nothing defines; ``near`` lists similar names."""

    variable: str | None = None
    near: tuple[str, ...] = ()


class EmptyPromptError(PromptError):
    """The template rendered to no message at all."""


class MessageError(TinyLLMError, ValueError):
    """Messages or values that no chat API takes (unknown role, no content, not JSON)."""


class MissingExtraError(TinyLLMError, ImportError):
    """An optional package is needed; ``extra`` is the name to install."""

    extra: str | None = None


class LocalModelError(TinyLLMError):
    """The embedded model's weights cannot be had, or its engine does not start."""

    path: str | None = None


class StoreError(TinyLLMError):
    """The file of recorded answers cannot be used; ``path`` and ``line`` say where."""

    path: str | None = None
    line: int | None = None


class ReplayMiss(StoreError):
    """Strict replay was asked for, and this request has no recorded answer.

    ``request`` is the request asked, ``nearest`` the most similar recorded one (its canonical
    form) or ``None``, ``difference`` a list of lines that shows what changed.
    """

    request: Any = None
    nearest: Any = None
    difference: tuple[str, ...] = ()


class BudgetError(TinyLLMError):
    """A call that would pass the session's budget was not sent; amounts are in US dollars."""

    hint = "Raise it with `%llm_usage --budget USD`, lower max_tokens, or choose another model."
    budget: float | None = None
    spent: float | None = None


class NotAsked(TinyLLMError):
    """A row that was not reached when its map was stopped; it can be asked again."""

    hint = "Run the same again, or map the table's `failed` rows."


class BatchPending(TinyLLMError):
    """Rows were left with a vendor's batch service and are not answered yet; ``batches`` are the vendor's ids.

    ``table`` holds the rows that are answered already, where there are any.
    """

    hint = "Run the same again later, in this kernel or another: it fetches what is done. `%llm_batch` shows how far it has come."
    batches: tuple[str, ...] = ()


class NoJSONError(TinyLLMError, ValueError):
    """A text in which no JSON value was found; ``text`` is that text."""

    text: str = ""


class SchemaError(TinyLLMError, ValueError):
    """An answer that is not what its schema asks for.

    ``text`` is the answer as written, ``response`` the whole of it, ``faults`` what is wrong: pairs of where (a
    path such as ``tags[2].name``, empty for the whole) and why.
    """

    hint = "`--tries 2` (tries=2) asks again and shows the model its fault; the answer as written is kept in `.text`."
    text: str = ""
    faults: tuple[tuple[str, str], ...] = ()
    response: Any = None


class ToolError(TinyLLMError):
    """A run of tools that cannot go on: too many steps, or a call that has to be approved where nobody can be asked.

    ``response`` is the last answer, with the calls that were not run; its ``steps`` are those that were.
    """

    response: Any = None


class ProviderError(TinyLLMError):
    """A provider did not answer.

    ``status`` is the HTTP status, ``request_id`` the provider's own name of the request,
    ``attempts`` how many requests were sent, ``first`` and ``last`` the first and last cause.
    """

    retryable: bool = False
    status: int | None = None
    request_id: str | None = None
    attempts: int = 1
    first: BaseException | None = None
    last: BaseException | None = None


class InvalidRequestError(ProviderError, ValueError):
    """The request itself is refused; asking again is of no use."""


class AuthError(InvalidRequestError):
    """The key is missing, wrong or not allowed to do this (401, 403); ``variable`` is to hold a missing one."""

    variable: str | None = None

    hint = "Check the key and that its account may use this model (`%llm_models` shows which keys are present)."


class NotFoundError(InvalidRequestError):
    """No such model, deployment or path (404)."""

    hint = "Check the model's name and the endpoint (`%llm_config` shows where each value came from)."


class ContextLengthError(InvalidRequestError):
    """The prompt does not fit into the model's context window."""

    hint = "Shorten the prompt (the filter `tokens(n)` cuts a value) or take a model with a larger window; `--dry-run` counts."


class ContentFilterError(InvalidRequestError):
    """A content filter of the provider refused the prompt or the answer."""

    hint = "`--dry-run` shows the prompt as it would be sent; rephrase what the filter objects to."


class UnsupportedError(InvalidRequestError):
    """The model does not take a feature that was sent; ``feature`` names it."""

    hint = "Leave it out, choose another model with `-m`, or list it under `refuses` in a named model's table."
    feature: str | None = None


class QuotaError(InvalidRequestError):
    """The account has no credit left."""

    hint = "Add credit to the provider's account, or choose another model with `-m`."


class AnswerTooLargeError(ProviderError):
    """The answer has more bytes than MAX_ANSWER_BYTES; the rest was not read, and it is not asked for again."""

    hint = "No chat answer is that long: check the endpoint, or raise MAX_ANSWER_BYTES with `%llm_config`."


class NonTerminalError(ProviderError):
    """A failure that may pass; it is tried again with growing waits."""

    retryable = True


class RateLimitError(NonTerminalError):
    """Too many requests (429); ``retry_after`` is the wait in seconds the provider asked for."""

    retry_after: float | None = None
    hint = "Wait a moment, or raise MAX_ATTEMPTS or WAITING_TIME with `%llm_config`."


class ServerError(NonTerminalError):
    """The provider failed (5xx, 408, 409)."""

    retry_after: float | None = None
    hint = "The provider has trouble; try again later."


class ConnectionFailedError(NonTerminalError):
    """No connection to the provider, or it broke before the answer was complete."""

    hint = "Check the network and the endpoint (`%llm_config` shows BASE_URL); recorded cells need neither."


class CallTimeoutError(NonTerminalError, TimeoutError):
    """No complete answer within TIMEOUT seconds."""

    hint = "Raise TIMEOUT with `%llm_config timeout=SECONDS`, or ask for fewer tokens."


class BadResponseError(NonTerminalError):
    """The provider answered 200, but without a finished choice."""

    hint = "The endpoint may not be an OpenAI-compatible chat API, or the stream was cut."


class Stopped(KeyboardInterrupt):
    """The user interrupted a cell: the partial text stays on screen, nothing is recorded.

    ``response`` is what had arrived of one answer, with the finish reason ``stopped``; of several samples, the
    list of those that were complete and of this one. ``table`` holds the
    finished rows where a map was interrupted; they are recorded.
    """

    def __init__(self, partial: str = "", *, message: str = "", response: Any = None, table: Any = None) -> None:
        super().__init__(message or "Stopped: the partial answer is kept above; nothing was recorded.")
        self.partial = partial
        self.response = response
        self.table = table

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


def near(name: str, known: Iterable[str], count: int = 3) -> tuple[str, ...]:
    """Names of ``known`` that look like ``name``, the best first.

    >>> near("temprature", ["temperature", "top_p"])
    ('temperature',)
    """
    by_folded = {k.casefold(): k for k in known}
    found = difflib.get_close_matches(name.casefold(), by_folded, n=count, cutoff=0.6)
    return tuple(by_folded[f] for f in found)


def suggest(names: Iterable[str]) -> str:
    """A clause for a hint: ``Did you mean 'a' or 'b'?``, or nothing where there is no name."""
    quoted = [f"'{n}'" for n in names]
    return f"Did you mean {' or '.join(quoted)}?" if quoted else ""


def show_traceback() -> None:
    """Print the full Python traceback of the last error of this session to stderr."""
    last = getattr(sys, "last_value", None)
    if last is None:
        sys.stderr.write("There was no error in this session.\n")
        return
    from .redaction import redact
    from .text_format import printable

    sys.stderr.write(redact(printable("".join(traceback.format_exception(last)))))
