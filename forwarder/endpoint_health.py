"""What survives a restart about an endpoint as a whole."""

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
    """UNIX seconds; until then nothing is sent. With 5 failures and more, one probe after it."""
    paused_by: Literal["operator", "gone"] | None = None
    gone_url: str | None = None
    """A digest of the URL that answered 410."""
    failing_since: float | None = None
    last_success_at: float | None = None
    last_error: str | None = None
    last_error_at: float | None = None
    outage_since: float | None = None
    """
    Since when it failed as its circuit last opened.

    It stays when the circuit closes, so that an outage is seen by who looks only now and then.
    """

    @property
    def is_open(self) -> bool:
        """Whether the circuit is open: only probes are sent."""
        return self.failures >= FAILURES_TO_OPEN
