"""API types in, the client classes that serve them out: ``CLIENTS``.

Knows the kinds of client beside OpenAI's: Azure, the model on this machine, the echo.
Does not know sessions, stores, or how a call is composed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .answers import Provider
from .clients import OpenAIClient
from .plans import Plan
from .providers.echo import EchoProvider


class AzureClient(OpenAIClient):
    """A client of Azure OpenAI: endpoint, key and API version from the environment; the model is the deployment."""

    api_type = "azure"


class LocalClient(OpenAIClient):
    """The client of the embedded model, or of any GGUF file."""

    api_type = "local"

    def provider(self, plan: Plan) -> Provider:
        """The engine that runs in this process."""
        from .providers.local import LocalProvider

        return LocalProvider(plan.route.endpoint.path, timeout=plan.timeout, progress=self._around().progress)


class EchoClient(OpenAIClient):
    """The client of the echo provider, which a script may drive."""

    api_type = "echo"

    def __init__(self, *args: Any, script: Iterable[Any] = (), **options: Any) -> None:
        super().__init__(*args, **options)
        self.echo = EchoProvider(script)

    def provider(self, plan: Plan) -> Provider:  # noqa: ARG002  # the same for every plan
        """The echo, or its script."""
        return self.echo


CLIENTS: Mapping[str, type[OpenAIClient]] = {c.api_type: c for c in (OpenAIClient, AzureClient, LocalClient, EchoClient)}
"""The built-in client classes by API type."""
