"""Errors of the SDK and its HTTP library in, this package's errors out: ``translate``.

Knows what each error class, status and provider's wording means, and takes keys out of every text.
Does not know requests, chunks, clients or retries; imports no SDK (classes are known by name).
"""

from __future__ import annotations

import contextlib
import email.utils
import re
import time
from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import (
    AuthError,
    BadResponseError,
    CallTimeoutError,
    ConnectionFailedError,
    ContentFilterError,
    ContextLengthError,
    InvalidRequestError,
    NotFoundError,
    ProviderError,
    QuotaError,
    RateLimitError,
    ServerError,
    UnsupportedError,
)

# The table: the nearest class name in an error's ancestry decides. Names, so that no SDK need be imported.
TABLE: dict[str, type[ProviderError]] = {
    "AuthenticationError": AuthError,
    "OAuthError": AuthError,
    "PermissionDeniedError": AuthError,
    "SubjectTokenProviderError": AuthError,
    "MutuallyExclusiveAuthError": AuthError,
    "NotFoundError": NotFoundError,
    "BadRequestError": InvalidRequestError,
    "UnprocessableEntityError": InvalidRequestError,
    "LengthFinishReasonError": InvalidRequestError,
    "StreamAlreadyConsumed": InvalidRequestError,
    "APIRemovedInV1": InvalidRequestError,
    "_AmbiguousModuleClientUsageError": InvalidRequestError,
    "ContentFilterFinishReasonError": ContentFilterError,
    "RateLimitError": RateLimitError,
    "ConflictError": ServerError,
    "InternalServerError": ServerError,
    "APIStatusError": ServerError,  # its status decides
    "APITimeoutError": CallTimeoutError,
    "APIConnectionError": ConnectionFailedError,
    "WebSocketConnectionClosedError": ConnectionFailedError,
    "WebSocketQueueFullError": ConnectionFailedError,
    "APIResponseValidationError": BadResponseError,
    "APIError": ServerError,  # an error event inside a stream
    "OpenAIError": InvalidRequestError,
    # the HTTP library (httpx2, or httpx under an older SDK), met while a stream is read
    "TimeoutException": CallTimeoutError,
    "HTTPStatusError": ServerError,
    "RequestError": ConnectionFailedError,
    "StreamError": ConnectionFailedError,
    "InvalidURL": InvalidRequestError,
    # Python
    "TimeoutError": CallTimeoutError,
    "ConnectionError": ConnectionFailedError,
    "gaierror": ConnectionFailedError,
    "SSLError": ConnectionFailedError,
    "JSONDecodeError": BadResponseError,
    "UnicodeDecodeError": BadResponseError,
}

_STATUS: dict[int, type[ProviderError]] = {
    401: AuthError,
    402: QuotaError,
    403: AuthError,
    404: NotFoundError,
    408: ServerError,
    409: ServerError,
    429: RateLimitError,
}

_QUOTA = re.compile(r"insufficient_quota|billing_\w+|insufficient (?:balance|credits|funds)")
_FILTER = re.compile(r"content_filter|responsibleaipolicyviolation|content_policy_violation|content management policy")
_CONTEXT = re.compile(
    r"context_length_exceeded|exceed_context_size|context (?:length|window|size)|(?:prompt|input) is too long"
    r"|too many (?:input )?tokens|reduce the length of the (?:messages|prompt)|string_above_max_length"
)
_REFUSAL = re.compile(
    r"unsupported|(?:not|n't|not currently|not yet) support|unrecognized (?:request )?(?:argument|parameter|field|key)"
    r"|(?:unknown|unexpected|invalid) (?:request )?(?:argument|parameter|field|key|name|keyword)|extra_forbidden|extra inputs are not"
    r"|no endpoints found that support|requires? --|not implemented|must be verified to stream|unknown_parameter"
)
_FEATURES = (  # the first that matches names the feature
    ("stream_options", re.compile(r"stream_options|include_usage")),
    ("response_format", re.compile(r"response_format|json_schema|json_object|structured output|json mode")),
    ("tools", re.compile(r"\btools?\b|\btool[_ ](?:choice|calls?|use)|function[_ ]call")),
    ("images", re.compile(r"image_url|image input|\bimages?\b|\bvision\b")),
    ("stream", re.compile(r"['\"`]stream['\"`]|to stream\b|\bstreaming\b")),
)
_NAMED = re.compile(r"(?:parameters?|values?|arguments?|fields?|keys?|keyword|names?)(?: supplied)?\s*[:=]?\s*['\"`]?([a-z][\w.]*)")
_KEYS = re.compile(r"\bsk-[\w*.-]{4,}|(?<=Bearer )[^\s'\"]+")


