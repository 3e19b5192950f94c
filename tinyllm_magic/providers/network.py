"""What this process's environment says about reaching a server: proxies, certificates and headers.

What cannot be used is told with the name of its variable; what is corrected holds for the next call.
"""

from __future__ import annotations

import functools
import os
import re
import ssl
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from ..environ_version import environ_version
from ..errors import ConfigError, OptionError
from ..redaction import guard, hide_private

HEADERS = {"organization": "OPENAI_ORG_ID", "project": "OPENAI_PROJECT_ID"}
_MORE_HEADERS = "OPENAI_CUSTOM_HEADERS"  # the SDK reads it: a header in each line
_CERTIFICATES = {"SSL_CERT_FILE": os.path.isfile, "SSL_CERT_DIR": os.path.isdir}  # the first that is set counts
_CERTIFICATE_FILES = (
    "/etc/ssl/cert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/cert.pem",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/ssl/ca-bundle.pem",
)
_SCHEMES = ("http", "https", "all")
_PLAIN_PROXY = re.compile(r"http://(?:[^@/?#]*@)?[\w.-]+(?::\d{1,5})?/?", re.ASCII)
_PLAIN_EXCEPTION = re.compile(r"\*?[\w.-]+", re.ASCII)
_HEADER_NAME = re.compile(r"[\w!#$%&'*+.^`|~-]+", re.ASCII)  # RFC 9110, section 5.6.2
_HINT = "Correct or unset it in this kernel (`os.environ`); the next call reads it anew."


def network_state(environ: Mapping[str, str]) -> tuple[object, ...]:
    """All of this that a connection depends on, as it is now: of certificates also when they were changed."""
    import urllib.request

    headers = [environ.get(name, "") for name in (*HEADERS.values(), _MORE_HEADERS)]
    return (*headers, *_state_of_certificates(environ_version()), *sorted(urllib.request.getproxies().items()))


def quick_state() -> tuple[object, ...] | None:
    """The same in short, as long as this process lives; ``None`` where it cannot be told: a system may have settings beside variables."""
    import urllib.request

    by_variables = urllib.request.getproxies is urllib.request.getproxies_environment
    version = environ_version()
    return (version, *_state_of_certificates(version)) if by_variables else None


def _state_of_certificates(version: int) -> tuple[str, int]:
    name, path = _named_certificates(version)
    if not name:
        return path, 0
    try:
        return path, os.stat(path).st_mtime_ns  # noqa: PTH116  # for each call; Path costs ten times as much
    except (OSError, ValueError):
        return path, 0


def read_headers(environ: Mapping[str, str]) -> dict[str, str | None]:
    """Organisation and project by their names in the SDK, without white space at their ends; ``None`` where there is none.

    Raises ``ConfigError`` where one, or a header of the user's own, holds what no header can hold.
    """
    for line in environ.get(_MORE_HEADERS, "").splitlines():
        _check_header(_MORE_HEADERS, line)
    return {field: _check_header(name, environ.get(name, "").strip()) or None for field, name in HEADERS.items()}


def has_more_headers(environ: Mapping[str, str]) -> bool:
    """Whether the environment names headers of the user's own, which the SDK reads."""
    return bool(environ.get(_MORE_HEADERS, "").strip())


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


def load_certificates() -> ssl.SSLContext:
    """The certificates that are trusted, as the SDK's own HTTP library trusts them: those of a variable, else the system's.

    Raises ``ConfigError`` where a variable names none that can be read.
    """
    name, path = _certificates()
    if not name:
        return _system_certificates()
    words = "there is nothing at this path"
    if _CERTIFICATES[name](path):
        try:
            return ssl.create_default_context(cafile=path) if name == "SSL_CERT_FILE" else ssl.create_default_context(capath=path)
        except OSError as error:  # unreadable, or no certificates
            words = error.strerror or str(error)
    raise ConfigError(f"{name} = {path!r} names no certificates that can be read: {words}", key=name, hint=_HINT)


def _system_certificates() -> ssl.SSLContext:
    if sys.platform in ("win32", "darwin"):
        import truststore

        return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context, places = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ssl.get_default_verify_paths()
    file, folder = Path(places.openssl_cafile), Path(places.openssl_capath)
    has_folder = folder.is_dir() and (file.is_file() or any(re.fullmatch(r"[0-9a-fA-F]{8}\.\d", found.name) for found in folder.iterdir()))
    if not file.is_file() and not has_folder:  # an OpenSSL that was built for another system
        file = next((path for path in map(Path, _CERTIFICATE_FILES) if path.is_file()), file)
    if file.is_file() or has_folder:
        context.load_verify_locations(file if file.is_file() else None, folder if has_folder else None)
    return context


def trusts_nobody() -> ssl.SSLContext:
    """What an ``http`` address needs of certificates: nothing is read, and nobody would be trusted."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def describe_certificates() -> str:
    """Which variable decides what certificates are trusted, in a sentence's end."""
    name, path = _certificates()
    return f"{name} = {path!r} says which certificates are trusted" if name else "SSL_CERT_FILE can name a file of more certificates"


@functools.lru_cache(maxsize=1)
def _named_certificates(_version: int) -> tuple[str, str]:
    """The variable and its value, read anew where the environment has changed."""
    return _certificates()


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


def find_proxy(url: str) -> str | None:
    """The address of the HTTP proxy for an address, empty where there is none, as the SDK's HTTP library finds it.

    ``None`` where that library must be asked: another kind of proxy, or an exception that is no plain name.
    """
    proxies = _proxies()
    exceptions = [name.strip().lower() for name in _environment_proxies().get("no", "").split(",") if name.strip()]
    if not all(map(_PLAIN_PROXY.fullmatch, proxies.values())) or not all(map(_PLAIN_EXCEPTION.fullmatch, exceptions)):
        return None
    parts = urlsplit(url)
    if any(_excepts(name, parts.hostname or "") for name in exceptions):
        return ""
    scheme = parts.scheme if parts.scheme in proxies else "all"
    if scheme in proxies and (password := urlsplit(proxies[scheme]).password):
        guard(f"the password of {_variable(scheme)}", unquote(password))
    return proxies.get(scheme, "")


def _excepts(name: str, host: str) -> bool:
    """Whether an entry of NO_PROXY holds for a host: a domain for all below it, an address and localhost for themselves."""
    if name == "localhost" or re.fullmatch(r"[\d.]+", name):
        return host == name
    if name.startswith(("*.", ".")):
        return host.endswith(name.removeprefix("*"))
    return host == name.removeprefix("*") or host.endswith("." + name.removeprefix("*"))


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
    found = _environment_proxies()
    if "*" in (part.strip() for part in found.get("no", "").split(",")):
        return {}
    return {s: a if "://" in (a := found[s]) else f"http://{a}" for s in _SCHEMES if found.get(s)}


def _environment_proxies() -> dict[str, str]:
    import urllib.request

    return urllib.request.getproxies()


def _variable(scheme: str) -> str:
    """The variable that names a proxy: in small letters it is read first."""
    small = f"{scheme}_proxy"
    return next((name for name in (small, *os.environ) if name in os.environ and name.lower() == small), "the system's proxy settings")
