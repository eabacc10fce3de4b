"""The state of the whole line: the totals, and which endpoints are well."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from forwarder.endpoint_health import EndpointHealth
from forwarder.outbox import EndpointTotals, Replica, exists, opened
from forwarder.settings import OutboxPlace
from forwarder.statuses import REFUSALS

State: TypeAlias = Literal["closed", "open", "paused", "removed"]
PausedBy: TypeAlias = Literal["operator", "gone", "routes"]
"""The cause of an endpoint's pause: an operator, its own 410, or `paused: true` in routes.yaml."""

NOT_SAID: Mapping[str, frozenset[int]] = {}
_OUTCOMES = ("accepted", "quarantined", "unrouted", "duplicate")


@dataclass(frozen=True, slots=True)
class EndpointStatus:
    """One endpoint's accounts and state. Instants are UNIX seconds."""

    state: State
    totals: EndpointTotals
    paused_by: PausedBy | None = None
    dead_letters: int = 0
    """Dead letters that wait for an operator. `totals.dead` also counts discarded and forgotten ones."""
    refused: frozenset[int] = REFUSALS
    """Statuses by which it refuses a reading for good, as far as the routes are known."""

    @property
    def health(self) -> EndpointHealth:
        return self.totals.health


@dataclass(frozen=True, slots=True)
class Status:
    """The outbox at one instant. All is zero while there is none."""

    identity: str | None = None
    """The identity of the outbox; None while there is none."""
    messages: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_OUTCOMES, 0))
    quarantine: int = 0
    replicas: tuple[Replica, ...] = ()
    quarantine_evicted: dict[str, int] = field(default_factory=dict)
    """How many messages have made room for newer ones in the quarantine, by reason."""
    endpoints: dict[str, EndpointStatus] = field(default_factory=dict)


def read_status(
    place: OutboxPlace,
    *,
    in_force: Mapping[str, bool] | None,
    refused: Mapping[str, frozenset[int]] = NOT_SAID,
    now: float,
) -> Status:
    """
    The state of the outbox and of its endpoints.

    `in_force` holds the endpoints of the routes, and whether the routes pause them; None: nobody knows. `refused` holds
    the statuses by which an endpoint refuses a reading for good, if they are not the usual ones.
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
    The state of an endpoint. `is_paused` says whether the routes pause it; None: they are not known to name it.

    An endpoint that its own Retry-After holds back is open, too.
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
