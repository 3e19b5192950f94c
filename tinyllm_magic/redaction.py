"""Decides what is a secret, and takes secrets, logins and control characters out of texts."""

from __future__ import annotations

import functools
import html
import os
import re
from collections.abc import Mapping
from typing import Any

from .environ_version import environ_version
from .text_format import printable, shorten, shorten_line

_SECRET_NAME = re.compile(r"(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|(?:^|_)PAT|AUTH|AUTHORIZATION|CRED[A-Z_]*)$", re.IGNORECASE)


@functools.lru_cache(maxsize=1024)
def is_secret(name: str) -> bool:
    """Whether a value of this name is a key or password.

    >>> is_secret("OPENAI_API_KEY"), is_secret("api_key_env"), is_secret("max_tokens")
    (True, False, False)
    """
    return _SECRET_NAME.search(name) is not None


_MAYBE_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASS(?!IVE)|CREDENTIAL|_CRED|_AUTH|_PAT\Z|\APG|DATABASE_URL|_DSN\Z", re.IGNORECASE)


def may_be_secret(name: str) -> bool:
    """Whether a value of this name could hold a secret somewhere: what is kept away from others, not what is masked.

    >>> may_be_secret("DATABASE_URL"), may_be_secret("LANG"), is_secret("DATABASE_URL")
    (True, False, False)
    """
    return is_secret(name) or _MAYBE_SECRET_NAME.search(name) is not None


_LOGIN = re.compile(r"((?:(?<=:)|^)//)[^/?#\s\"<>]+@")  # up to the last @ before the path: a password may hold one


def drop_login(text: str) -> str:
    """The text with every URL in it without its ``user:password@``.

    >>> drop_login("https://me:p@ss@example.org/v1?to=a@b")
    'https://example.org/v1?to=a@b'
    """
    return _LOGIN.sub(r"\1", text)


def without_login(value: Any) -> Any:
    """The value as it may be shown: in a text, each URL has ``…`` for its ``user:password``; other values stay.

    >>> without_login("see https://me:p@ss@example.org/v1")
    'see https://…@example.org/v1'
    """
    return _LOGIN.sub(r"\1…@", value) if isinstance(value, str) else value


def hide_private(value: Any) -> Any:
    """The value as it may be shown: a URL without what may hold a key, its login and its query; a table without values named for one.

    >>> hide_private("https://me:pw@example.org/v1?key=k")
    'https://…@example.org/v1?…'
    >>> hide_private({"Authorization": "Bearer k", "X-Team": "a"})
    {'Authorization': '(hidden)', 'X-Team': 'a'}
    """
    if isinstance(value, Mapping):
        return {name: "(hidden)" if is_secret(str(name)) else hide_private(inner) for name, inner in value.items()}
    shown = without_login(value)
    return re.sub(r"(//[^\s?]*\?)\S+", r"\1…", shown) if isinstance(shown, str) else shown


def bare_address(url: str) -> str:
    """Where a URL leads: scheme, host and path, without login, query, fragment and a slash at its end; one spelling of each.

    >>> bare_address("HTTPS://me:pw@Example.org/V1/?key=k")
    'https://example.org/V1'
    """
    bare = re.split("[?#]", drop_login(url))[0].rstrip("/")
    return re.sub("^[^/]*//[^/]*", lambda match: match[0].lower(), bare)


_KEYS = re.compile(r"\bsk-[\w*.-]{4,}|(?<=Bearer )[^\s'\"]+")


def redact(text: str, secrets: frozenset[str] = frozenset()) -> str:
    """The text without the keys given, without the values of secrets and without anything that looks like a key.

    >>> redact("Incorrect API key provided: sk-abc***xyz.")
    'Incorrect API key provided: [key]'
    """
    for secret in secrets:
        text = text.replace(secret, "[key]")
    return _KEYS.sub("[key]", mask(text))


_LONGEST_MESSAGE = 4000  # characters


