"""How everything stands: the totals, and who is well and who is not."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from forwarder.endpoint_health import EndpointHealth
from forwarder.outbox import EndpointTotals, Replica, exists, opened
from forwarder.settings import OutboxPlace
from forwarder.statuses import REFUSALS

State: TypeAlias = Literal["closed", "open", "paused", "removed"]
PausedBy: TypeAlias = Literal["operator", "gone", "routes"]
"""Who paused it: an operator, its own 410, or `paused: true` in routes.yaml."""

NOT_SAID: Mapping[str, frozenset[int]] = {}
_OUTCOMES = ("accepted", "quarantined", "unrouted", "duplicate")


@dataclass(frozen=True, slots=True)
class EndpointStatus:
    """One endpoint's accounts and state; instants are UNIX seconds."""

    state: State
    totals: EndpointTotals
    paused_by: PausedBy | None = None
    dead_letters: int = 0
    """Those that wait for an operator; `totals.dead` also counts what was discarded or forgotten."""
    refused: frozenset[int] = REFUSALS
    """The statuses by which it refuses a reading for good, as far as the routes are known."""

    @property
    def health(self) -> EndpointHealth:
        return self.totals.health


@dataclass(frozen=True, slots=True)
class Status:
    """The outbox at one instant; all zeros while there is none."""

    identity: str | None = None
    """Which outbox this is; None while there is none."""
    messages: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_OUTCOMES, 0))
    quarantine: int = 0
    replicas: tuple[Replica, ...] = ()
    quarantine_evicted: dict[str, int] = field(default_factory=dict)
    """How many messages have left the quarantine for newer ones, by reason."""
    endpoints: dict[str, EndpointStatus] = field(default_factory=dict)


def read_status(
    place: OutboxPlace,
    *,
    in_force: Mapping[str, bool] | None,
    refused: Mapping[str, frozenset[int]] = NOT_SAID,
    now: float,
) -> Status:
    """
    What the outbox holds, beside the endpoints in force and whether the routes pause them; None: nobody knows.

    `refused` are the statuses by which an endpoint refuses a reading for good, where they are not the usual ones.
    """
    if not exists(place):
        return Status(endpoints=_judge([], {}, in_force, refused, now))
    with opened(place, is_read_only=True) as outbox:
        overview = outbox.overview()
    return Status(
        identity=overview.identity,
        messages={outcome: overview.messages.get(outcome, 0) for outcome in _OUTCOMES},
        quarantine=sum(overview.quarantined.values()),
        quarantine_evicted=overview.quarantine_evicted,
        replicas=overview.replicas,
        endpoints=_judge(overview.endpoints, overview.dead_letters, in_force, refused, now),
    )


def _judge(
    totals: Iterable[EndpointTotals],
    dead_letters: dict[tuple[str, str], int],
    in_force: Mapping[str, bool] | None,
    refused: Mapping[str, frozenset[int]],
    now: float,
) -> dict[str, EndpointStatus]:
    named = in_force or {}
    known = {one.name: one for one in totals}
    for name in named:
        known.setdefault(name, EndpointTotals(name))
    dead = dict.fromkeys(known, 0)
    for (name, _), count in dead_letters.items():
        dead[name] += count
    order = [*named, *(name for name in known if name not in named)]
    return {
        name: judge(
            known[name],
            is_paused=named.get(name),
            is_known=name in named or in_force is None,
            dead=dead[name],
            refused=refused.get(name, REFUSALS),
            now=now,
        )
        for name in order
    }


def judge(
    totals: EndpointTotals,
    *,
    is_paused: bool | None,
    is_known: bool,
    dead: int,
    now: float,
    refused: frozenset[int] = REFUSALS,
) -> EndpointStatus:
    """
    What is to be said of an endpoint that the routes pause or not; None: they are not known to name it.

    Open is also one that its own Retry-After holds back.
    """
    health = totals.health
    paused_by: PausedBy | None = health.paused_by
    if paused_by is None and is_paused:
        paused_by = "routes"
    state: State = "closed"
    if not is_known or (totals.removed_at is not None and is_paused is None):
        state = "removed"
    elif paused_by:
        state = "paused"
    elif health.is_open or (health.open_until or 0.0) > now:
        state = "open"
    return EndpointStatus(state, totals, paused_by, dead, refused)
