"""The dispatcher of one endpoint: who may be sent what, when; and what each answer leads to."""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import replace

from forwarder.clock import Clock, Timer
from forwarder.delivery import (
    Accepted,
    AttemptResult,
    Bury,
    Decision,
    Delivery,
    Failed,
    Gone,
    Refused,
    RetryAt,
)
from forwarder.dispatcher import circuit
from forwarder.dispatcher.pace import Pace
from forwarder.dispatcher.parcel import Parcel
from forwarder.dispatcher.parcels import Parcels, attempt_of
from forwarder.dispatcher.watch import Watch
from forwarder.outbox import Attempt, EndpointHealth, Outbox, Settlement
from forwarder.render import render
from forwarder.retry import Circumstances, decide, longest_wait
from forwarder.routes import Endpoint, NoUrlError
from forwarder.sender import Sender
from forwarder.signing import signature_headers

FAILURES_TO_HALVE = 3
"""Attempts after which a batch that failed for whatever reason is halved."""
KEPT_ANSWER_BYTES = 512
"""Of a failed attempt's answer, what stays on record."""
SUCCESS_SECONDS = 1.0
"""Of successes in a row, one in so many seconds is noted."""
BROKEN_SECONDS = 60.0
"""How long a reading waits whose attempt ended in an error of our own."""
_TOO_LARGE = 413


