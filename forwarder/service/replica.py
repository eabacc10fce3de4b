"""
A replica that does not lead: it waits for its turn, and says so; and one that leads and is not sure of it any more.

Both matter where the outbox is in a database. On a file the only forwarder leads from the start.
"""

import asyncio
import signal
from collections.abc import Mapping, Sequence
from typing import Any

from forwarder.clock import Clock
from forwarder.errors import OutboxUnavailable
from forwarder.logs import logger
from forwarder.metrics import standby_text
from forwarder.outbox import Outbox, Prune, Seat
from forwarder.routes import Routes
from forwarder.web import Limits, WebServer, build_app

LOOK_SECONDS = 0.2
"""How often it is looked whether the replica leads now."""
DOUBT_SECONDS = 0.5
"""How often a replica that leads looks whether it still may believe so."""


class StandbyProbe:
    """What a replica tells about itself that does not lead."""

    def __init__(self, seat: Seat, routes: Routes, warnings: Sequence[str]) -> None:
        self._seat = seat
        self._routes = routes
        self._warnings = list(warnings)

    def stuck_parts(self) -> list[str]:
        return []

    def unmended(self) -> list[str]:
        return []

    def readiness(self) -> Mapping[str, Any]:
        seat = self._seat
        reasons = [] if seat.is_sure else [seat.problem or "the database does not answer"]
        problem = f"not subscribed: {seat.leader or 'another replica'} leads"
        return {
            "ready": not reasons,
            "reasons": reasons,
            "warnings": self._warnings,
            "mqtt": {"connected": False, "subscribed": False, "problem": problem},
            "outbox": {"id": seat.outbox_id, "problem": seat.problem},
            "replica": {"leads": False, "leader": seat.leader},
            "routes": {"endpoints": len(self._routes.endpoints), "problems": 0, "first": None},
        }

    def endpoints(self) -> Mapping[str, Any]:
        return {
            name: {"paused": endpoint.paused} for name, endpoint in self._routes.endpoints.items()
        }

    async def metrics(self) -> bytes:
        """Nothing that the leader counts: no alert is to fire for a replica that has nothing to do."""
        return standby_text()


async def stand_by(
    seat: Seat, probe: StandbyProbe, *, address: tuple[str, int], limits: Limits
) -> bool:
    """Return True once the replica leads, False when SIGTERM or SIGINT ends it before."""
    log = logger("service")
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    app = build_app(probe, slow_answers=limits.connections // 2)
    web = WebServer(app, host=address[0], port=address[1], limits=limits)
    web.start()
    log.info("replica.standing_by", leader=seat.leader)
    try:
        while not (seat.leads or stopping.is_set()):
            await asyncio.wait([asyncio.create_task(stopping.wait())], timeout=LOOK_SECONDS)
    finally:
        await web.close()
    if seat.leads and not stopping.is_set():
        log.info("replica.leads")
        return True
    return False


async def doubt_while_unsure(seat: Seat, outbox: Outbox, clock: Clock) -> None:
    """
    Have nothing new sent while another replica may have taken over, for good or until a beat commits.

    What is under way ends by itself; what is settled meanwhile is refused if somebody has.
    """
    is_in_doubt = False
    while True:
        await clock.sleep(DOUBT_SECONDS)
        if not seat.is_sure:
            is_in_doubt = True
            outbox.capacity.failed(
                OutboxUnavailable(
                    seat.problem
                    or "the database has not confirmed for some seconds that we are alive"
                )
            )
        elif is_in_doubt:
            is_in_doubt = False
            await outbox.operate(Prune(0.0, 0.0))  # a commit that holds: then all goes on
