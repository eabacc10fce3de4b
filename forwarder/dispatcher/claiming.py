"""One endpoint's claims: which batch is next, which ones wait for their next attempt, and how each ends."""

from collections import deque
from collections.abc import Collection, Sequence
from heapq import heappop, heappush
from itertools import repeat
from typing import assert_never

from forwarder.clock import Clock
from forwarder.delivery import (
    Attempt,
    Decision,
    Delivery,
    Done,
    ReadingNumber,
    RetryAt,
    Supersede,
)
from forwarder.dispatcher.batch import MAX_BATCH_BYTES, Batch, fitting, is_per_device, shape_of
from forwarder.dispatcher.conclusion import Conclusion, Ended, GoesOn, settlements_of
from forwarder.dispatcher.watch import Watch
from forwarder.outbox import Claim, Outbox, Readiness, Settlement
from forwarder.retry import expiry, longest_wait
from forwarder.routes import Endpoint

DELIVERED = Done()
MOST_WAITING = 4
"""How many batches per place may wait for their retry before no new ones are made."""


class Claiming:
    """
    Everything that is claimed for one endpoint and has no attempt under way.

    A failed batch is kept as it is, so that its next attempt is the same. A single reading is not kept, because its
    lane waits for it.
    """

    def __init__(self, endpoint: Endpoint, *, outbox: Outbox, clock: Clock, watch: Watch) -> None:
        self._outbox = outbox
        self._clock = clock
        self._watch = watch
        self._ready: deque[Batch] = deque()
        self._waiting: list[tuple[float, int, Batch]] = []
        self._pushes = 0
        self._take_over(endpoint)

    def _take_over(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._shape = shape_of(endpoint)
        self._outbox.schedule.serve(
            endpoint.name,
            most_at_once=endpoint.batch.max_events if endpoint.batch else 1,
            longest_wait_seconds=longest_wait(endpoint.retry),
            only_latest=endpoint.mode == "latest",
        )

    def configure(self, endpoint: Endpoint) -> None:
        """Take over an edited endpoint; batches of another shape are given back and claimed anew."""
        before = self._shape
        self._take_over(endpoint)
        if self._shape != before:
            self.give_back()

    def next(self, now: float, *, is_probe: bool) -> Batch | None:
        """The batch to send next; a probe takes one even before its time has come. `now` is monotonic seconds."""
        while self._waiting and (is_probe or self._waiting[0][0] <= now):
            self._ready.append(heappop(self._waiting)[2])
        while self._ready:
            if wanted := self._still_wanted(self._ready.popleft()):
                return wanted
        while batch := self._claim(now, is_probe=is_probe):
            if wanted := self._without_outdated(batch):
                return wanted
        return None

    def _claim(self, now: float, *, is_probe: bool) -> Batch | None:
        limits = self._endpoint.batch
        if self._waiting and not self._has_room:
            return None
        if limits is None:
            claim = self._claim_lane(1, is_probe=is_probe)
            return None if claim is None else Batch.of([claim], self._shape)
        if not is_probe and self._batch_wait(now, self._readiness(now)) > 0:
            return None
        return self._claim_batch(limits.max_events, is_probe=is_probe)

    @property
    def _has_room(self) -> bool:
        return len(self._waiting) < MOST_WAITING * self._endpoint.max_concurrency

    def _readiness(self, now: float) -> Readiness:
        return self._outbox.schedule.readiness(self._endpoint.name, now=now)

    def _claim_lane(self, limit: int, *, is_probe: bool) -> Claim | None:
        return self._outbox.schedule.claim(self._endpoint.name, limit=limit, is_probe=is_probe)

    def _claim_batch(self, max_events: int, *, is_probe: bool) -> Batch | None:
        claims: list[Claim] = []
        free_events, free_bytes = max_events, MAX_BATCH_BYTES
        most_lanes = 1 if is_per_device(self._endpoint) else max_events
        while free_events > 0 and len(claims) < most_lanes:
            claim = self._claim_lane(free_events, is_probe=is_probe and not claims)
            if claim is None:
                break
            fit, used_bytes = fitting(claim.deliveries, self._endpoint, free_bytes=free_bytes)
            if fit < len(claim.deliveries):
                if fit == 0 and claims:
                    self._outbox.settle(self._endpoint.name, ends=[claim])
                    break
                claim = claim.first(max(fit, 1))
            claims.append(claim)
            free_events -= fit
            free_bytes -= used_bytes
        return Batch.of(claims, self._shape) if claims else None

    def _batch_wait(self, now: float, readiness: Readiness) -> float:
        """Seconds for which a batch still waits for more readings; infinite when nothing is ready."""
        limits = self._endpoint.batch
        if limits is None or not readiness.ready_count:
            return float("inf")
        ready = (
            readiness.first_lane_count if is_per_device(self._endpoint) else readiness.ready_count
        )
        if ready >= limits.max_events:
            return 0.0
        return max(0.0, readiness.since + limits.max_wait_seconds - now)

    def next_at(self, now: float, *, is_probe: bool) -> float:
        """The time of the next batch, in monotonic seconds; infinite when only a new reading can bring one."""
        if self._ready or (is_probe and self._waiting):
            return now
        next_at = self._waiting[0][0] if self._waiting else float("inf")
        if not self._has_room:
            return next_at
        readiness = self._readiness(now)
        if is_probe and (readiness.ready_count or readiness.next_due_at < float("inf")):
            return now
        if readiness.ready_count:
            wait = self._batch_wait(now, readiness) if self._endpoint.batch else 0.0
            next_at = min(next_at, now + wait)
        return min(next_at, readiness.next_due_at)

    def _still_wanted(self, batch: Batch) -> Batch | None:
        """The rest of a kept batch; None when nothing is left, or when its claims are stale and it is claimed anew."""
        if any(claim.is_stale for claim in batch.claims):
            self.end(batch)
            return None
        return self._without_outdated(batch)

    def _without_outdated(self, batch: Batch) -> Batch | None:
        """The batch after its outdated readings are settled; None when nothing is left."""
        now, endpoint = self._clock.unix(), self._endpoint
        most = endpoint.max_age_seconds
        expired = [one for one in batch.deliveries if now - one.age_from >= most]
        if expired:
            batch = self._drop(batch, expired, expiry(endpoint))
        if endpoint.mode == "latest":
            superseded = self.superseded(batch, [one for one in batch.head if one.attempts])
            if superseded:
                dropped = [one for one in batch.deliveries if one.reading in superseded]
                batch = self._drop(batch, dropped, Supersede())
        if batch.deliveries:
            return batch
        self.end(batch)
        return None

    def _drop(self, batch: Batch, deliveries: list[Delivery], decision: Decision) -> Batch:
        """Settle deliveries that are not sent any more; return the rest of the batch."""
        self.record([Settlement(deliveries, decision, None)])
        return batch.without(deliveries)

    def superseded(self, batch: Batch, deliveries: Sequence[Delivery]) -> Collection[ReadingNumber]:
        """The readings that a newer one in their lane replaces, in `mode: latest`; a replayed older one does not."""
        if self._endpoint.mode != "latest":
            return ()
        return {one.reading for one in deliveries if batch.claim_of(one).has_newer(one)}

    def settle_outdated(self) -> None:
        """Settle the outdated readings of kept batches."""
        ready = [self._still_wanted(one) for one in self._ready]
        self._ready = deque(one for one in ready if one is not None)
        waiting = [(at, push, self._still_wanted(one)) for at, push, one in self._waiting]
        self._waiting = sorted((at, push, one) for at, push, one in waiting if one is not None)

    def record(self, settlements: Sequence[Settlement]) -> None:
        """Settle deliveries of a batch that goes on."""
        self._watch.settled(self._endpoint.name, settlements, now=self._clock.unix())
        self._outbox.settle(self._endpoint.name, settlements)

    def deliver(self, batch: Batch, attempt: Attempt, *, now: float) -> None:
        """Settle the last of a batch as delivered, and end the batch: the way of nearly every attempt."""
        name, head = self._endpoint.name, batch.head
        self._watch.delivered(name, head, now=now)
        if all(one.attempts + 1 == attempt.number for one in head):
            settlements = [Settlement(head, DELIVERED, attempt)]
        else:
            settlements = settlements_of(head, repeat(DELIVERED), attempt)
        self._outbox.settle(name, settlements, ends=batch.claims)

    def apply(self, batch: Batch, conclusion: Conclusion, *, is_barred: bool) -> None:
        """Do what follows from an attempt; at a barred endpoint, a batch that would go on ends."""
        match conclusion:
            case Ended(settlements):
                self._watch.settled(self._endpoint.name, settlements, now=self._clock.unix())
                self._outbox.settle(self._endpoint.name, settlements, ends=batch.claims)
            case GoesOn(settlements, batches, wait_seconds):
                self.record(settlements)
                for one in batches:
                    if is_barred:
                        self.end(one)
                    else:
                        self._keep(one, wait_seconds)
            case _:
                assert_never(conclusion)

    def _keep(self, batch: Batch, wait_seconds: float) -> None:
        """Keep the batch for its next attempt; end it when it is empty or of another shape."""
        if not batch.deliveries or batch.shape != self._shape:
            self.end(batch)
        elif wait_seconds > 0:
            self._pushes += 1
            due_at = self._clock.monotonic() + wait_seconds
            heappush(self._waiting, (due_at, self._pushes, batch))
        else:
            self._ready.append(batch)

    def put_off(self, batch: Batch, *, until: float) -> None:
        """End the claims that are not over, and let their lanes wait until `until` (UNIX seconds)."""
        ends = [claim for claim in batch.claims if not claim.is_over]
        left = {one.device: one for one in reversed(batch.head)}
        first = [left[claim.device] for claim in ends if claim.device in left]
        settlements = [Settlement(first, RetryAt(until), None)] if first else []
        self._outbox.settle(self._endpoint.name, settlements, ends=ends)

    def end(self, batch: Batch) -> None:
        """End the batch's claims; unsettled deliveries are as if never claimed."""
        self._outbox.settle(self._endpoint.name, ends=batch.claims)

    def give_back(self) -> None:
        """End every kept batch."""
        kept = [*self._ready, *(batch for _, _, batch in self._waiting)]
        self._ready.clear()
        self._waiting.clear()
        for batch in kept:
            self.end(batch)

    def wake_all(self) -> None:
        """End all waits for a retry, because the endpoint takes readings again."""
        self._outbox.schedule.wake_all(self._endpoint.name)
        while self._waiting:
            self._ready.append(heappop(self._waiting)[2])