def translate(error: BaseException) -> ProviderError:
    """This package's error for one of the SDK, its HTTP library or a transport of the user's.

    Its message is the provider's own words, the status and the request's id, its ``__cause__`` the
    error given. Keys are taken out of both. An error of this package comes back as it is.
    """
    if isinstance(error, ProviderError):
        return error
    secrets = _scrub(error)
    words, codes = _said(error)
    status = status_of(error)
    found = _make(redact(words, secrets), codes, status, _headers(error), _kind(error))
    found.__cause__ = error
    return found


def from_body(body: Any, status: int | None = None) -> ProviderError:
    """The error for an error object that arrived where an answer should be (status 200, or inside a stream)."""
    words, codes = _read_body(body)
    return _make(redact(words or "the provider reports an error"), codes, status or _status_in(body), {}, ServerError)


def unreadable(text: str) -> BadResponseError:
    """The error for a body that is no answer, with a short excerpt of it."""
    plain = " ".join(re.sub(r"<[^>]*>", " ", text).split()) if text.lstrip().startswith("<") else " ".join(text.split())
    excerpt = redact(plain[:120]) + ("…" if len(plain) > 120 else "")
    return BadResponseError(f"the server did not answer as a chat API does: {excerpt!r}" if excerpt else "the server's answer is empty")


def redact(text: str, secrets: frozenset[str] = frozenset()) -> str:
    """The text without the keys given and without anything that looks like a key.

    >>> redact("Incorrect API key provided: sk-abc***xyz.")
    'Incorrect API key provided: [key]'
    """
    for secret in secrets:
        text = text.replace(secret, "[key]")
    return _KEYS.sub("[key]", text)


def is_known(error: BaseException) -> bool:
    """Whether the table has a line for this error (a stumble of the SDK over a strange body has none)."""
    return isinstance(error, ProviderError) or _kind(error) is not ProviderError


def status_of(error: BaseException) -> int | None:
    """The HTTP status of a refused request, or ``None`` where there was no such refusal."""
    status = getattr(error, "status_code", None) or getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(status, int):
        return status if status >= 400 else None
    return _status_in(getattr(error, "body", None))


def _kind(error: BaseException) -> type[ProviderError]:
    return next((TABLE[c.__name__] for c in type(error).__mro__ if c.__name__ in TABLE), ProviderError)


def _make(words: str, codes: str, status: int | None, headers: Mapping[str, str], kind: type[ProviderError]) -> ProviderError:
    """The error, refined by what the provider says: the classes of HTTP are too coarse."""
    if status is not None:
        kind = _STATUS.get(status) or (ServerError if status >= 500 else InvalidRequestError)
    text = f"{codes} {words}".lower()
    evidence: dict[str, Any] = {"status": status, "request_id": headers.get("x-request-id") or headers.get("apim-request-id")}
    if kind in (RateLimitError, AuthError, ServerError) and _QUOTA.search(text):
        kind = QuotaError
    elif kind in (InvalidRequestError, NotFoundError, ServerError) and status not in (408, 409, 429, 502, 503, 504):
        kind, feature = _refined(kind, text, codes)
        if feature:
            evidence["feature"] = feature
    if kind is ServerError and status is None and re.search(r"rate_?limit", codes):
        kind = RateLimitError
    if kind in (RateLimitError, ServerError):
        evidence["retry_after"] = _retry_after(headers)
    known = [str(status) if status else "", f"request {evidence['request_id']}" if evidence["request_id"] else ""]
    tail = ", ".join(k for k in known if k)
    return kind(f"{words} ({tail})" if tail else words, **evidence)


def _refined(kind: type[ProviderError], text: str, codes: str) -> tuple[type[ProviderError], str]:
    if _FILTER.search(text):
        return ContentFilterError, ""
    if _CONTEXT.search(text):
        return ContextLengthError, ""
    if _REFUSAL.search(text) and "invalid schema" not in text:
        feature = next((name for name, words in _FEATURES if words.search(text)), "")
        param = re.search(r"param=(\w+)", codes)
        named = _NAMED.search(text)
        feature = feature or (param[1] if param else "") or (named[1] if named else "")
        if feature:
            return UnsupportedError, feature
    return (InvalidRequestError, "") if kind is ServerError and "invalid_request_error" in codes else (kind, "")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and its causes, the outermost first."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__


