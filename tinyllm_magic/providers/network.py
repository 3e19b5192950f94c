"""What this process's environment says about reaching a server: proxies, certificates and headers.

What cannot be used is told with the name of its variable; what is corrected holds for the next call.
"""

from __future__ import annotations

import contextlib
import os
import re
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from ..errors import ConfigError, OptionError
from ..redaction import guard, hide_private

HEADERS = {"organization": "OPENAI_ORG_ID", "project": "OPENAI_PROJECT_ID"}
_MORE_HEADERS = "OPENAI_CUSTOM_HEADERS"  # the SDK reads it: a header in each line
_CERTIFICATES = {"SSL_CERT_FILE": os.path.isfile, "SSL_CERT_DIR": os.path.isdir}  # the first that is set counts
_SCHEMES = ("http", "https", "all")
_HEADER_NAME = re.compile(r"[\w!#$%&'*+.^`|~-]+", re.ASCII)  # RFC 9110, section 5.6.2
_HINT = "Correct or unset it in this kernel (`os.environ`); the next call reads it anew."


def network_state(environ: Mapping[str, str]) -> tuple[object, ...]:
    """All of this that a connection depends on, as it is now: of certificates also when they were changed."""
    import urllib.request

    headers = [environ.get(name, "") for name in (*HEADERS.values(), _MORE_HEADERS)]
    name, path = _certificates()
    changed = 0
    with contextlib.suppress(OSError, ValueError):
        changed = Path(path).stat().st_mtime_ns if name else 0
    return (*headers, path, changed, *sorted(urllib.request.getproxies().items()))


def read_headers(environ: Mapping[str, str]) -> dict[str, str | None]:
    """Organisation and project by their names in the SDK, without white space at their ends; ``None`` where there is none.

    Raises ``ConfigError`` where one, or a header of the user's own, holds what no header can hold.
    """
    for line in environ.get(_MORE_HEADERS, "").splitlines():
        _check_header(_MORE_HEADERS, line)
    return {field: _check_header(name, environ.get(name, "").strip()) or None for field, name in HEADERS.items()}


def _check_header(name: str, value: str) -> str:
    if not _is_header_value(value):
        raise ConfigError(f"{name} = {value!r} holds a line break or a letter that no HTTP header can hold", key=name, hint=_HINT)
    return value


def _is_header_value(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and value.replace("\t", " ").isprintable()


def check_headers(headers: object) -> None:
    """Raise ``OptionError`` where a parameter ``extra_headers`` holds what cannot be sent."""
    if not isinstance(headers, Mapping):
        raise OptionError("extra_headers takes a dict of texts", option="extra_headers")
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(str(name)):
            raise OptionError(f"extra_headers: {name!r} is no name of an HTTP header", option="extra_headers")
        if not _is_header_value(value):
            words = f"extra_headers: the value of {name} is no text, or holds a line break or a letter that no HTTP header can hold"
            raise OptionError(words, option="extra_headers")


def load_certificates(create: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    """The certificates that are trusted; raises ``ConfigError`` where a variable names none that can be read."""
    name, path = _certificates()
    if not name:
        return create()
    words = "there is nothing at this path"
    if _CERTIFICATES[name](path):
        try:
            return create()
        except OSError as error:  # unreadable, or no certificates
            words = error.strerror or str(error)
    raise ConfigError(f"{name} = {path!r} names no certificates that can be read: {words}", key=name, hint=_HINT)


def trusts_nobody() -> ssl.SSLContext:
    """What an ``http`` address needs of certificates: nothing is read, and nobody would be trusted."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def describe_certificates() -> str:
    """Which variable decides what certificates are trusted, in a sentence's end."""
    name, path = _certificates()
    return f"{name} = {path!r} says which certificates are trusted" if name else "SSL_CERT_FILE can name a file of more certificates"


def _certificates() -> tuple[str, str]:
    return next(((name, os.environ[name]) for name in _CERTIFICATES if os.environ.get(name)), ("", ""))


def is_proxied() -> bool:
    """Whether the environment, or the system, names a proxy for any HTTP address."""
    return bool(_proxies())


def check_proxies(transport: Callable[..., Any], context: ssl.SSLContext) -> None:
    """Raise ``ConfigError`` for a proxy that cannot be used; ``transport`` is the HTTP library's class, which is asked."""
    for scheme, address in _proxies().items():
        try:
            if password := urlsplit(address).password:
                guard(f"the password of {_variable(scheme)}", unquote(password))
            transport(verify=context, proxy=address).close()
        except Exception as error:
            words = f"{_variable(scheme)} = {hide_private(address)!r} is no proxy that can be used: {error}"
            raise ConfigError(words, key=_variable(scheme), hint=_HINT) from error


def describe_proxy(url: str) -> str:
    """Through which proxy an address is reached, and which variable says so; empty where there is none."""
    import urllib.request

    parts, proxies = urlsplit(url), _proxies()
    scheme = parts.scheme if parts.scheme in proxies else "all"
    if scheme not in proxies or urllib.request.proxy_bypass(parts.hostname or ""):
        return ""
    return f"through the proxy {hide_private(proxies[scheme])} ({_variable(scheme)})"


def _proxies() -> dict[str, str]:
    """The proxies by scheme, ``all`` for both, as the HTTP library takes them."""
    import urllib.request

    found = urllib.request.getproxies()
    if "*" in (part.strip() for part in found.get("no", "").split(",")):
        return {}
    return {s: a if "://" in (a := found[s]) else f"http://{a}" for s in _SCHEMES if found.get(s)}


def _variable(scheme: str) -> str:
    """The variable that names a proxy: in small letters it is read first."""
    small = f"{scheme}_proxy"
    return next((name for name in (small, *os.environ) if name in os.environ and name.lower() == small), "the system's proxy settings")
