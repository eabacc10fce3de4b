"""
One replica among those on an outbox: which endpoints it delivers to, when it begins to lead, when it stops by itself.

Of matter where the outbox is in a database. On a file the only forwarder leads from the start and delivers everything.
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
"""How often it is looked whether the replica leads now, and whether homes are to be taken or left."""
DOUBT_SECONDS = 0.5
"""How often it is looked whether it has been in doubt."""
_IN_DOUBT = "the database has not confirmed for some seconds that we are alive"


class Sureness:
    """Whether nobody can have taken over yet; asked before each attempt, and again before its request is written."""

    def __init__(self, seat: Seat) -> None:
        self._seat = seat
        self.has_doubted = False
        """Whether somebody was told no, and waits for nothing by itself."""

    def __call__(self) -> bool:
        if self._seat.is_sure:
            return True
        self.has_doubted = True
        return False


class _TakeOver:
    """The step from a replica that follows to the one that leads; a database that is away delays it."""

    def __init__(self, lead: Callable[[], Awaitable[None]]) -> None:
        self._lead = lead
        self._log = logger("service")
        self._has_led = False
        self._waits = False

    async def go_on(self) -> None:
        """Try it, unless it has held before; what fails is left to the next look, and logged once."""
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
    Say so while another replica may have taken over, and have everything go on once a beat and a commit have held.

    What is under way ends by itself; what is settled meanwhile is refused if somebody has taken over.
    """
    while True:
        await clock.sleep(DOUBT_SECONDS)
        if not sureness():
            outbox.capacity.failed(OutboxUnavailable(seat.problem or _IN_DOUBT))
        elif sureness.has_doubted:
            sureness.has_doubted = False
            outbox.capacity.failed(OutboxUnavailable(_IN_DOUBT))
            await outbox.try_commit()  # once it holds, all goes on


async def keep_the_seat(
    seat: Seat, dispatcher: Dispatcher, *, lead: Callable[[], Awaitable[None]], clock: Clock
) -> None:
    """
    Deliver to the endpoints that are this replica's, and call `lead` when it leads, until it has held once.

    Raises OutboxTaken when the others have taken it for dead.
    """
    log = logger("service")
    take_over = _TakeOver(lead)
    differing, ahead = list[str](), 0.0
    if not seat.leads:
        log.info("replica.follows", leader=seat.leader)
    while True:
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
    """Let other replicas know by which routes this one works; that they agree is the operator's to see to."""
    with suppress(OSError):
        text = await beside_the_loop(file.read_bytes)
        groups = sorted((name, sorted(devices)) for name, devices in routes.groups.items())
        seat.routes = blake2b(text + repr(groups).encode(), digest_size=4).hexdigest()


def listen(seat: Seat, outbox: Outbox) -> None:
    """Have the outbox look at once when others have committed something."""
    loop = asyncio.get_running_loop()

    def ring() -> None:
        with suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(outbox.look)

    seat.listen(ring)
