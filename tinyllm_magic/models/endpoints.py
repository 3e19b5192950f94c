"""Where a model lives (``Endpoint``): its API type, address and key; whether that is this machine, and whether the key is there."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ..redaction import bare_address
from .vendors import Vendor, find_vendor, vendors

API_TYPES = ("openai", "azure", "local", "echo")
IN_PROCESS = frozenset({"local", "echo"})
"""The API types that are answered inside this process."""
VENDOR_URL = "https://api.openai.com/v1"
TOKEN_VARIABLE = "AZURE_OPENAI_AD_TOKEN"  # noqa: S105  # a name
"""Holds an Entra token for Azure, which is sent as one."""


@dataclass(frozen=True)
class Endpoint:
    """Where a model lives. No key appears in its repr.

    ``api_type`` is ``openai``, ``azure``, ``local``, ``echo`` or a registered name; ``base_url``
    is ``None`` for the vendor's own address and the resource endpoint for Azure; ``api_key`` may
    be a callable that returns an Entra token; ``api_key_env`` names the environment variable that
    holds the key (``None``: the vendor's own names); ``identity`` stands for the address in keys;
    ``path`` is a GGUF file; ``timeout`` is in seconds. ``trusted`` is false where a file of a
    folder that the user has not trusted names an address beyond loopback: such an endpoint gets
    no key, neither from the environment nor from a file. ``vendor`` is whose API it is (`models.toml`) where that is neither
    OpenAI nor Azure.
    """

    api_type: str
    base_url: str | None = None
    api_key_env: str | None = None
    api_key: str | Callable[[], str] | None = field(default=None, repr=False)
    api_version: str | None = None
    identity: str | None = None
    path: str | None = None
    timeout: float | None = None
    max_retries: int | None = None
    trusted: bool = True
    vendor: str | None = None

    @property
    def provider(self) -> str:
        """The provider's identity in ``Request.provider``: what decides the answer, never a key.

        >>> Endpoint("openai", "http://localhost:8000/v1/").provider
        'openai:http://localhost:8000/v1'
        """
        if self.identity:
            return self.identity
        url = bare_address(self.base_url or "")
        if self.is_in_process or not url or (self.api_type, url) == ("openai", VENDOR_URL):
            return self.api_type
        return f"{self.api_type}:{url}"

    @property
    def is_in_process(self) -> bool:
        """Whether the answer is made inside this process: no address, no key, no price."""
        return self.api_type in IN_PROCESS

    @property
    def is_azure_v1(self) -> bool:
        """Whether the address is that of Azure's API which is as OpenAI's: without deployments and versions in it."""
        return self.api_type == "azure" and urlsplit(self.base_url or "").path.rstrip("/").endswith("/openai/v1")

    @property
    def is_openais_own(self) -> bool:
        """Whether OpenAI itself is asked, at its own address."""
        own = self.api_type == "openai" and self.vendor in (None, "openai")
        return own and bare_address(self.base_url or VENDOR_URL) == VENDOR_URL

    @property
    def whose(self) -> str:
        """The vendor whose API it is, or the API type."""
        return self.vendor or self.api_type

    @property
    def known_vendor(self) -> Vendor:
        """What is known of the vendor; an API type that is none is taken for OpenAI's."""
        return find_vendor(self.whose) or vendors()["openai"]

    @property
    def key_variables(self) -> tuple[str, ...]:
        """The environment variables that may hold the key, the first that is set counts."""
        return (self.api_key_env,) if self.api_key_env else self.known_vendor.keys

    @property
    def needs_key(self) -> bool:
        """Whether nothing is answered there without a key: not on this machine, nor by a server that people run themselves."""
        return not (self.is_in_process or self.known_vendor.local or is_loopback(self.base_url or ""))

    def __repr__(self) -> str:
        return f"Endpoint({self.api_type!r}, provider={self.provider!r}, trusted={self.trusted})"


@functools.lru_cache(maxsize=256)
def is_loopback(url: str) -> bool:
    """Whether a URL names this machine.

    >>> is_loopback("http://127.0.0.1:8000/v1"), is_loopback("https://localhost@example.org")
    (True, False)
    """
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def key_state(endpoint: Endpoint, environ: Mapping[str, str]) -> str:
    """Whether the key for an endpoint is there, in words that never show it."""
    if endpoint.is_in_process:
        return "not needed"
    if not endpoint.trusted and not is_loopback(endpoint.base_url or ""):
        return "not sent: this folder is not trusted"
    if endpoint.api_key:
        return "given"
    found = next((n for n in endpoint.key_variables if environ.get(n, "").strip()), None)
    if found:
        return f"{found} is set"
    if endpoint.api_type not in API_TYPES and not endpoint.api_key_env:
        return "the client's own affair"  # somebody has registered it, and it may ask whom it likes
    return f"{endpoint.key_variables[0]} is missing" if endpoint.needs_key else "not needed"
