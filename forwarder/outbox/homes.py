"""Homes: the endpoints that this replica delivers to, and the deliveries that the leader puts for them."""

from collections import defaultdict
from collections.abc import Callable, Collection, Container, Iterable, Sequence

from forwarder.clock import Clock
from forwarder.delivery import Delivery
from forwarder.outbox.changes import Applied, LaneKey
from forwarder.outbox.group_commit import GroupCommit
from forwarder.outbox.lanes import EndpointLanes
from forwarder.outbox.schedule import Schedule
from forwarder.reading import Device


class Homes:
    """The endpoints of this replica, used on the loop alone. A file has one replica, which is every endpoint's home."""

    def __init__(
        self,
        here: Collection[str] | None,
        schedule: Schedule,
        commits: GroupCommit,
        *,
        leads: Callable[[], bool],
        clock: Clock,
    ) -> None:
        self._leads = leads
        self._schedule = schedule
        self._commits = commits
        self._clock = clock
        self.here = here
        """The endpoints whose home is here; None where all are."""
        self.on_changed: Callable[[], None] = lambda: None
        """Called when `here` has changed."""

    def __contains__(self, endpoint: str) -> bool:
        return self.here is None or endpoint in self.here

    def publish(self, applied: Applied) -> set[str]:
        """Take over what a commit brought from other replicas; returns the endpoints that got deliveries."""
        if applied.homes is not None:
            self._take_over(applied.homes)
        if not self._leads():
            self._supersede_counted(applied.counted)
        return self._join(applied.arrived, applied.counted) if applied.arrived else set()

    def _take_over(self, homes: Collection[str]) -> None:
        """Drop the lanes of endpoints that have left; the commit has brought the lanes of new ones."""
        lost = set(self.here or ()).difference(homes)
        self.here = homes
        for name in lost:
            self._schedule.lanes_of(name).drop()
            # A late record would meet the new home's epoch, and end this process as deposed.
            self._commits.next.forget(name)
        self.on_changed()

    def _join(self, arrived: Sequence[Delivery], counted: Container[LaneKey]) -> set[str]:
        """Add another replica's puts to their lanes, except lanes whose count includes them already."""
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
        """Supersede in counted lanes, because a count may bring what another replica has put."""
        for name, device in counted:
            if name in self:
                self._supersede(self._schedule.lanes_of(name), [device])

    def supersede_all(self, lanes: EndpointLanes) -> None:
        """Supersede in all lanes, because nothing was superseded while nobody delivered to the endpoint."""
        if self.here is not None:
            self._supersede(lanes, lanes.devices())

    def _supersede(self, lanes: EndpointLanes, devices: Iterable[Device]) -> None:
        # The home supersedes behind another replica's put, because only the home knows what is in flight.
        for lane in lanes.outdated(devices):
            self._commits.next.supersede(lanes, lane)
            self._commits.hurry()
