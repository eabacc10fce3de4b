"""Which endpoints are delivered to from here, where other replicas deliver to others, and what those put for them."""

from collections import defaultdict
from collections.abc import Callable, Collection, Container, Iterable, Sequence

from forwarder.clock import Clock
from forwarder.delivery import Delivery
from forwarder.outbox.changes import Applied, LaneKey
from forwarder.outbox.commit import Commit
from forwarder.outbox.engine import Engine
from forwarder.outbox.lanes import EndpointLanes
from forwarder.outbox.schedule import Schedule
from forwarder.reading import Device


class Homes:
    """
    The endpoints of this replica; on the loop alone. On a file all of them are.

    `next_commit` is the one to which belongs what follows from a change.
    """

    def __init__(
        self,
        engine: Engine,
        schedule: Schedule,
        *,
        clock: Clock,
        next_commit: Callable[[], Commit],
        hurry: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._schedule = schedule
        self._clock = clock
        self._next_commit = next_commit
        self._hurry = hurry
        self.here: Collection[str] | None = engine.homes()
        """None: all there are."""
        self.on_changed: Callable[[], None] = lambda: None
        """Told when others are here than before."""
        schedule.on_served = self._supersede_all

    def __contains__(self, endpoint: str) -> bool:
        return self.here is None or endpoint in self.here

    def publish(self, applied: Applied) -> set[str]:
        """Take over what other replicas have to do with; returns where something may be claimed for it."""
        if applied.homes is not None:
            self._take_over(applied.homes)
        if not self._engine.leads:
            self._supersede_counted(applied.counted)
        return self._join(applied.arrived, applied.counted) if applied.arrived else set()

    def _take_over(self, homes: Collection[str]) -> None:
        """A commit has brought the lanes of those that are new."""
        lost = set(self.here or ()).difference(homes)
        self.here = homes
        for name in lost:
            self._schedule.lanes_of(name).drop()
            self._next_commit().forget(name)
        self.on_changed()

    def _join(self, arrived: Sequence[Delivery], counted: Container[LaneKey]) -> set[str]:
        """What another replica has put joins its lanes, unless it was counted with them."""
        joining: defaultdict[str, list[Delivery]] = defaultdict(list)
        for one in arrived:
            if (one.endpoint, one.device) not in counted and one.endpoint in self:
                joining[one.endpoint].append(one)
        for name, some in joining.items():
            lanes = self._schedule.lanes_of(name)
            lanes.extend(some, now=self._clock.monotonic())
            self._supersede(lanes, {one.device for one in some})
        return set(joining)

    def _supersede_counted(self, counted: Iterable[LaneKey]) -> None:
        """What another replica has put may have come by a count of its lane."""
        for name, device in counted:
            if name in self:
                self._supersede(self._schedule.lanes_of(name), [device])

    def _supersede_all(self, lanes: EndpointLanes) -> None:
        """What came while nobody delivered to the endpoint has superseded nothing yet."""
        if self.here is not None:
            self._supersede(lanes, lanes.devices())

    def _supersede(self, lanes: EndpointLanes, devices: Iterable[Device]) -> None:
        for lane in lanes.outdated(devices):
            self._next_commit().supersede(lanes, lane)
            self._hurry()