def _scrub(error: BaseException) -> frozenset[str]:
    """Take keys out of an error and its causes, which a full traceback would print; returns the keys met."""
    secrets: set[str] = set()
    for link in _chain(error):
        with contextlib.suppress(RuntimeError, AttributeError):  # httpx raises where no request is known
            headers = link.request.headers  # type: ignore[attr-defined]
            values = [headers.get("api-key") or "", (headers.get("authorization") or "").removeprefix("Bearer ")]
            secrets |= {v.strip() for v in values if len(v.strip()) >= 6 and v.strip() != "no-key"}
    found = frozenset(secrets)
    for link in _chain(error):
        clean = _clean(link.args, found)
        if clean != link.args:
            link.args = clean
        for name in ("message", "body"):
            value = getattr(link, name, None)
            if value and _clean(value, found) != value:
                with contextlib.suppress(AttributeError):  # a property of somebody's error class
                    setattr(link, name, _clean(value, found))
    return found


def _clean(value: Any, secrets: frozenset[str]) -> Any:
    if isinstance(value, str):
        return redact(value, secrets)
    if isinstance(value, tuple):
        return tuple(_clean(v, secrets) for v in value)
    if isinstance(value, list):
        return [_clean(v, secrets) for v in value]
    if isinstance(value, Mapping):
        return {k: _clean(v, secrets) for k, v in value.items()}
    return value


def _said(error: BaseException) -> tuple[str, str]:
    """The provider's words, and its codes as one text."""
    words, codes = _read_body(getattr(error, "body", None))
    if words:
        return words, codes
    deepest = [*_chain(error)][-1]
    kind = _kind(error)
    if kind is ConnectionFailedError and deepest is not error and str(deepest):
        return f"no connection, or it broke: {deepest}", codes
    if kind is CallTimeoutError:
        return "no complete answer within the time limit", codes
    if kind is BadResponseError and isinstance(text := getattr(error, "doc", None), str):
        return unreadable(text).message, codes
    text = str(getattr(error, "message", None) or error)
    return (f"{type(error).__name__}: {text}" if kind is ProviderError else text or type(error).__name__), codes


def _read_body(body: Any) -> tuple[str, str]:
    """Words and codes of an error body in one of the shapes that servers send."""
    if isinstance(body, list) and body:
        body = body[0]
    if isinstance(body, Mapping) and isinstance(body.get("error"), (Mapping, str)):
        body = body["error"]
    if isinstance(body, str):
        plain = " ".join(re.sub(r"<[^>]*>", " ", body).split())
        return plain[:300], ""
    if not isinstance(body, Mapping):
        return "", ""
    words = body.get("message") or body.get("detail") or body.get("error_description") or ""
    inner = body.get("innererror")
    codes = [str(body.get(n) or "") for n in ("code", "type")] + [str(inner.get("code") or "") if isinstance(inner, Mapping) else ""]
    if param := body.get("param"):
        codes.append(f"param={str(param).split('.')[0].split('[')[0]}")
    return (words if isinstance(words, str) else str(words)[:300]), " ".join(c for c in codes if c)


def _status_in(body: Any) -> int | None:
    """A status that stands in an error body, as routers write it inside streams."""
    if isinstance(body, Mapping) and isinstance(body.get("error"), Mapping):
        body = body["error"]
    code = str(body.get("code") or body.get("status") or "") if isinstance(body, Mapping) else ""
    return int(code) if re.fullmatch(r"[45]\d\d", code) else None


def _headers(error: BaseException) -> Mapping[str, str]:
    headers = getattr(getattr(error, "response", None), "headers", None)
    return headers if isinstance(headers, Mapping) else {}


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from ``retry-after-ms`` or ``Retry-After`` (seconds or an HTTP date)."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        with contextlib.suppress(ValueError, KeyError):
            seconds = float(headers[name]) * unit
            if 0 <= seconds < 1e9:
                return seconds
    with contextlib.suppress(ValueError, TypeError, KeyError, OverflowError):
        return max(email.utils.parsedate_to_datetime(headers["retry-after"]).timestamp() - time.time(), 0.0)
    return None
