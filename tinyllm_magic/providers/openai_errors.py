"""Translates errors of the SDK, its HTTP library and a server's own words into this package's errors (``translate``).

Classes are known by name, so that no SDK is imported; keys and control characters are taken out of every text.
"""

from __future__ import annotations

import contextlib
import email.utils
import json
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
    Evidence,
    InvalidRequestError,
    NotFoundError,
    ProviderError,
    QuotaError,
    RateLimitError,
    ServerError,
    UnsupportedError,
)
from ..redaction import clean_message, hide_private, redact
from ..text_format import printable
from . import network

# The nearest class name in an error's ancestry decides. Names, so that no SDK need be imported; classes of the SDK that no
# chat call raises (web sockets, other ways to sign in) are under their ancestors.
TABLE: dict[str, type[ProviderError]] = {
    "AuthenticationError": AuthError,
    "PermissionDeniedError": AuthError,
    "NotFoundError": NotFoundError,
    "BadRequestError": InvalidRequestError,
    "UnprocessableEntityError": InvalidRequestError,
    "ContentFilterFinishReasonError": ContentFilterError,
    "RateLimitError": RateLimitError,
    "APIStatusError": ServerError,  # its status decides
    "APITimeoutError": CallTimeoutError,
    "APIConnectionError": ConnectionFailedError,
    "APIResponseValidationError": BadResponseError,
    "APIError": ServerError,  # an error event inside a stream
    "OpenAIError": InvalidRequestError,  # found wrong before anything was sent
    # the HTTP library (httpx2, or httpx under an older SDK), met while a stream is read, or of a transport of the user's
    "TimeoutException": CallTimeoutError,
    "Timeout": CallTimeoutError,  # requests
    "HTTPStatusError": ServerError,
    "HTTPError": ServerError,  # requests, urllib; its status decides
    "RequestError": ConnectionFailedError,
    "RequestException": ConnectionFailedError,  # requests
    "StreamError": ConnectionFailedError,
    "InvalidURL": InvalidRequestError,
    "InvalidSchema": InvalidRequestError,  # requests
    "MissingSchema": InvalidRequestError,
    # Python
    "HTTPException": ConnectionFailedError,  # http.client: a body that was cut, what is no HTTP
    "TimeoutError": CallTimeoutError,
    "JSONDecodeError": BadResponseError,
    "UnicodeDecodeError": BadResponseError,
    "FileNotFoundError": InvalidRequestError,  # a bug in the user's transport, or a path that is wrong: no use to ask again
    "PermissionError": InvalidRequestError,
    "IsADirectoryError": InvalidRequestError,
    "NotADirectoryError": InvalidRequestError,
    "OSError": ConnectionFailedError,
}

_STATUS: dict[int, type[ProviderError]] = {
    401: AuthError,
    402: QuotaError,
    403: AuthError,
    404: NotFoundError,
    408: ServerError,
    409: ServerError,
    429: RateLimitError,
    501: InvalidRequestError,  # not implemented: it will not be at the next attempt either
    505: InvalidRequestError,  # neither will this version of HTTP
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
    r"|no endpoints found that support|requires? --|not implemented|must be verified to (?:stream|generate)|unknown_parameter"
)
_FEATURES = (  # the first that matches names the feature
    ("stream_options", re.compile(r"stream_options|include_usage")),
    ("reasoning_summary", re.compile(r"reasoning\.summary|reasoning summar")),
    ("include", re.compile(r"encrypted[_ ]content")),
    ("response_format", re.compile(r"response_format|text\.format|json_schema|json_object|structured output|json mode")),
    ("tools", re.compile(r"\btools?\b|\btool[_ ](?:choice|calls?|use)|function[_ ]call")),
    ("images", re.compile(r"image_url|image input|\bimages?\b|\bvision\b")),
    ("stream", re.compile(r"['\"`]stream['\"`]|to stream\b|\bstreaming\b")),
)
_UNTRUSTED = "SSLCertVerificationError"
_LONGEST_WORDS, _LONGEST_ID = 600, 120  # characters
_HOLDS = ("error", "errors", "base_resp")  # names under which an error stands in a body
_SAYS = ("message", "detail", "error_description", "msg", "error_msg", "error_message", "errorMessage", "status_msg", "reason")
_NAMED = re.compile(r"(?:parameters?|values?|arguments?|fields?|keys?|keyword|names?)(?: supplied)?\s*[:=]?\s*['\"`]?([a-z][\w.]*)")