class EndpointDispatcher:
    """
    Sends what is due to one endpoint, at most `max_concurrency` at once and one at a time of each device.

    `pump` starts whatever may start now and sets a timer for what may start later; it is called whenever something
    has changed. It never waits, so endpoints cannot hold each other up.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        health: EndpointHealth,
        *,
        outbox: Outbox,
        sender: Sender,
        clock: Clock,
        watch: Watch,
        spread: Callable[[], float],
    ) -> None:
        self.endpoint = endpoint
        self.health = health
        self.is_removed = False
        self.is_stopping = False
        self._outbox = outbox
        self._sender = sender
        self._clock = clock
        self._watch = watch
        self._spread = spread
        self._pace = Pace(endpoint.rate_limit)
        self._parcels = Parcels(endpoint, outbox=outbox, clock=clock, watch=watch)
        self._workers: set[asyncio.Task[None]] = set()
        self._timer: Timer | None = None
        self._held_until = self._restored_hold()
        self._places = self._count_places()

    def _restored_hold(self) -> float:
        """When the circuit lets the next attempt through, in monotonic seconds."""
        wait = (self.health.open_until or 0.0) - self._clock.unix()
        if wait <= 0 or wait > longest_wait(self.endpoint.retry):
            return float("-inf")
        return self._clock.monotonic() + wait

    @property
    def is_paused(self) -> bool:
        return self.endpoint.paused or self.health.paused_by is not None

    @property
    def _is_barred(self) -> bool:
        return self.is_stopping or self.is_removed or self.is_paused

    @property
    def in_flight(self) -> int:
        return len(self._workers)

    def configure(self, endpoint: Endpoint) -> None:
        """Take over an edited endpoint; a new URL ends the pause after a 410."""
        if endpoint.rate_limit != self.endpoint.rate_limit:
            self._pace = Pace(endpoint.rate_limit)
        self.endpoint = endpoint
        self._parcels.configure(endpoint)
        self.is_removed = False
        self._places = self._count_places()
        if self.health.paused_by == "gone" and self.health.gone_url != digest_of(endpoint.url):
            self._outbox.record_gone(endpoint.name, None)
            self.resume()
        if self.is_paused:
            self._parcels.give_back()
        self.pump()

    def remove(self) -> None:
        """routes.yaml no longer names the endpoint: nothing new is sent, what is pending waits."""
        self.is_removed = True
        self._places = self._count_places()
        self._parcels.give_back()

    def pause(self, health: EndpointHealth) -> None:
        self.health = replace(self.health, paused_by=health.paused_by, gone_url=health.gone_url)
        self._places = self._count_places()
        self._parcels.give_back()

    def resume(self) -> None:
        """End a pause, and forget what was held against the endpoint."""
        self.health = EndpointHealth(last_success_at=self.health.last_success_at)
        self._held_until = float("-inf")
        self._places = self._count_places()
        self._outbox.record_health(self.endpoint.name, self.health)
        self.pump()

    def pump(self) -> None:
        """Start what may start now."""
        # One look at the clock for both: a time that came up between two looks would be waited for by nobody.
        now = self._clock.monotonic()
        while (parcel := self._next_parcel(now)) is not None:
            task = asyncio.get_running_loop().create_task(self._work(parcel))
            self._workers.add(task)
            task.add_done_callback(self._worker_ended)
        self._set_timer(now)

    def _worker_ended(self, task: asyncio.Task[None]) -> None:
        self._workers.discard(task)
        if not self.is_stopping:
            self.pump()

    async def _work(self, parcel: Parcel) -> None:
        """Attempt one parcel after the other, as long as there are any."""
        following: Parcel | None = parcel
        while following is not None:
            try:
                await self._attempt(following)
            except Exception as error:  # noqa: BLE001 - the top of a loop: one reading must not stop its endpoint
                self._watch.broke(self.endpoint.name, error)
                self._parcels.put_off(following, until=self._clock.unix() + BROKEN_SECONDS)
            # This worker's own place is free again, so it counts one less.
            following = self._next_parcel(self._clock.monotonic(), places=1)
            # Where every place is taken nothing more can start, and each worker that ends looks again.
            if following is not None and len(self._workers) < self._places:
                self.pump()

    def _next_parcel(self, now: float, *, places: int = 0) -> Parcel | None:
        if (
            len(self._workers) - places >= self._places
            or now < self._held_until
            or now < self._pace.next_at
            or not self._outbox.is_writable
        ):
            return None
        parcel = self._parcels.take(now, is_probe=self.health.is_open)
        if parcel is not None:
            self._pace.start(now)
        return parcel

    def _count_places(self) -> int:
        """How many attempts may be under way; counted where that changes, because every attempt asks."""
        if self._is_barred:
            return 0
        return 1 if self.health.is_open else self.endpoint.max_concurrency

    async def _attempt(self, parcel: Parcel) -> None:
        head, endpoint = parcel.head, self.endpoint
        try:
            url = endpoint.url_for(head[0].device)
        except NoUrlError:
            self._bury_unrenderable(parcel)
            return
        # A batch may hold replayed and fresh readings: it counts as what its first member counts.
        number = head[0].attempts + 1
        rendered = render(head, endpoint=endpoint)
        attempted_at, started = self._clock.unix(), self._clock.monotonic()
        signed = signature_headers(
            rendered.webhook_id,
            unix_second=int(attempted_at),
            attempt=number,
            body=rendered.body,
            keys=endpoint.keys,
        )
        result = await self._sender.post(
            endpoint,
            url=url,
            headers=[("content-type", rendered.content_type), *signed],
            body=rendered.body,
        )
        now, duration = self._clock.unix(), self._clock.monotonic() - started
        attempt = _attempt_of(result, number, attempted_at, duration)
        self._watch.attempted(endpoint.name, head, attempt)
        self._update_health(result, now)
        if isinstance(result, Accepted) and len(parcel.pieces) == 1:
            self._parcels.deliver(parcel, attempt, now=now)
        else:
            self._conclude(parcel, result, attempt, now)

    def _update_health(self, result: AttemptResult, now: float) -> None:
        before = self.health
        if (
            isinstance(result, Accepted)
            and not before.failures
            and now - (before.last_success_at or 0.0) < SUCCESS_SECONDS
        ):
            return
        if isinstance(result, Accepted):
            self._note_success(now)
        else:
            self._note_other(result, now)
        if isinstance(result, Gone):
            self._pause_gone()
        self._places = self._count_places()
        if before.is_open != self.health.is_open:
            self._watch.circuit_changed(self.endpoint.name, self.health)

    def _note_success(self, now: float) -> None:
        before = self.health
        self.health = circuit.after_success(before, now=now)
        self._outbox.record_health(self.endpoint.name, self.health)
        if before.is_open:
            self._held_until = float("-inf")
            self._parcels.wake_all()

    def _note_other(self, result: Refused | Gone | Failed, now: float) -> None:
        held_seconds = self._held_until - self._clock.monotonic()
        schedule, spread = self.endpoint.retry, self._spread()
        if isinstance(result, Failed) and circuit.counts(result):
            self.health = circuit.after_failure(
                self.health,
                result,
                schedule=schedule,
                now=now,
                held_seconds=held_seconds,
                spread=spread,
            )
        else:
            error = result.error if isinstance(result, Failed) else f"http_{result.status}"
            self.health = circuit.after_other_answer(
                self.health,
                error,
                schedule=schedule,
                now=now,
                held_seconds=held_seconds,
                spread=spread,
            )
        wait = (self.health.open_until or now) - now
        self._held_until = max(self._held_until, self._clock.monotonic() + wait)
        self._outbox.record_health(self.endpoint.name, self.health)

    def _pause_gone(self) -> None:
        url = digest_of(self.endpoint.url)
        self.health = replace(self.health, paused_by="gone", gone_url=url)
        self._outbox.record_gone(self.endpoint.name, url)
        self._parcels.give_back()
        self._watch.gone(self.endpoint.name)

    def _conclude(
        self, parcel: Parcel, result: AttemptResult, attempt: Attempt, now: float
    ) -> None:
        if len(parcel.head) > 1 and isinstance(result, Refused):
            self._split(parcel, result, attempt, now)
            return
        decided = [
            Settlement(one, self._decide(parcel, one, result, now), attempt_of(one, attempt))
            for one in parcel.head
        ]
        self._settle(parcel, decided, now)

    def _bury_unrenderable(self, parcel: Parcel) -> None:
        """Nothing can be sent, today or later; an operator may replay it to another endpoint."""
        decided = [Settlement(one, Bury("unrenderable"), None) for one in parcel.head]
        self._settle(parcel, decided, self._clock.unix())

    def _settle(self, parcel: Parcel, decided: list[Settlement], now: float) -> None:
        if self.endpoint.batch is None and len(parcel.claims) == 1:
            self._parcels.finish(parcel, decided)
            return
        self._parcels.record(decided)
        retries = [one.decision for one in decided if isinstance(one.decision, RetryAt)]
        parcel.close(one.delivery for one in decided if not isinstance(one.decision, RetryAt))
        wait = max((retry.due_at for retry in retries), default=now) - now
        self._keep(self._after_failure(parcel) if retries else [parcel], wait_seconds=wait)

    def _decide(
        self, parcel: Parcel, delivery: Delivery, result: AttemptResult, now: float
    ) -> Decision:
        is_superseded = self._parcels.is_superseded(parcel, delivery)
        circumstances = Circumstances(now, self._spread(), is_superseded=is_superseded)
        return decide(delivery, result, self.endpoint, circumstances)

    def _after_failure(self, parcel: Parcel) -> list[Parcel]:
        """A batch stays together for its next attempt; one that failed too often goes on as halves."""
        parcel.count_attempt()
        is_halved = parcel.failures >= FAILURES_TO_HALVE and len(parcel.head) > 1
        return parcel.halved() if is_halved else [parcel]

    def _split(self, parcel: Parcel, result: Refused, attempt: Attempt, now: float) -> None:
        at_once = RetryAt(now)
        self._parcels.record(
            [Settlement(one, at_once, attempt_of(one, attempt)) for one in parcel.head]
        )
        parcel.count_attempt()
        parts = parcel.halved() if result.status == _TOO_LARGE else parcel.singled()
        self._watch.split(self.endpoint.name, status=result.status)
        self._keep(parts)

    def _keep(self, parcels: list[Parcel], *, wait_seconds: float = 0.0) -> None:
        for parcel in parcels:
            if self._is_barred:
                self._parcels.end(parcel)
            else:
                self._parcels.keep(parcel, wait_seconds=wait_seconds)

    def settle_outdated(self) -> None:
        """Settle what has grown too old in batches that wait for their next attempt."""
        self._parcels.settle_outdated()

    def _set_timer(self, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._is_barred or not self._outbox.is_writable:
            return
        next_at = self._parcels.next_at(now, is_probe=self.health.is_open)
        start = max(next_at, self._held_until, self._pace.next_at)
        # What may start now and did not waits for a place or for a commit, and those call for themselves.
        if now < start < float("inf"):
            self._timer = self._clock.call_later(start - now, self.pump)

    async def stop(self) -> None:
        """Start nothing more, and wait for the attempts in flight."""
        self.is_stopping = True
        self._places = self._count_places()
        self._set_timer(self._clock.monotonic())
        if self._workers:
            await asyncio.wait(self._workers)

    def cancel(self) -> None:
        """Give up the attempts in flight; what they carried stays pending."""
        for task in self._workers:
            task.cancel()


def digest_of(url: str) -> str:
    """Tells two URLs apart without showing either: a URL may hold a token."""
    return hashlib.blake2b(url.encode(), digest_size=16).hexdigest()


def _attempt_of(
    result: AttemptResult, number: int, attempted_at: float, duration_seconds: float
) -> Attempt:
    duration_ms = round(duration_seconds * 1000, 3)
    if isinstance(result, Accepted):
        return Attempt(number, attempted_at, duration_ms, result.status, "")
    error, detail = f"http_{result.status}", ""
    if isinstance(result, Failed):
        error, detail = result.error, result.detail
    return Attempt(
        number=number,
        attempted_at=attempted_at,
        duration_ms=duration_ms,
        status=result.status,
        error=error,
        detail=detail,
        answer=result.answer[:KEPT_ANSWER_BYTES],
    )
