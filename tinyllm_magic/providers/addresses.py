"""Where a vendor's API is reached: ``find_address`` checks an endpoint's address and finds its key, before anything is imported or sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from ..errors import AuthError, ConfigError, UnsupportedError
from ..models.endpoints import TOKEN_VARIABLE, VENDOR_URL, Endpoint, is_loopback
from ..redaction import bare_address, drop_login, guard, guard_values, hide_private
from . import entra, network


@dataclass(frozen=True)
class Address:
    """Where to ask, with what; no secret appears in its repr.

    ``url`` has neither login nor query; ``version`` is Azure's, where its path names a deployment; ``headers`` are
    the organisation and the project.
    """

    url: str
    login: tuple[str, str] | None = field(repr=False)
    query: str = field(repr=False)
    key: str | Callable[[], str] = field(repr=False)
    headers: Mapping[str, str | None]
    version: str | None = None
    """Azure's API version; ``None`` where the address is asked as it stands."""


def find_address(endpoint: Endpoint, environ: Mapping[str, str]) -> Address:
    """The address of an endpoint, its key and headers.

    Raises ``AuthError`` where a key is missing and ``ConfigError`` where an address or version is, or where the environment
    names headers that cannot be used; both name the variable. An endpoint of OpenAI without an address means the vendor's
    own: whether ``OPENAI_BASE_URL`` holds was decided with the route.
    """
    if endpoint.is_in_process:
        raise UnsupportedError(f"'{endpoint.api_type}' answers inside this process; it has no client of the SDK", hint="Use send_message.")
    azure = endpoint.api_type == "azure"
    if azure and not endpoint.base_url:
        endpoint = replace(endpoint, base_url=environ.get("AZURE_OPENAI_ENDPOINT") or None)
    url = endpoint.base_url or (None if azure else VENDOR_URL)
    if not url:
        raise ConfigError("AZURE_OPENAI_ENDPOINT is not set", key="AZURE_OPENAI_ENDPOINT", hint="Set it to https://NAME.openai.azure.com.")
    if not _is_http(url):
        raise ConfigError(f"the endpoint {hide_private(url)!r} is no http address", key="AZURE_OPENAI_ENDPOINT" if azure else "BASE_URL")
    version = endpoint.api_version or environ.get("OPENAI_API_VERSION")
    deployed = azure and not endpoint.is_azure_v1
    if deployed and not version:
        raise ConfigError(
            "Azure needs an API version: AZURE_API_VERSION is not set",
            key="AZURE_API_VERSION",
            hint="Set AZURE_API_VERSION in config.ini, or OPENAI_API_VERSION in the environment, for example to 2024-10-21.",
        )
    _guard_address(url)
    key = _key(endpoint, url, environ)
    headers = network.read_headers(environ)
    return Address(*_split_address(url), key, headers, version if deployed else None)


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets that do not match, a port that is no number
        return False


def quote_query(query: str) -> str:
    """The query of an address as it is sent."""
    return quote(query, safe="=&%+,;:@/?!$'()*~")


def _guard_address(url: str) -> None:
    """Take for secrets what an address holds of them: a password, and what is named like a key in its query."""
    parts, shown = urlsplit(url), bare_address(url)
    if parts.password:
        guard(f"the password of {shown}", unquote(parts.password))
    guard_values(f"the query of {shown}", dict(parse_qsl(parts.query)))


def _split_address(url: str) -> tuple[str, tuple[str, str] | None, str]:
    """An address without ``user:password@`` and query, which the HTTP library would write into its log; that login; that query."""
    found = urlsplit(url)
    bare = urlsplit(drop_login(url))._replace(query="", fragment="").geturl()
    login = None if found.username is None else (unquote(found.username), unquote(found.password or ""))
    return bare, login, found.query


def _key(endpoint: Endpoint, url: str, environ: Mapping[str, str]) -> str | Callable[[], str]:
    """The key for an endpoint, from the code or the environment; ``AuthError`` says which variable is missing."""
    azure = endpoint.api_type == "azure"
    names, shown = endpoint.key_variables, bare_address(url)
    if not endpoint.trusted and not is_loopback(url):  # a key in a file is no exception: it may be the user's own file
        raise AuthError(
            f"a file in this folder names the endpoint {shown}; no key was sent there",
            hint="If you trust this folder, run `%llm_config trust` once. Recorded cells need no key.",
        )
    if callable(endpoint.api_key):
        return partial(_called_key, endpoint.api_key, shown)
    variable = None if endpoint.api_key else next((n for n in names if environ.get(n, "").strip()), None)
    found = endpoint.api_key or environ.get(variable or "", "")
    key = _clean_key(str(found), "the key given" if variable is None else f"the key in {variable}")
    if not key and not azure and not endpoint.needs_key:
        return "no-key"
    if not key:
        missing = f"{' and '.join(names)} {'are' if len(names) > 1 else 'is'} not set"
        if azure and not endpoint.api_key_env and entra.is_installed():
            return partial(_called_key, partial(entra.get_token, missing), shown)
        raise AuthError(
            f"no API key for {shown}: {missing}",
            hint=f"Set {names[0]} in the environment, or choose another model. Recorded cells need no key.",
            variable=names[0],
        )
    guard(variable or f"the key of {shown}", key)
    return key if variable != TOKEN_VARIABLE else lambda: key


def _called_key(find: Callable[[], object], shown: str) -> str:
    """The key that the user's own function finds, anew for each request."""
    found = find()
    if not isinstance(found, str) or not found.strip():
        raise AuthError(f"the function that finds the key of {shown} returned none")
    key = _clean_key(found, f"what the function that finds the key of {shown} returned")
    guard(f"the key of {shown}", key)
    return key


def _clean_key(found: str, where: str) -> str:
    key = found.strip()
    if not key.isascii() or not key.isprintable():
        raise AuthError(f"{where} holds characters that no key has (a line break or a typographic sign)")
    return key