def translate(error: BaseException) -> ProviderError:
    """This package's error for one of the SDK, its HTTP library or a transport of the user's.

    Its message is the provider's own words, the status and the request's id, its ``__cause__`` the
    error given. Keys and control characters are taken out of both. An error of this package comes back as it is.
    """
    if isinstance(error, ProviderError):
        return error
    secrets = _scrub(error)
    words, codes = _redirect(error) or _said(error)
    status = status_of(error)
    kind = InvalidRequestError if _is_lasting(error) else _kind(error)
    found = _make(words, codes, status, _headers(error), kind, secrets)
    found.__cause__ = error
    return found


def from_body(body: Any, status: int | None = None) -> ProviderError:
    """The error for an error object that arrived where an answer should be (status 200, or inside a stream)."""
    words, codes = _read_body(body)
    return _make(words or "the provider reports an error", codes, status or _status_in(body), {}, ServerError)


def no_answer(body: Mapping[str, Any]) -> ProviderError:
    """The error for an object that came where an answer should be: in its own words, where it has some."""
    words, _ = _read_body(body)
    if _status_in(body):
        return from_body(body)
    if words:
        return BadResponseError(f"the server did not answer as a chat API does, but said: {clean_message(words)}")
    return unreadable(json.dumps(body, default=str))


def unreadable(text: str) -> BadResponseError:
    """The error for a body that is no answer, with a short excerpt of it."""
    plain = " ".join(re.sub(r"<[^>]*>", " ", text).split()) if text.lstrip().startswith("<") else " ".join(text.split())
    excerpt = clean_message(plain, longest=120)
    return BadResponseError(f"the server did not answer as a chat API does: {excerpt!r}" if excerpt else "the server's answer is empty")


def is_known(error: BaseException) -> bool:
    """Whether the table has a line for this error (a stumble of the SDK over a strange body has none)."""
    return isinstance(error, ProviderError) or _kind(error) is not ProviderError


def status_of(error: BaseException) -> int | None:
    """The HTTP status of a refused request, or ``None`` where there was no such refusal."""
    status = getattr(error, "status_code", None) or getattr(getattr(error, "response", None), "status_code", None)
    if status is None and _kind(error) is ServerError:  # urllib calls it so
        status = getattr(error, "code", None)
    if isinstance(status, int):
        return status if status >= 300 else None
    return _status_in(getattr(error, "body", None))


def _kind(error: BaseException) -> type[ProviderError]:
    return next((TABLE[c.__name__] for c in type(error).__mro__ if c.__name__ in TABLE), ProviderError)


def _make(
    words: str,
    codes: str,
    status: int | None,
    headers: Mapping[str, str],
    kind: type[ProviderError],
    secrets: frozenset[str] = frozenset(),
) -> ProviderError:
    """The error, refined by what the provider says: the classes of HTTP are too coarse. No word of it is kept as it came."""
    words, codes = clean_message(words, secrets, _LONGEST_WORDS), clean_message(codes, secrets)
    request_id = clean_message(headers.get("x-request-id") or headers.get("apim-request-id") or "", secrets, _LONGEST_ID)
    if status is not None:
        kind = _STATUS.get(status) or (ServerError if status >= 500 else InvalidRequestError)
    text = f"{codes} {words}".lower()
    evidence: Evidence = {"status": status, "request_id": request_id or None}
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
    known = [str(status) if status else "", f"request {request_id}" if request_id else ""]
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


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error and its causes, the outermost first."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__


