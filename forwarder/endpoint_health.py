"""The health of an endpoint as a whole, which survives a restart."""

from dataclasses import dataclass
from typing import Literal

FAILURES_TO_OPEN = 5
"""Failures in a row that open an endpoint's circuit."""


@dataclass(frozen=True, slots=True)
class EndpointHealth:
    """How an endpoint answers, and who has paused it."""

    failures: int = 0
    """Failures in a row that count for the circuit."""
    open_until: float | None = None
    """UNIX seconds until which nothing is sent; from 5 failures on, one probe follows."""
    paused_by: Literal["operator", "gone"] | None = None
    gone_url: str | None = None
    """A digest of the URL that answered 410."""
    failing_since: float | None = None
    last_success_at: float | None = None
    last_error: str | None = None
    last_error_at: float | None = None
    outage_since: float | None = None
    """
    The first failure of the latest outage, in UNIX seconds.

    It stays when the circuit closes, so that a part that looks only now and then sees the outage.
    """

    @property
    def is_open(self) -> bool:
        """Whether the circuit is open, so that only probes are sent."""
        return self.failures >= FAILURES_TO_OPEN
