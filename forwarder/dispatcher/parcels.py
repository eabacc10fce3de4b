"""The life of an endpoint's parcels, from a claim to its end: made up, kept for their next attempt, given back."""

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from heapq import heappop, heappush

from forwarder.clock import Clock
from forwarder.delivery import Decision, Delivery, Done, RetryAt, Supersede
from forwarder.dispatcher.parcel import MAX_BATCH_BYTES, Parcel, fitting
from forwarder.dispatcher.watch import Watch
from forwarder.outbox import Attempt, Claim, Delivered, Outbox, Settlement
from forwarder.retry import expiry, longest_wait
from forwarder.routes import Endpoint

DELIVERED = Done()
MOST_WAITING = 4
"""Batches that wait for their retry, per place, before no new ones are made."""


class Parcels:
    """
    Everything that is claimed for one endpoint and not in flight, and the way from a claim to its end.

    A batch that failed is kept as it is, so that its next attempt is the same. Single readings are not kept: their
    lanes wait for them.
    """

    def __init__(self, endpoint: Endpoint, *, outbox: Outbox, clock: Clock, watch: Watch) -> None:
        self._endpoint = endpoint
        self._outbox = outbox
        self._clock = clock
        self._watch = watch
        self._lanes = outbox.lanes(endpoint.name)
        self._ready: deque[Parcel] = deque()
        self._waiting: list[tuple[float, int, Parcel]] = []
        self._pushes = 0
        self._edition = 0
        self._longest_wait_seconds = longest_wait(endpoint.retry)

    def configure(self, endpoint: Endpoint) -> None:
        """Take over an edited endpoint; what was made up otherwise than it is now to be sent is claimed anew."""
        is_other = _shape(endpoint) != _shape(self._endpoint)
        self._endpoint = endpoint
        self._longest_wait_seconds = longest_wait(endpoint.retry)
        if is_other:
            self._edition += 1
            self.give_back()

    def take(self, now: float, *, is_probe: bool) -> Parcel | None:
        """What is to be sent next; a probe takes also what would have to wait still."""
        while self._waiting and (is_probe or self._waiting[0][0] <= now):
            self._ready.append(heappop(self._waiting)[2])
        while True:
            parcel = self._ready.popleft() if self._ready else self._claim(now, is_probe=is_probe)
            if parcel is None or self._is_still_wanted(parcel):
                return parcel

    def _claim(self, now: float, *, is_probe: bool) -> Parcel | None:
        batch = self._endpoint.batch
        if self._waiting and not self._has_room:
            return None
        if batch is None:
            claim = self._claim_lane(1, is_probe=is_probe)
            return None if claim is None else Parcel.of([claim], edition=self._edition)
        if not is_probe and self._batch_wait(now) > 0:
            return None
        return self._claim_batch(batch.max_events, is_probe=is_probe)

    @property
    def _has_room(self) -> bool:
        return len(self._waiting) < MOST_WAITING * self._endpoint.max_concurrency

    def _claim_lane(self, limit: int, *, is_probe: bool) -> Claim | None:
        return self._outbox.claim(
            self._endpoint.name,
            limit=limit,
            longest_wait_seconds=self._longest_wait_seconds,
            is_probe=is_probe,
        )

    def _claim_batch(self, max_events: int, *, is_probe: bool) -> Parcel | None:
        claims: list[Claim] = []
        free_events, free_bytes = max_events, MAX_BATCH_BYTES
        most_lanes = 1 if _is_per_device(self._endpoint) else max_events
        while free_events > 0 and len(claims) < most_lanes:
            claim = self._claim_lane(free_events, is_probe=is_probe and not claims)
            if claim is None:
                break
            fit, used_bytes = fitting(claim.deliveries, self._endpoint, free_bytes=free_bytes)
            if fit < len(claim.deliveries):
                if fit == 0 and claims:
                    self._outbox.settle(self._endpoint.name, claim)
                    break
                claim = Claim(claim.lane, claim.deliveries[: max(fit, 1)])
            claims.append(claim)
            free_events -= fit
            free_bytes -= used_bytes
        return Parcel.of(claims, edition=self._edition) if claims else None

    def _batch_wait(self, now: float) -> float:
        """Seconds for which a batch still waits for more readings; infinite when nothing is ready."""
        batch = self._endpoint.batch
        self._lanes.wake_due(now)
        lane = self._lanes.served_next()
        if batch is None or lane is None:
            return float("inf")
        ready = lane.pending if _is_per_device(self._endpoint) else self._lanes.ready_count
        if ready >= batch.max_events:
            return 0.0
        return max(0.0, lane.ready_since + batch.max_wait_seconds - now)

    def next_at(self, now: float, *, is_probe: bool) -> float:
        """When there will be something to take, in monotonic seconds; infinite when only a new reading brings it."""
        if self._ready or (is_probe and (self._waiting or len(self._lanes))):
            return now
        next_at = self._waiting[0][0] if self._waiting else float("inf")
        if not self._has_room:
            return next_at
        due_at = self._lanes.next_due()
        if due_at is not None and due_at < next_at:
            next_at = due_at
        if self._lanes.ready_count:
            next_at = min(next_at, now + (self._batch_wait(now) if self._endpoint.batch else 0.0))
        return next_at

    def _is_still_wanted(self, parcel: Parcel) -> bool:
        """Whether there is something to send in it, once what has changed since it was made up is taken out."""
        for claim in parcel.claims:
            if claim.lane.is_changed:
                self.end(parcel)
                return False
        self._settle_outdated(parcel)
        if not parcel.pieces:
            self.end(parcel)
        return bool(parcel.pieces)

    def _settle_outdated(self, parcel: Parcel) -> None:
        now, endpoint = self._clock.unix(), self._endpoint
        most = endpoint.max_age_seconds
        expired = [one for piece in parcel.pieces for one in piece if now - one.age_from >= most]
        if expired:
            self._drop(parcel, expired, expiry(endpoint))
        if endpoint.mode == "latest":
            tried = (one for one in parcel.head if one.attempts)
            superseded = {one.reading for one in tried if self.is_superseded(parcel, one)}
            if superseded:
                dropped = [one for one in parcel.members if one.reading in superseded]
                self._drop(parcel, dropped, Supersede())

    def _drop(self, parcel: Parcel, deliveries: list[Delivery], decision: Decision) -> None:
        """Settle what is not to be sent any more."""
        parcel.close(deliveries)
        self.record([Settlement(one, decision, None) for one in deliveries])

    def is_superseded(self, parcel: Parcel, delivery: Delivery) -> bool:
        """Whether only the latest counts, and a newer one waits; a replayed older one does not count."""
        return (
            self._endpoint.mode == "latest"
            and parcel.lane_of(delivery).unclaimed > 0
            and self._outbox.has_newer(delivery)
        )

    def settle_outdated(self) -> None:
        """Settle what has grown too old in what is kept."""
        self._ready = deque(one for one in self._ready if self._is_still_wanted(one))
        self._waiting = sorted(one for one in self._waiting if self._is_still_wanted(one[2]))

    def record(self, settlements: Sequence[Settlement]) -> None:
        """Settle deliveries of a parcel that goes on."""
        self._watch.settled(self._endpoint.name, settlements, now=self._clock.unix())
        self._outbox.record(settlements)

    def deliver(self, parcel: Parcel, attempt: Attempt, *, now: float) -> None:
        """Settle a parcel whose last piece was delivered, and end it."""
        name, head = self._endpoint.name, parcel.head
        self._watch.delivered(name, head, now=now)
        if len(head) == 1 and len(parcel.claims) == 1:
            self._settle(parcel, (Settlement(head[0], DELIVERED, attempt),))
            return
        if all(one.attempts + 1 == attempt.number for one in head):
            self._outbox.settle_delivered(parcel.claims, Delivered(name, head, attempt))
            return
        self._outbox.record([Settlement(one, DELIVERED, attempt_of(one, attempt)) for one in head])
        for claim in parcel.claims:
            self._outbox.settle(name, claim, recorded=len(claim.deliveries))

    def finish(self, parcel: Parcel, settlements: Sequence[Settlement]) -> None:
        """Settle the head of a parcel of a single lane, and end it: the lane waits for what is tried again."""
        self._watch.settled(self._endpoint.name, settlements, now=self._clock.unix())
        self._settle(parcel, settlements)

    def _settle(self, parcel: Parcel, settlements: Sequence[Settlement]) -> None:
        (claim,) = parcel.claims
        recorded = parcel.settled.get(claim.lane, 0)
        self._outbox.settle(self._endpoint.name, claim, settlements, recorded=recorded)

    def keep(self, parcel: Parcel, *, wait_seconds: float = 0.0) -> None:
        """Send what is left of it after so long; end it when nothing is, or it was made up for another endpoint."""
        if not parcel.pieces or parcel.edition != self._edition:
            self.end(parcel)
        elif wait_seconds > 0:
            self._pushes += 1
            due_at = self._clock.monotonic() + wait_seconds
            heappush(self._waiting, (due_at, self._pushes, parcel))
        else:
            self._ready.append(parcel)

    def put_off(self, parcel: Parcel, *, until: float) -> None:
        """End it, and let its lanes wait until `until` (UNIX seconds)."""
        for claim in parcel.claims:
            left = [one for one in parcel.head if one.device == claim.lane.device]
            settlements = [Settlement(one, RetryAt(until), None) for one in left[:1]]
            recorded = parcel.settled.get(claim.lane, 0)
            self._outbox.settle(self._endpoint.name, claim, settlements, recorded=recorded)

    def end(self, parcel: Parcel) -> None:
        """End the parcel's claims; what is not settled is as if never claimed."""
        for claim in parcel.claims:
            recorded = parcel.settled.get(claim.lane, 0)
            self._outbox.settle(self._endpoint.name, claim, recorded=recorded)

    def give_back(self) -> None:
        """End everything that is kept."""
        kept = [*self._ready, *(parcel for _, _, parcel in self._waiting)]
        self._ready.clear()
        self._waiting.clear()
        for parcel in kept:
            self.end(parcel)

    def wake_all(self) -> None:
        """The endpoint takes readings again: nothing waits for its own retry any more."""
        self._lanes.wake_all(self._clock.monotonic())
        while self._waiting:
            self._ready.append(heappop(self._waiting)[2])


def attempt_of(delivery: Delivery, attempt: Attempt) -> Attempt:
    """The attempt as that of one of its deliveries, which may have had more or fewer than the first."""
    number = delivery.attempts + 1
    return attempt if number == attempt.number else replace(attempt, number=number)


def _shape(endpoint: Endpoint) -> object:
    """What decides which deliveries may go together."""
    return endpoint.batch, _is_per_device(endpoint)


def _is_per_device(endpoint: Endpoint) -> bool:
    """Whether the URL has the device in it: then a request takes one device's readings."""
    return "{device}" in endpoint.url
