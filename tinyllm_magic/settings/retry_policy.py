"""How a failed attempt is repeated: MAX_ATTEMPTS, WAITING_TIME and EXPONENTIAL_BACKOFF_FACTOR as one value (``RetryPolicy``)."""

from __future__ import annotations

from dataclasses import dataclass

LONGEST_WAIT = 60.0  # seconds between two attempts, however the factor grows
LONGEST_RETRY_AFTER = 300.0  # a provider that asks for a longer wait is not waited for


@dataclass(frozen=True)
class RetryPolicy:
    """How a failed attempt is repeated: attempts in all, seconds before the second, growth of the waits."""

    attempts: int = 5
    waiting_time: float = 1.0
    factor: float = 2.0
