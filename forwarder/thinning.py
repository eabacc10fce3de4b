"""
`min_interval` owes an endpoint at most one reading of each device in that time: the first. Pure; it decides before
anything is enqueued. (`outbox/kept_last.py` decides `keep: last`, where readings are stored.)

    a reading ─▶ has so much time passed since the last that was let through? ── yes ─▶ owed, and the time is noted
                                                                              └─ no ──▶ thinned: counted, never enqueued

The time is `received_at`. The outbox knows which readings were let through before a restart, and `note` recalls them.
"""

from collections.abc import Mapping

from forwarder.reading import Device


class Thinning:
    """Decides which readings endpoints with a `min_interval` are owed."""

    def __init__(self) -> None:
        self._intervals: Mapping[str, float] = {}
        self._last: dict[str, dict[Device, float]] = {}

    def use(self, intervals: Mapping[str, float]) -> None:
        """Thin by these seconds, by endpoint, from now on; other endpoints are forgotten."""
        self._intervals = intervals
        self._last = {name: self._last.get(name, {}) for name in intervals}

    def note(self, endpoint: str, device: Device, received_at: float) -> None:
        """Note that a reading of the device was let through then (UNIX seconds)."""
        last = self._last.setdefault(endpoint, {})
        last[device] = max(received_at, last.get(device, received_at))

    def lets_through(self, endpoint: str, device: Device, received_at: float) -> bool:
        """Whether the endpoint is owed this reading; if so, it is noted."""
        interval = self._intervals.get(endpoint)
        if interval is None:
            return True
        last = self._last[endpoint]
        # A negative time means that the clock was set back, and the endpoint must not wait until it has caught up.
        if 0 <= received_at - last.get(device, float("-inf")) < interval:
            return False
        last[device] = received_at
        return True
