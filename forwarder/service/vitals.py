"""The vitals tell how the service is: health, readiness, metrics."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

from forwarder.api import Situation
from forwarder.clock import Clock
from forwarder.errors import OutboxError
from forwarder.metrics import Metrics
from forwarder.normalise import Normaliser
from forwarder.outbox import EndpointTotals, Outbox, Overview, Seat
from forwarder.reading import QuarantineReason, rfc3339
from forwarder.routes import Rejection
from forwarder.sender import Descriptors
from forwarder.service.reloading import Reloader
from forwarder.subscriber import Subscriber
from forwarder.units import format_duration
from forwarder.web.page import Pulse

STUCK_SECONDS = 60.0
"""A commit that takes longer will not end any more."""


class ServiceVitals:
    """Looks at the parts from outside, and keeps only what it reported last."""

    def __init__(
        self,
        *,
        outbox: Outbox,
        subscriber: Subscriber,
        reloader: Reloader,
        normaliser: Normaliser,
        descriptors: Descriptors,
        metrics: Metrics,
        clock: Clock,
        log_lines_dropped: Callable[[], int],
        last_message_at: Callable[[], float | None],
        endpoint_changes: Callable[[], int],
        max_bytes: int,
        seat: Seat,
        warnings: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        self._warnings = warnings
        self._seat = seat
        self._outbox = outbox
        self._outbox_id = outbox.accounts.overview().identity
        self._subscriber = subscriber
        self._reloader = reloader
        self._normaliser = normaliser
        self._descriptors = descriptors
        self._metrics = metrics
        self._clock = clock
        self._log_lines_dropped = log_lines_dropped
        self._last_message_at, self._endpoint_changes = last_message_at, endpoint_changes
        self._max_bytes = max_bytes
        self._recalled_at = max((one.last_at or 0.0 for one in outbox.devices), default=0.0) or None
        """When the last reading before the start came."""
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._enqueued: dict[str, int] = {}
        self._thinned: dict[str, int] = {}
        self._evicted: dict[str, int] = {}
        for reason in get_args(QuarantineReason):
            metrics.quarantine_evicted.labels(reason)  # begins with zero, like the others
        self._misfits = self._commits = self._dropped = 0
        self._turn = asyncio.Lock()

    def watch(self, tasks: Mapping[str, asyncio.Task[None]]) -> None:
        """Watch parts that run as long as the service does; a part that has ended is stuck."""
        self._tasks.update(tasks)

    def end_watch(self) -> None:
        """Watch no part any more, because the service ends them one after the other."""
        self._tasks.clear()

    def stuck_parts(self) -> list[str]:
        stuck = [f"{name} has stopped" for name, task in self._tasks.items() if task.done()]
        since = self._outbox.committing_since
        if since is not None and self._clock.monotonic() - since > STUCK_SECONDS:
            stuck.append("the outbox has been waiting for the disk for over a minute")
        return stuck

    def unmended(self) -> list[str]:
        """Problems that are no reason to end what still delivers, because a start would meet them too."""
        return [] if self._reloader.problem is None else [self._reloader.problem]

    def reasons(self) -> list[str]:
        """The problems that keep the service from its job, one sentence each."""
        session = self._subscriber.state
        reasons = []
        if self._seat.leads and not session.subscribed:
            reasons.append(session.problem or "not subscribed to the broker")
        if self._outbox.capacity.problem is not None:
            reasons.append(self._outbox.capacity.problem)
        return reasons + self.unmended()

    def readiness(self) -> dict[str, Any]:
        session, reasons = self._subscriber.state, self.reasons()
        return {
            "ready": not reasons,
            "reasons": reasons,
            "warnings": [
                *self._warnings(),
                *self._namesakes(),
                *self._differing(),
                *self._missing(),
                *self._clock_off(),
            ],
            "mqtt": {
                "connected": session.connected,
                "subscribed": session.subscribed,
                "since": rfc3339(session.since),
                "problem": self._session_problem(),
                "sessions": session.sessions,
                "gaps": session.gaps,
            },
            "outbox": {"id": self._outbox_id, "problem": self._outbox.capacity.problem},
            "replica": {"leads": self._seat.leads, "leader": self._seat.leader or None},
            "descriptors": {"problem": self._descriptors.problem},
            "routes": {
                "endpoints": len(self._reloader.routes.endpoints),
                **_place_of(self._reloader.rejection),
            },
        }

    def _session_problem(self) -> str | None:
        if self._seat.leads:
            return self._subscriber.state.problem
        return f"not subscribed: {self._seat.leader or 'another replica'} leads"

    def _namesakes(self) -> list[str]:
        if not self._seat.has_namesake:
            return []
        return ["another replica has the same name; set another FORWARDER_REPLICA_NAME"]

    def _differing(self) -> list[str]:
        """A warning while other replicas have other routes."""
        names = ", ".join(self._seat.differing)
        return [f"routes.yaml differs from that of replica {names}"] if names else []

    def _missing(self) -> list[str]:
        missing = self._outbox.capacity.missing
        return [] if missing is None else [missing]

    def _clock_off(self) -> list[str]:
        ahead = self._seat.clock_ahead
        if not ahead:
            return []
        span = f"{format_duration(abs(ahead))} {'ahead of' if ahead > 0 else 'behind'}"
        return [
            f"this machine's clock is {span} the database's, which replicas go by; have NTP set it"
        ]

    def situation(self) -> Situation:
        """The situation of the running service, for the API."""
        rejection = self._reloader.rejection
        return Situation(
            readiness=self.readiness(),
            routes=self._reloader.routes,
            problem=None if rejection is None else rejection.sentences[0],
            now=self._clock.unix(),
        )

    def pulse(self) -> Pulse:
        """The pulse of the service; the page takes it twice a second while somebody reads."""
        return Pulse(
            state=(
                tuple(self.reasons()),
                self._reloader.rejection,
                self._endpoint_changes(),
                self._reloader.changed_at,
            ),
            last_message_at=self._last_message_at() or self._recalled_at,
            used_bytes=self._outbox.accounts.used_bytes,
            max_bytes=self._max_bytes,
            routes_changed_at=self._reloader.changed_at,
        )

    def endpoints(self) -> dict[str, dict[str, bool]]:
        routed = self._reloader.routes.endpoints
        return {name: {"paused": endpoint.paused} for name, endpoint in routed.items()}

    async def metrics(self) -> bytes:
        """The Prometheus text; it is written beside the loop, because thousands of endpoints take half a second."""
        self._metrics.leader.set(self._seat.leads)
        self._metrics.mqtt_connected.set(self._subscriber.state.subscribed)
        self._metrics.devices_silent.set(self._outbox.devices.silent_count)
        self._metrics.descriptors_exhausted.set(self._descriptors.problem is not None)
        # One scrape at a time, because each counts on from the last; the next waits here, and holds no thread.
        async with self._turn:
            return await asyncio.to_thread(self._scrape)

    def _scrape(self) -> bytes:
        self._count_commits()
        self._count_dropped()
        # /readyz tells of trouble with the outbox, and the other metrics are still worth having.
        with contextlib.suppress(OutboxError):
            self._show(self._outbox.accounts.overview())
        return self._metrics.text()

    def _count_commits(self) -> None:
        commits = self._outbox.accounts.commits
        self._metrics.commits.inc(commits - self._commits)
        self._commits = commits

    def _count_dropped(self) -> None:
        dropped = self._log_lines_dropped()
        self._metrics.log_lines_dropped.inc(dropped - self._dropped)
        self._dropped = dropped

    def _show(self, overview: Overview) -> None:
        metrics = self._metrics
        self._show_homes(overview.endpoints)
        enqueued = dict(
            self._outbox.accounts.enqueued
        )  # copied in one step, because the loop goes on counting
        for name, count in enqueued.items():
            metrics.enqueued.labels(name).inc(count - self._enqueued.get(name, 0))
        self._enqueued = enqueued
        thinned = dict(self._outbox.accounts.thinned)
        for name, count in thinned.items():
            metrics.thinned.count(name, by=count - self._thinned.get(name, 0))
        self._thinned = thinned
        misfits = self._normaliser.misfits
        metrics.misfits.inc(misfits - self._misfits)
        self._misfits = misfits
        metrics.dead_letters.clear()
        for (name, reason), count in overview.dead_letters.items():
            if name in self._outbox.homes:
                metrics.dead_letters.labels(name, reason).set(count)
        if self._outbox.leads:
            self._show_quarantine(overview)

    def _show_homes(self, endpoints: Sequence[EndpointTotals]) -> None:
        """Show the endpoints with their home here; each replica shows its own, so that sums over all are right."""
        metrics, now = self._metrics, self._clock.unix()
        if self._outbox.homes.here is not None:
            for gauge in metrics.of_homes:
                gauge.clear()
        homes = [one for one in endpoints if one.name in self._outbox.homes]
        metrics.endpoints_owned.set(len(homes))
        for totals in homes:
            name = totals.name
            metrics.pending.labels(name).set(totals.pending)
            oldest = totals.oldest_pending_at
            metrics.oldest_pending_age.labels(name).set(max(0.0, now - oldest) if oldest else 0.0)
            metrics.endpoint_open.labels(name).set(totals.health.is_open)
            held_until = totals.health.open_until or 0.0
            metrics.next_probe.labels(name).set(held_until if held_until > now else 0.0)

    def _show_quarantine(self, overview: Overview) -> None:
        metrics = self._metrics
        for reason, count in overview.quarantine_evicted.items():
            evicted = metrics.quarantine_evicted.labels(reason)
            evicted.inc(count - self._evicted.get(reason, 0))
        self._evicted = overview.quarantine_evicted
        metrics.quarantined.clear()
        for reason, count in overview.quarantined.items():
            metrics.quarantined.labels(reason).set(count)


def _place_of(rejection: Rejection | None) -> dict[str, int | str | None]:
    """The number of mistakes and the place of the first; their text stays out, because anybody may ask."""
    if rejection is None:
        return {"problems": 0, "first": None}
    return {"problems": rejection.count, "first": rejection.place}
