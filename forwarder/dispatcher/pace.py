"""The pace of an endpoint with a rate limit: attempts evenly spaced, so that no period ever holds more than allowed."""

from forwarder.routes import RateLimit


class Pace:
    """Tells when the next attempt may start; monotonic seconds."""

    def __init__(self, limit: RateLimit | None) -> None:
        self._interval = limit.per_seconds / limit.attempts if limit else 0.0
        self.next_at = float("-inf")
        """From when on the next attempt may start."""

    def start(self, now: float) -> None:
        """An attempt starts now."""
        if self._interval:
            self.next_at = max(now, self.next_at) + self._interval
