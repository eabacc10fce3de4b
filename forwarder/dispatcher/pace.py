"""The pace spaces an endpoint's attempts evenly, so that no period holds more of them than its rate limit allows."""

from forwarder.routes import RateLimit


class Pace:
    """Tells when the next attempt may start; monotonic seconds."""

    def __init__(self, limit: RateLimit | None) -> None:
        self._interval = limit.per_seconds / limit.attempts if limit else 0.0
        self.next_at = float("-inf")
        """The instant from which the next attempt may start."""

    def start(self, now: float) -> None:
        """Take in that an attempt starts now."""
        if self._interval:
            self.next_at = max(now, self.next_at) + self._interval