def clean_message(text: str, secrets: frozenset[str] = frozenset(), longest: int = _LONGEST_MESSAGE) -> str:
    """A text that may come from a stranger as part of a message: without secrets and control characters, at most so long."""
    return shorten(redact(printable(text), secrets), longest)


_SHORTEST, _SHORTEST_PASSWORD, _SHORTEST_IN_USE = 12, 8, 6  # characters
_KINDS = tuple(re.compile(kind) for kind in ("[a-z]", "[A-Z]", "[0-9]", "[^a-zA-Z0-9]"))
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_MODEL_NAME = re.compile(
    r"(?:[\w-]+/)?(?:gpt|chatgpt|o[1-9]|text-embedding|claude|gemini|gemma|mistral|mixtral|codestral|llama|deepseek|grok|qwen|phi|smollm)"
    r"[\w]{0,6}(?:[-.:][\w]{1,12}){0,6}",
    re.IGNORECASE,
)
_PUBLIC = frozenset(
    (
        # names of fields and values in requests, answers, settings and stores
        *("system_fingerprint", "finish_reason", "response_format", "max_completion_tokens", "completion_tokens", "prompt_tokens"),
        *("cached_tokens", "reasoning_tokens", "total_tokens", "reasoning_effort", "frequency_penalty", "presence_penalty"),
        *("tool_calls", "tool_call_id", "content_filter", "function_call", "json_schema", "json_object", "top_logprobs", "logit_bias"),
        *("parallel_tool_calls", "messages", "assistant", "developer", "function", "temperature", "max_tokens", "api_key_env"),
        *("max_concurrent_model_calls", "exponential_backoff_factor", "azure_api_version", "cache_api_calls", "cache_file_name"),
        *("embedding_model", "azure_endpoint", "refresh", "openai", "default_max_tokens", "max_attempts", "waiting_time", "model_asked"),
        *("package_version", "base_url", "api_type", "image_url", "input_audio", "max_tokens_name", "output_limit", "api_version"),
        "max_answer_bytes",
        # what people write where a local server wants a key and reads none, and everyday passwords
        *("lm-studio", "lmstudio", "ollama", "llamacpp", "llama.cpp", "llama-cpp", "local-key", "no-key", "nokey", "not-needed"),
        *("not_needed", "not-required", "no-key-required", "sk-no-key-required", "your-api-key", "your_api_key", "placeholder"),
        *("anything", "something", "nothing", "default", "secret", "dummy-key", "test-key", "testkey", "changeme", "changeit"),
        *("password", "password1", "passw0rd", "postgres", "username", "undefined", "disabled", "required", "optional", "timestamp"),
        *("primary_key", "123456", "1234567", "12345678", "123456789", "1234567890", "00000000"),
    )
)
_known: tuple[object, dict[str, str]] = (None, {})
_GUARDED: dict[str, str] = {}  # a name per value: of one name there may be several, in use and in the environment


def to_utf8(text: str) -> bytes:
    """UTF-8; halves of a surrogate pair are joined, lone ones become U+FFFD."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()


def guard(name: str, value: str) -> None:
    """Take a value for a secret as long as this process lives: a key in use that no secret-looking variable holds."""
    _GUARDED[value] = name


def forget_guarded() -> None:
    """Take no key for one in use any more: for tests, whose keys are words of other tests."""
    _GUARDED.clear()


def guard_values(where: str, values: Mapping[str, Any]) -> None:
    """Take what is named like a key, among headers or the parts of a query, for a secret."""
    for name, value in values.items():
        if is_secret(str(name)):
            guard(f"{where}: {name}", str(value).removeprefix("Bearer ").strip())


def secrets(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Values and names of all secrets: of variables that are named for one and look like one, and keys in use whatever their look.

    The longest first, so that a secret that holds another is found whole.
    """
    if environ is not None:
        return _find_secrets({}, environ)
    global _known  # noqa: PLW0603  # what was found last, which a change makes stale
    now = (environ_version(), tuple(_GUARDED.items()))
    if _known[0] != now:
        _known = (now, _find_secrets(dict(now[1]), os.environ))
    return dict(_known[1])


