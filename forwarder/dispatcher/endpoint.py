"""The dispatcher of one endpoint starts what may be sent now, and does what follows from each attempt."""

import asyncio
import hashlib
from collections.abc import Callable

from forwarder.clock import Clock, Timer
from forwarder.delivery import (
    Accepted,
    Attempt,
    AttemptResult,
    Failed,
    Gone,
    Refused,
    RetryAt,
    Unsent,
)
from forwarder.dispatcher.batch import Batch
from forwarder.dispatcher.circuit import Circuit
from forwarder.dispatcher.claiming import Claiming
from forwarder.dispatcher.conclusion import Conclusion, conclude, unrenderable, unsent
from forwarder.dispatcher.pace import Pace
from forwarder.dispatcher.watch import Watch
from forwarder.endpoint_health import EndpointHealth
from forwarder.outbox import Outbox
from forwarder.render import Rendered, Unrenderable, render
from forwarder.retry import Circumstances
from forwarder.routes import Endpoint, NoUrlError
from forwarder.sender import Sender
from forwarder.signing import signature_headers

KEPT_ANSWER_BYTES = 512
"""How much of a failed attempt's answer stays on record."""
BROKEN_SECONDS = 60.0
"""How long a reading waits after its attempt ended in an error of our own."""
TURN_SECONDS = 10.0
"""How long an attempt waits for a file descriptor before its lane makes room for others."""


