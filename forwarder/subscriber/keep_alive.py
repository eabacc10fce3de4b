"""The keep-alive decides when to ping the broker, and when to give it up; pure."""

from enum import Enum


class Duty(Enum):
    """The action that is due."""

    NONE = "none"
    PING = "ping"
    GIVE_UP = "give up"


class KeepAlive:
    """
    Watches over one connection. `seconds` is its keep-alive (MQTT 3.1.1 §3.1.2.10); 0 switches it off.

    A ping is due when nothing was sent, or nothing received, for `seconds`. Any later byte from the broker answers the
    ping, because a PINGRESP may stand behind many messages. A broker that sends none for `seconds` more is given up.
    """

    def __init__(self, seconds: float, *, now: float) -> None:
        self._seconds = seconds
        self._heard_at = self._sent_at = now
        self._pinged_at: float | None = None

    def heard(self, *, now: float) -> None:
        self._heard_at = now
        self._pinged_at = None

    def sent(self, *, now: float) -> None:
        self._sent_at = now

    def duty(self, *, now: float) -> Duty:
        """The action at `now`. A PING counts as sent."""
        if self._seconds == 0:
            return Duty.NONE
        if self._pinged_at is not None and now - self._pinged_at >= self._seconds:
            return Duty.GIVE_UP
        quiet_since = min(self._sent_at, self._heard_at)
        if self._pinged_at is None and now - quiet_since >= self._seconds:
            self._pinged_at = self._sent_at = now
            return Duty.PING
        return Duty.NONE