def _find_secrets(in_use: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    found = {v: n for v, n in in_use.items() if len(v) >= _SHORTEST_IN_USE and v.casefold() not in _PUBLIC}
    found |= {v: n for n in environ if is_secret(n) and _looks_secret(n, v := environ.get(n, "").strip())}
    return dict(sorted(found.items(), key=lambda item: -len(item[0])))


def _looks_secret(name: str, value: str) -> bool:
    shortest = _SHORTEST_PASSWORD if "PASSW" in name.upper() else _SHORTEST
    if len(value) < shortest or value.casefold() in _PUBLIC or _MODEL_NAME.fullmatch(value):
        return False
    return sum(kind.search(value) is not None for kind in _KINDS) >= 2


def _unescape(match: re.Match[str]) -> str:
    return chr(int(match[1], 16)) if match[1] else _ESCAPED.get(match[2], match[2])


def leak(line: bytes, environ: Mapping[str, str] | None = None) -> str | None:
    """The name of the secret whose value stands in a line, in any JSON spelling, also in JSON within JSON."""
    wanted = secrets(environ)
    if not wanted:
        return None
    text = line.decode()
    for _ in range(4):
        for value, name in wanted.items():
            if value in text:
                return name
        if "\\" not in text:
            break
        text = to_utf8(_ESCAPE.sub(_unescape, text)).decode()
    return None


def mask(text: str, environ: Mapping[str, str] | None = None) -> str:
    """The text with the values of secrets replaced by their names."""
    return _replace(text, secrets(environ))


def _replace(text: str, wanted: Mapping[str, str]) -> str:
    if len(text) < _SHORTEST_IN_USE:
        return text
    for value, name in wanted.items():
        if value in text:
            text = text.replace(value, f"<{name}>")
    return text


def mask_data(value: Any) -> Any:
    """JSON-like data with the values of secrets replaced by their names, in keys too; what is no such data stays.

    Data without a secret is given back as it is.
    """
    wanted = secrets()
    if not wanted:
        return value
    texts: list[str] = []
    _list_texts(value, texts)
    joined = "\0".join(texts)
    return _replace_in(value, wanted) if any(secret in joined for secret in wanted) else value


def _list_texts(value: Any, texts: list[str]) -> None:
    """Append all texts of JSON-like data to a list: one search of them all costs less than one of each."""
    if isinstance(value, str):
        texts.append(value)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            _list_texts(inner, texts)
    elif value is None or isinstance(value, (int, float)):
        return  # asking an abstract class about each takes longer
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            _list_texts(name, texts)
            _list_texts(inner, texts)


def _replace_in(value: Any, wanted: Mapping[str, str]) -> Any:
    kind = type(value)
    if kind is str:  # most values are texts without a secret, and asking an abstract class about each takes longer than the search
        for secret in wanted:
            if secret in value:
                return _replace(value, wanted)
        return value
    if value is None or kind is bool or kind is int or kind is float:
        return value
    if isinstance(value, (list, tuple)):
        replaced = [_replace_in(v, wanted) for v in value]
        return tuple(replaced) if isinstance(value, tuple) else replaced
    if isinstance(value, str):
        return _replace(value, wanted)
    if kind is dict or isinstance(value, Mapping):
        return {_replace_in(k, wanted): _replace_in(v, wanted) for k, v in value.items()}
    return value


def excerpt(text: str, length: int) -> str:
    """The beginning of a text on one line; secrets are taken out before the cut, which would leave a part of one."""
    return shorten_line(mask(text), length)


def mask_html(page: str) -> str:
    """A page with the values of secrets replaced by their names."""
    for value, name in secrets().items():
        for spelling in _spell_in_html(value):
            page = page.replace(spelling, f"&lt;{html.escape(name)}&gt;")
    return page


@functools.lru_cache(maxsize=256)
def _spell_in_html(value: str) -> frozenset[str]:
    return frozenset((value, html.escape(value), html.escape(value, quote=False)))