class EndpointDispatcher:
    """
    Sends what is due to one endpoint, at most `max_concurrency` at once and one at a time of each device.

        start_due ─▶ claiming: the next batch ─▶ attempt ─▶ circuit, conclusion ─▶ claiming: apply ─▶ the next batch

    `start_due` starts what may start now, and sets a timer for what may start later. It is called whenever something
    has changed. It never waits, so endpoints cannot hold each other up. There is no lock, because all of it runs on the
    event loop and nothing else does between two awaits.
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
        self._outbox = outbox
        self._sender = sender
        self._clock = clock
        self._watch = watch
        self._spread = spread
        self._circuit = Circuit(endpoint, health, clock=clock, spread=spread)
        self._pace = Pace(endpoint.rate_limit)
        self._claiming = Claiming(endpoint, outbox=outbox, clock=clock, watch=watch)
        self._workers: set[asyncio.Task[None]] = set()
        self._timer: Timer | None = None

    @property
    def health(self) -> EndpointHealth:
        return self._circuit.health

    @property
    def is_removed(self) -> bool:
        return self._circuit.is_removed

    @property
    def in_flight(self) -> int:
        return len(self._workers)

    def configure(self, endpoint: Endpoint) -> None:
        """Take over an edited endpoint; a new URL ends the pause after a 410."""
        if endpoint.rate_limit != self.endpoint.rate_limit:
            self._pace = Pace(endpoint.rate_limit)
        self.endpoint = endpoint
        self._circuit.configure(endpoint)
        self._claiming.configure(endpoint)
        if self.health.paused_by == "gone" and self.health.gone_url != digest_of(endpoint.url):
            self._outbox.record_gone(endpoint.name, None)
            self.resume()
        if self._circuit.is_paused:
            self._claiming.give_back()
        self.start_due()

    def remove(self) -> None:
        """Send nothing new, because routes.yaml no longer names the endpoint; pending deliveries wait."""
        self._circuit.remove()
        self._claiming.give_back()

    def pause(self, health: EndpointHealth) -> None:
        self._circuit.pause(health)
        self._claiming.give_back()
        self._watch.pause_changed(self.endpoint.name, self.health)

    def resume(self) -> None:
        """End a pause, and forget what was held against the endpoint."""
        self._circuit.resume()
        self._outbox.record_health(self.endpoint.name, self.health)
        self._watch.pause_changed(self.endpoint.name, self.health)
        self.start_due()

    def start_due(self) -> None:
        """Start what may start now."""
        # One look at the clock serves both, because nobody would wait for a time that passed between two looks.
        now = self._clock.monotonic()
        while (batch := self._next_batch(now)) is not None:
            task = asyncio.get_running_loop().create_task(self._work(batch))
            self._workers.add(task)
            task.add_done_callback(self._worker_ended)
        self._set_timer(now)

    def _worker_ended(self, task: asyncio.Task[None]) -> None:
        self._workers.discard(task)
        if not self._circuit.is_stopped:
            self.start_due()

    async def _work(self, batch: Batch) -> None:
        """Attempt one batch after the other, as long as there are any."""
        following: Batch | None = batch
        while following is not None:
            try:
                await self._attempt(following)
            except Exception as error:  # noqa: BLE001 - the top of a loop: one reading must not stop its endpoint
                self._claiming.put_off(following, until=self._clock.unix() + BROKEN_SECONDS)
                self._watch.broke(self.endpoint.name, error)
            # This worker's own place is free again, so it does not count.
            following = self._next_batch(self._clock.monotonic(), places=1)
            # Nothing more can start when every place is taken; each worker looks again when its attempt ends.
            if following is not None and len(self._workers) < self._circuit.places:
                self.start_due()

    def _next_batch(self, now: float, *, places: int = 0) -> Batch | None:
        circuit = self._circuit
        if (
            len(self._workers) - places >= circuit.places
            or now < circuit.held_until
            or now < self._pace.next_at
            or not self._outbox.capacity.may_send
        ):
            return None
        batch = self._claiming.next(now, is_probe=circuit.is_open)
        if batch is not None:
            self._pace.start(now)
        return batch

    async def _attempt(self, batch: Batch) -> None:
        if await self._try(batch):
            return
        # The circuit is asked again after the wait, because the endpoint may have been paused meanwhile.
        async with self._sender.turn(self.endpoint, seconds=TURN_SECONDS) as has_come:
            if not has_come or self._circuit.is_barred or not await self._try(batch):
                self._put_off(batch)

    def _put_off(self, batch: Batch) -> None:
        if self._circuit.is_barred:
            self._claiming.end(batch)
        else:
            self._apply(batch, unsent(batch, endpoint=self.endpoint, now=self._clock.unix()))

    async def _try(self, batch: Batch) -> bool:
        """Send the head of the batch and conclude; False when nothing was sent."""
        request = self._request_of(batch)
        if request is None:
            return True
        url, rendered = request
        # A batch may hold replayed and fresh readings, so its first member decides the number.
        number = batch.head[0].attempts + 1
        attempted_at, started = self._clock.unix(), self._clock.monotonic()
        signed = signature_headers(
            rendered.webhook_id,
            unix_second=int(attempted_at),
            attempt=number,
            body=rendered.body,
            keys=self.endpoint.keys,
        )
        result = await self._sender.post(
            self.endpoint,
            url=url,
            headers=[("content-type", rendered.content_type), *signed],
            body=rendered.body,
        )
        if isinstance(result, Unsent):
            return False
        now, duration = self._clock.unix(), self._clock.monotonic() - started
        self._follow(batch, result, _attempt_of(result, number, attempted_at, duration), now)
        return True

    def _request_of(self, batch: Batch) -> tuple[str, Rendered] | None:
        """The URL and the request of the head; None when none can be made, and that is concluded here."""
        head, endpoint = batch.head, self.endpoint
        try:
            return endpoint.url_for(head[0].device), render(head, endpoint=endpoint)
        except NoUrlError:
            silent = head
        except Unrenderable as nothing:
            silent = [one for one in head if one.webhook_id in nothing.webhook_ids]
        self._apply(batch, unrenderable(batch, silent, endpoint=endpoint))
        return None

    def _follow(self, batch: Batch, result: AttemptResult, attempt: Attempt, now: float) -> None:
        """Let the circuit take the answer in, and do what follows for the endpoint and for the batch."""
        name = self.endpoint.name
        self._watch.attempted(name, batch.head, attempt)
        before = self._circuit.health
        # The circuit comes first, because a batch that would go on ends when the answer bars the endpoint.
        self._circuit.heed(result, now=now)
        has_changed = self._circuit.health is not before
        if has_changed:
            self._heed(result, before)
        if isinstance(result, Accepted) and batch.is_last:
            self._claiming.deliver(batch, attempt, now=now)
        else:
            self._conclude(batch, result, attempt, now)
        if has_changed and before.is_open != self._circuit.is_open:
            self._watch.circuit_changed(name, self._circuit.health)

    def _heed(self, result: AttemptResult, before: EndpointHealth) -> None:
        """Do what follows for the endpoint as a whole."""
        circuit = self._circuit
        self._outbox.record_health(self.endpoint.name, circuit.health)
        if isinstance(result, Gone):
            self._pause_gone()
        if before.is_open and not circuit.is_open:
            self._claiming.wake_all()

    def _pause_gone(self) -> None:
        url = digest_of(self.endpoint.url)
        self._circuit.pause_gone(url)
        self._outbox.record_gone(self.endpoint.name, url)
        self._claiming.give_back()
        self._watch.gone(self.endpoint.name)
        self._watch.pause_changed(self.endpoint.name, self.health)

    def _conclude(self, batch: Batch, result: AttemptResult, attempt: Attempt, now: float) -> None:
        # The present settings decide, because the endpoint may have been edited since the attempt began.
        conclusion = conclude(
            batch,
            result,
            attempt,
            endpoint=self.endpoint,
            circumstances=Circumstances(now, self._spread()),
            superseded=self._claiming.superseded(batch, batch.head),
        )
        if attempt.error:
            self._watch.failed(
                self.endpoint.name,
                batch.head,
                attempt,
                wait_seconds=self._wait_before(conclusion, now),
            )
        if isinstance(result, Refused) and len(batch.head) > 1:
            self._watch.split(self.endpoint.name, status=result.status)
        self._apply(batch, conclusion)

    def _wait_before(self, conclusion: Conclusion, now: float) -> float | None:
        """Seconds until the first of the readings may be tried again; None when none is."""
        due = [
            one.decision.due_at
            for one in conclusion.settlements
            if isinstance(one.decision, RetryAt)
        ]
        if not due or self._circuit.is_barred:
            return None
        return max(min(due) - now, self._circuit.held_until - self._clock.monotonic(), 0.0)

    def _apply(self, batch: Batch, conclusion: Conclusion) -> None:
        self._claiming.apply(batch, conclusion, is_barred=self._circuit.is_barred)

    def settle_outdated(self) -> None:
        """Settle the outdated readings of batches that wait for their next attempt."""
        self._claiming.settle_outdated()

    def _set_timer(self, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        circuit = self._circuit
        if circuit.is_barred or not self._outbox.capacity.may_send:
            return
        next_at = self._claiming.next_at(now, is_probe=circuit.is_open)
        start = max(next_at, circuit.held_until, self._pace.next_at)
        # A batch that may start now but did not waits for a place or a commit, and either calls `start_due`.
        if now < start < float("inf"):
            self._timer = self._clock.call_later(start - now, self.start_due)

    async def stop(self) -> None:
        """Start nothing more, and wait for the attempts under way."""
        self._circuit.stop()
        self._set_timer(self._clock.monotonic())
        if self._workers:
            await asyncio.wait(self._workers)

    async def leave(self) -> None:
        """Stop, and end every kept batch, because another replica is to go on."""
        await self.stop()
        self._claiming.give_back()

    def cancel(self) -> None:
        """Give up the attempts under way; their deliveries stay pending."""
        for task in self._workers:
            task.cancel()


def digest_of(url: str) -> str:
    """A digest that tells two URLs apart without showing either, because a URL may hold a token."""
    return hashlib.blake2b(url.encode(), digest_size=16).hexdigest()


def _attempt_of(
    result: AttemptResult, number: int, attempted_at: float, duration_seconds: float
) -> Attempt:
    duration_ms = round(duration_seconds * 1000, 3)
    if isinstance(result, Accepted):
        return Attempt(number, attempted_at, duration_ms, result.status, "", address=result.address)
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
        address=result.address,
    )
