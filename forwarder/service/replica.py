"""
A replica among others on an outbox: which endpoints it delivers to, when it begins to lead, when it stops by itself.

Only an outbox in a database has replicas. The one forwarder on a file leads from the start and delivers everything.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

from forwarder.clock import Clock
from forwarder.dispatcher import Dispatcher
from forwarder.errors import OutboxTaken, OutboxUnavailable
from forwarder.files import beside_the_loop
from forwarder.logs import logger
from forwarder.outbox import Outbox, Seat
from forwarder.routes import Routes

LOOK_SECONDS = 0.2
"""How often the replica looks whether it leads now, and which homes it is to take or leave."""
DOUBT_SECONDS = 0.5
"""How often the replica looks whether it is in doubt."""
_IN_DOUBT = "the database has not confirmed for some seconds that we are alive"


class Sureness:
    """Tells whether nobody can have taken over yet, before each attempt and again before its request is written."""

    def __init__(self, seat: Seat) -> None:
        self._seat = seat
        self.has_doubted = False
        """Whether a caller was told no; such a caller does not ask again by itself."""

    def __call__(self) -> bool:
        if self._seat.is_sure:
            return True
        self.has_doubted = True
        return False


class _TakeOver:
    """The step from a replica that follows to the leader; a database that is away delays it."""

    def __init__(self, lead: Callable[[], Awaitable[None]]) -> None:
        self._lead = lead
        self._log = logger("service")
        self._has_led = False
        self._waits = False

    async def go_on(self) -> None:
        """Take over, unless that has succeeded before; the next look repeats a failed try, which is logged once."""
        if self._has_led:
            return
        try:
            await self._lead()
        except OutboxUnavailable as unavailable:
            if not self._waits:
                self._log.warning("replica.waits", problem=str(unavailable))
            self._waits = True
            return
        self._has_led = True
        self._log.info("replica.leads")


async def doubt_while_unsure(
    seat: Seat, sureness: Sureness, outbox: Outbox, *, clock: Clock
) -> None:
    """
    Stop the line while another replica may have taken over, and let it go on once a beat and a commit have succeeded.

    Attempts under way end by themselves. Their settlements are refused if another replica has taken over.
    """
    while True:
        await clock.sleep(DOUBT_SECONDS)
        if not sureness():
            outbox.capacity.failed(OutboxUnavailable(seat.problem or _IN_DOUBT))
        elif sureness.has_doubted:
            sureness.has_doubted = False
            outbox.capacity.failed(OutboxUnavailable(_IN_DOUBT))
            await outbox.try_commit()  # a commit that succeeds lets the line go on


async def keep_the_seat(
    seat: Seat, dispatcher: Dispatcher, *, lead: Callable[[], Awaitable[None]], clock: Clock
) -> None:
    """
    Deliver to this replica's endpoints, and call `lead` when the replica leads, until a call has succeeded.

    Raises OutboxTaken when other replicas have taken this one for dead.
    """
    log = logger("service")
    take_over = _TakeOver(lead)
    differing, ahead = list[str](), 0.0
    if not seat.leads:
        log.info("replica.follows", leader=seat.leader)
    # A thread of the seat replaces its fields, each as a whole, so they are read here without a lock.
    while True:
        # A replica that was taken for dead ends before it acts, because others may have its homes.
        if seat.is_dead:
            raise OutboxTaken(
                "another forwarder has taken over what this one had, because it was not heard of; it has to start anew"
            )
        if seat.leads:
            await take_over.go_on()
        if seat.homes is not None:
            dispatcher.follow_homes(seat.homes.elsewhere, seat.homes.free)
        if list(seat.differing) != differing:
            differing = list(seat.differing)
            if differing:
                log.warning("routes.differ", replicas=differing)
        if seat.clock_ahead != ahead:
            ahead = seat.clock_ahead
            if ahead:
                log.warning("clock.differs", seconds=round(ahead, 1))
        await clock.sleep(LOOK_SECONDS)


async def tell_routes(seat: Seat, routes: Routes, file: Path) -> None:
    """Tell other replicas a digest of this one's routes; the operator has to see that they agree."""
    with suppress(OSError):
        text = await beside_the_loop(file.read_bytes)
        groups = sorted((name, sorted(devices)) for name, devices in routes.groups.items())
        seat.routes = blake2b(text + repr(groups).encode(), digest_size=4).hexdigest()


def listen(seat: Seat, outbox: Outbox) -> None:
    """Make the outbox look at once when another replica has committed something."""
    loop = asyncio.get_running_loop()

    # The seat rings in a thread of its own, and the outbox is used on the loop alone.
    def ring() -> None:
        with suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(outbox.look)

    seat.listen(ring)
