"""The teller collects facts on the loop, has the rules decide, and hands notices over to the outbox."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from forwarder.clock import Clock
from forwarder.endpoint_health import EndpointHealth
from forwarder.errors import OutboxError
from forwarder.logs import logger
from forwarder.notice import OPERATOR, DeviceResumed, Notice
from forwarder.notices.rules import Moment, Rules, Session
from forwarder.notices.silence import Transition
from forwarder.notices.told import read_told, write_told
from forwarder.notices.wording import new_notice
from forwarder.outbox import Outbox, Told
from forwarder.routes import Rejection, Routes

if TYPE_CHECKING:
    from collections import Counter

TICK_SECONDS = 1.0
"""The time after which the rules are asked when no fact comes."""
ROOM_SECONDS = 10.0
OVERVIEW_SECONDS = 60.0
"""The times between two looks at the outbox: at its room, and at its quarantine."""


@dataclass(frozen=True, slots=True)
class Room:
    """The room of the outbox, by its settings and by its disk. `free_bytes` is called beside the loop."""

    max_bytes: int
    free_bytes: Callable[[], int]


class Teller:
    """
    Tells the operator what the line does, as long as routes.yaml has an `operator:`.

    Facts come by methods that neither wait nor write: they touch the rules' memory alone. `run` hands over what
    follows. While the outbox takes no writes, notices wait in the rules, one entry for each endpoint. Nothing is told
    about the operator's own endpoint.
    """

    def __init__(
        self,
        *,
        outbox: Outbox,
        clock: Clock,
        session: Callable[[], Session],
        healths: Callable[[], Mapping[str, EndpointHealth]],
        health_of: Callable[[str], EndpointHealth | None],
        room: Room,
    ) -> None:
        self._outbox = outbox
        self._clock = clock
        self._session = session
        self._healths = healths
        self._health_of = health_of
        self._room = room
        self._log = logger("notices")
        self._rules: Rules | None = None
        """None while there is no operator, and until the memory of told notices could be read."""
        self._events: Sequence[str] | None = None
        """The notices that are wanted; None while there is no operator."""
        self._wake = asyncio.Event()
        self._overview_at = float("-inf")

    def _now(self) -> Moment:
        return Moment(self._clock.unix(), self._clock.monotonic())

    def use(self, routes: Routes) -> None:
        """Tell the operator of this table. A new operator is told of all that is wrong already."""
        operator = routes.operator
        if operator is None:
            self._hand_over()
            self._rules = self._events = None
            return
        self._events = operator.events or ()
        if self._rules is not None:
            self._rules.accepted()
        self._begin()

    def _begin(self) -> None:
        """Go on where the operator stands, endpoints as they are. `run` tries again when the outbox cannot be read."""
        if self._rules is None:
            try:
                self._rules = Rules(read_told(self._outbox.told()), now=self._now())
            except OutboxError:
                return
            self._rules.devices([*self._recalled(self._rules)], now=self._now())
        for name, health in self._healths().items():
            self.endpoint_changed(name, health)

    def _recalled(self, rules: Rules) -> Iterator[DeviceResumed]:
        """
        Have operator and records agree on the devices that were told as silent.

        A return is told now if a crash or a missing operator kept it from being told. A device that has not returned is
        marked as silent, because the operator may know of it before its record does.
        """
        for device, since in rules.silences.items():
            known = self._outbox.devices.find(device)
            if known is None or known.silent_since is not None:
                continue
            if (known.last_at or 0.0) > since:
                yield DeviceResumed(device, since, known.last_at or since)
            else:
                self._outbox.devices.mark(known, silent_since=since)

    def endpoint_changed(self, endpoint: str, health: EndpointHealth) -> None:
        """Take that an endpoint's circuit has opened or closed, or that it was paused or resumed."""
        if self._rules is not None and endpoint != OPERATOR:
            self._rules.look(endpoint, health, now=self._now())
            self._wake.set()

    def deliveries_died(self, endpoint: str, reason: str, count: int) -> None:
        """Take that `count` deliveries of the endpoint became dead letters."""
        if self._rules is not None and endpoint != OPERATOR:
            is_news = self._rules.died(endpoint, reason, count, now=self._now())
            if is_news:
                self._wake.set()

    def routes_rejected(self, rejection: Rejection) -> None:
        """Take that an edit of routes.yaml was rejected."""
        if self._rules is not None:
            self._rules.rejected(rejection.count, rejection.place)
            self._wake.set()

    def devices_changed(self, transitions: Sequence[Transition]) -> None:
        """Take devices that fell silent or report again."""
        if self._rules is not None and transitions:
            self._rules.devices(transitions, now=self._now())
            self._wake.set()

    def tell(self, notices: Sequence[Notice]) -> None:
        """Pass on notices that other parts have decided on."""
        if self._rules is not None:
            self._rules.pass_on(notices)
            self._wake.set()

    async def run(self) -> None:
        """Tell until cancelled, and then hand over what is known."""
        try:
            while True:
                await self._until_woken()
                await self._tell_due()
        finally:
            self._hand_over()

    async def _until_woken(self) -> None:
        timer = self._clock.call_later(TICK_SECONDS, self._wake.set)
        await self._wake.wait()
        timer.cancel()
        self._wake.clear()

    async def _tell_due(self) -> None:
        try:
            self._look()
            handed_over = self._hand_over()
            if handed_over is not None:
                # Facts gather meanwhile, so that a disk that takes nothing is not flooded with notices.
                await handed_over
        except Exception as error:  # noqa: BLE001 - it only tells
            self._log.error("telling.broke", what="the notices", exc_info=error)

    def _look(self) -> None:
        if self._rules is None and self._events is not None:
            self._begin()
        rules = self._rules
        if rules is None:
            return
        rules.session(self._session(), now=self._now())
        rules.missing(self._outbox.accounts.missing, now=self._now())
        for endpoint in rules.outages:
            health = self._health_of(endpoint)
            if health is not None:
                rules.look(endpoint, health, now=self._now())

    def _hand_over(self) -> "asyncio.Future[Counter[Told]] | None":
        """Give the outbox the notices that are due; None when none is."""
        if self._rules is None:
            return None
        due = self._rules.due(now=self._now())
        if not due:
            return None
        now = self._clock.unix()
        rows = [
            new_notice(one, at=now, endpoint=OPERATOR)
            for one in due.notices
            if self._is_wanted(one)
        ]
        answer = self._outbox.tell(OPERATOR, rows, write_told(due.told))
        answer.add_done_callback(self._say_dropped)
        return answer

    async def watch_outbox(self) -> None:
        """Look at the outbox's room and quarantine until cancelled. `run` does not wait for it: a disk may be slow."""
        while True:
            await self._clock.sleep(ROOM_SECONDS)
            try:
                await self._look_at_outbox()
            except (OutboxError, OSError):
                continue  # other parts tell that the outbox cannot be read
            except Exception as error:  # noqa: BLE001 - it only tells
                self._log.error("telling.broke", what="the notices", exc_info=error)

    async def _look_at_outbox(self) -> None:
        used = self._outbox.accounts.used_bytes
        free = await asyncio.to_thread(self._room.free_bytes)
        if self._rules is not None:
            self._rules.room(used, min(self._room.max_bytes, used + free), now=self._now())
        if self._clock.monotonic() >= self._overview_at:
            self._overview_at = self._clock.monotonic() + OVERVIEW_SECONDS
            overview = await asyncio.to_thread(self._outbox.accounts.overview)
            total = overview.messages.get("quarantined", 0)
            if self._rules is not None:
                self._rules.quarantined(total, overview.quarantined, now=self._now())

    def _is_wanted(self, notice: Notice) -> bool:
        return any(fnmatchcase(notice.TYPE, event) for event in self._events or ())

    def _say_dropped(self, told: "asyncio.Future[Counter[Told]]") -> None:
        if told.cancelled() or told.exception() is not None:
            return
        if dropped := told.result()["no_room"]:
            self._log.warning("notices.dropped", count=dropped)
