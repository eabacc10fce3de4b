"""The pace of an endpoint with a rate limit: attempts evenly spaced, so that no period ever holds more than allowed."""

from forwarder.routes import RateLimit


class Pace:
    """Tells when the next attempt may start; monotonic seconds."""

    def __init__(self, limit: RateLimit | None) -> None:
        self._interval = limit.per_seconds / limit.attempts if limit else 0.0
        self._next_at = float("-inf")

    def may_start(self, now: float) -> bool:
        """Whether an attempt may start now."""
        return now >= self._next_at

    def wait(self, now: float) -> float:
        """Seconds until the next attempt may start; 0 when it may start now."""
        return max(0.0, self._next_at - now)

    def start(self, now: float) -> None:
        """An attempt starts now."""
        if self._interval:
            self._next_at = max(now, self._next_at) + self._interval
