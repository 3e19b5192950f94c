"""Says which server of this machine is to be started where none answers (``explain_unreachable``)."""

from __future__ import annotations

from ..errors import ConnectionFailedError
from ..models.endpoints import Endpoint
from ..providers.openai_errors import translate
from ..redaction import bare_address


def explain_unreachable(error: Exception, endpoint: Endpoint) -> Exception:
    """The error of a call to a server that people run themselves; where it was not reached, with what to do about that."""
    found = translate(error)
    if not isinstance(found, ConnectionFailedError):
        return error
    title, url = endpoint.known_vendor.title, bare_address(endpoint.base_url or "")
    hint = f"Start {title}, or set BASE_URL with API_TYPE={endpoint.vendor} if it is elsewhere; `%llm_models` shows which servers answer."
    return ConnectionFailedError(f"{title} does not answer at {url}: {found.message}", hint=hint)
