"""
The leader gives up the subscription when it has long had no session and another replica could have one.

Replicas tell each other with their beats. The leader says that it misses its session, and each other replica then tries
a session of its own. If no replica gets one, the broker is away or refuses them all, and the leader stays.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from forwarder.clock import Clock
from forwarder.errors import LineGivenUp
from forwarder.outbox import Seat

LOOK_SECONDS = 1.0
MISSING_SECONDS = 20.0
"""How long the leader is without a session before it says so."""
TRIAL_SECONDS = 10.0
"""How long another replica waits after a failed trial."""


@dataclass(slots=True)
class Absence:
    """The absence of a session, since when it lasts."""

    since: float | None = None

    def is_long(self, *, is_subscribed: bool, now: float) -> bool:
        """Take in one look (`now` in monotonic seconds); return whether the absence is long."""
        if is_subscribed:
            self.since = None
        elif self.since is None:
            self.since = now
        return self.since is not None and now - self.since >= MISSING_SECONDS


async def watch_the_session(
    seat: Seat,
    *,
    is_subscribed: Callable[[], bool],
    try_session: Callable[[], Awaitable[str | None]],
    clock: Clock,
) -> None:
    """Tell other replicas of the session, for ever. Raises LineGivenUp when another replica is to subscribe."""
    absence = Absence()
    while True:
        await clock.sleep(LOOK_SECONDS)
        if not seat.leads:
            await _try_for_the_other(seat, try_session, clock)
        elif not absence.is_long(is_subscribed=is_subscribed(), now=clock.monotonic()):
            seat.session_word = ""
        elif "possible" in seat.session_words:
            raise LineGivenUp(
                f"no session with the broker for {MISSING_SECONDS:.0f} seconds, where another replica could have one:"
                " it is to lead, and this one has to start anew; see the log for what was in the way"
            )
        else:
            seat.session_word = "missing"


async def _try_for_the_other(
    seat: Seat, try_session: Callable[[], Awaitable[str | None]], clock: Clock
) -> None:
    if "missing" not in seat.session_words:
        seat.session_word = ""
    elif seat.session_word != "possible":
        if await try_session() is None:
            seat.session_word = "possible"
        else:
            await clock.sleep(TRIAL_SECONDS)