def _scrub(error: BaseException) -> frozenset[str]:
    """Take keys and control characters out of an error and its causes, which a full traceback would print; returns the keys met."""
    secrets: set[str] = set()
    for link in causes(error):
        with contextlib.suppress(RuntimeError, AttributeError):  # httpx raises where no request is known
            headers = link.request.headers  # type: ignore[attr-defined]
            values = [headers.get("api-key") or "", (headers.get("authorization") or "").removeprefix("Bearer ")]
            secrets |= {v.strip() for v in values if len(v.strip()) >= 6 and v.strip() != "no-key"}
    found = frozenset(secrets)
    for link in causes(error):
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
        return redact(printable(value), secrets)
    if isinstance(value, tuple):
        return tuple(_clean(v, secrets) for v in value)
    if isinstance(value, list):
        return [_clean(v, secrets) for v in value]
    if isinstance(value, Mapping):
        return {_clean(k, secrets): _clean(v, secrets) for k, v in value.items()}
    return value


def _said(error: BaseException) -> tuple[str, str]:
    """The provider's words, and its codes as one text."""
    words, codes = _read_body(getattr(error, "body", None))
    if words:
        return words, codes
    deepest = [*causes(error)][-1]
    kind = _kind(error)
    if kind is ConnectionFailedError and deepest is not error and str(deepest):
        return f"no connection, or it broke{describe_way(error)}: {deepest}", codes
    if kind is CallTimeoutError:
        return f"no complete answer within the time limit{describe_way(error)}", codes
    if kind is BadResponseError and isinstance(text := getattr(error, "doc", None), str):
        return unreadable(text).message, codes
    text = str(getattr(error, "message", None) or error)
    return (f"{type(error).__name__}: {text}" if kind is ProviderError else text or type(error).__name__), codes


def describe_way(error: BaseException) -> str:
    """What of this machine stood between a request and its server: a proxy, certificates that were not trusted."""
    with contextlib.suppress(RuntimeError, AttributeError, ValueError):  # httpx raises where no request is known
        if proxy := network.describe_proxy(str(error.request.url)):  # type: ignore[attr-defined]
            return f" {proxy}"
    return f" ({network.describe_certificates()})" if any(type(e).__name__ == _UNTRUSTED for e in causes(error)) else ""


def _is_lasting(error: BaseException) -> bool:
    """Whether a broken connection has a cause on this machine that will be there at the next attempt too."""
    return _kind(error) is ConnectionFailedError and any(type(e).__name__ in (_UNTRUSTED, "LocalProtocolError") for e in causes(error))


def _redirect(error: BaseException) -> tuple[str, str] | None:
    """Words for an answer that names another address, with no codes; ``None`` for every other error."""
    status, address = status_of(error), _headers(error).get("location")
    if status is None or status >= 400 or not address:
        return None
    return f"the endpoint redirects to {hide_private(address)}, and nothing was sent there", ""


def _read_body(body: Any) -> tuple[str, str]:
    """Words and codes of an error body in one of the shapes that servers send."""
    body = _innermost(body)
    if isinstance(body, str):
        return " ".join(re.sub(r"<[^>]*>", " ", body).split()), ""
    if not isinstance(body, Mapping):
        return "", ""
    words = next((body[name] for name in _SAYS if body.get(name)), "")
    inner = body.get("innererror")
    codes = [str(body.get(n) or "") for n in ("code", "type")] + [str(inner.get("code") or "") if isinstance(inner, Mapping) else ""]
    if param := body.get("param"):
        codes.append(f"param={str(param).split('.')[0].split('[')[0]}")
    return str(words), " ".join(c for c in codes if c)


def _innermost(body: Any) -> Any:
    """The error object, out of the lists and objects around it."""
    for _ in range(5):
        if isinstance(body, list) and body:
            body = body[0]
        inner = (
            next((body[n] for n in _HOLDS if isinstance(body.get(n), (Mapping, str, list)) and body[n]), None)
            if isinstance(body, Mapping)
            else None
        )
        if inner is None:
            break
        body = inner
    return body


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
