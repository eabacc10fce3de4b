"""
The left half takes messages through normalise ▸ match ▸ put, and sends their PUBACKs once they are on disk.

Messages go in small groups, because each group takes a turn of the loop. Nothing waits for a group to fill. The next
groups are made ready while some are written, and all groups that are ready go into the next transaction.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Generic, Protocol, TypeVar

from forwarder.errors import ForwarderError
from forwarder.event_data import SerialisedReading, data_object, serialise
from forwarder.logs import harmless, logger
from forwarder.metrics import Metrics
from forwarder.normalise import FastPath, Normaliser, internal_error
from forwarder.outbox import (
    KeptLast,
    MessageOutcome,
    NewQuarantined,
    NewReading,
    Outbox,
    Outcomes,
    Put,
    Recipient,
    Unrouted,
)
from forwarder.reading import (
    Device,
    Message,
    Reading,
    Unreadable,
    WebhookId,
    digest,
    rfc3339,
    unique_webhook_id,
    webhook_id,
)
from forwarder.routes import Endpoint, LastOf, Routes
from forwarder.thinning import Thinning

LARGEST_GROUP = 64
"""Messages that are made ready in one turn."""
LARGEST_GROUP_BYTES = 64 << 10
"""Bytes of payloads after which a group takes no more messages."""
MOST_STORING = 4000
"""The most messages that wait for the disk while others are made ready; two transactions take about so many."""
MOST_STORING_BYTES = 2 << 20
"""The most bytes of payloads that wait for the disk; the outbox may pass its limit by so many."""
REMEMBERED_DEVICES = 100_000
"""The most devices whose first unrouted or unreadable message is logged."""
MOST_REPETITIONS = 3
"""How often a reading comes again before its device is logged; a broker repeats after a reconnect, too."""
_RETAINED = "not delivered, because it is retained and comes at each subscription; have it sent without RETAIN"
_REPEATS = "sends the same reading again and again, which counts as one: its clock may stand still"


class Arriving(Protocol):
    """A message with all that the subscriber needs to acknowledge it."""

    @property
    def message(self) -> Message: ...


A = TypeVar("A", bound=Arriving)


@dataclass(slots=True)
class Group(Generic[A]):
    """Messages that are stored together, and the outcome of each so far."""

    arrivals: Sequence[A]
    size: int
    """Bytes of payloads."""
    outcomes: Outcomes = field(default_factory=list)


class Ingest(Generic[A]):
    """
    Takes messages from the subscriber, and tells it which may be acknowledged, in the order of arrival.

    A message may be acknowledged once it is on disk (as deliveries, or in quarantine), once it is known that no
    endpoint wants it, or when it is a copy of an earlier one. The event loop alone runs this code, so it needs no lock.
    """

    def __init__(
        self,
        *,
        normaliser: Normaliser,
        fast_path: FastPath | None,
        outbox: Outbox,
        metrics: Metrics,
        max_message_bytes: int,
        acknowledge: Callable[[Sequence[A]], None],
    ) -> None:
        self._normaliser = normaliser
        self._read_fast = fast_path.read if fast_path else _leave_to_normaliser
        self._outbox = outbox
        self._max_message_bytes = max_message_bytes
        self._acknowledge = acknowledge
        self._messages = harmless(metrics.messages)
        self._thinned = harmless(metrics.thinned)
        self._thins = False
        self._log = logger("ingest")
        self._seen: set[tuple[str, str]] = set()
        self._unrouted: list[Unrouted] = []
        """The unrouted messages of the group that is made ready."""
        self._repeated: dict[Device, tuple[WebhookId, int]] = {}
        """The last reading of each device that came again, and how often it did."""
        self._matches = Matches(None)
        self.thinning = Thinning()
        """Public, because a start notes what was let through before."""
        self.last_message_at: float | None = None
        """UNIX seconds of the last message that was made ready."""
        self._arrived: list[A] = []
        self._storing = self._storing_bytes = 0
        self._pending: set[asyncio.Future[Outcomes]] = set()
        self._stored: deque[tuple[Group[A], Outcomes]] = deque()
        self._is_resting = False
        """Whether `run` waits for something to do."""
        self._wake = asyncio.Event()

    def use(self, routes: Routes) -> None:
        """Match messages by this table from now on."""
        self._matches = Matches(routes)
        self.thinning.use(routes.first_of)
        self._thins = bool(routes.first_of)
        self._outbox.candidates.keep_last(_kept_last(routes.endpoints.values()))

    def receive(self, arrivals: Sequence[A]) -> None:
        """Take messages; returns at once. The subscriber decides how many may wait here."""
        if self._arrived:
            self._arrived += arrivals
            return
        self._arrived += arrivals
        # Work starts right here, because a turn of the loop to wake `run` takes a twentieth of a reading's way.
        if self._is_resting:
            self._ingest_some()
        if self._arrived or not self._storing:
            self._wake.set()

    async def run(self) -> None:
        """Work through the messages that arrive, until cancelled."""
        try:
            while True:
                self._is_resting = True
                await self._wake.wait()
                self._is_resting = False
                self._wake.clear()
                self._conclude_stored()
                while self._ingest_some():
                    await asyncio.sleep(0)
                    self._conclude_stored()
        finally:
            self._is_resting = False
            for stored in self._pending:
                stored.cancel()

    def _ingest_some(self) -> bool:
        """Make the next group ready; False when there is none, or too much waits for the disk."""
        has_room = self._storing < MOST_STORING and self._storing_bytes < MOST_STORING_BYTES
        if not (self._arrived and has_room):
            return False
        self._ingest(self._next_group())
        return True

    def _next_group(self) -> Group[A]:
        arrivals: list[A] = []
        size = 0
        for arrival in self._arrived[:LARGEST_GROUP]:
            arrivals.append(arrival)
            size += len(arrival.message.payload)
            if size >= LARGEST_GROUP_BYTES:
                break
        del self._arrived[: len(arrivals)]
        return Group(arrivals, size)

    def _ingest(self, group: Group[A]) -> None:
        puts: list[Put] = []
        self.last_message_at = group.arrivals[-1].message.received_at.timestamp()
        for arrival in group.arrivals:
            put = self._understand(arrival.message)
            if isinstance(put, str):
                group.outcomes.append(put)
            else:
                puts.append(put)
        if self._unrouted:
            self._outbox.see_unrouted(self._unrouted)
            self._unrouted = []
        if group.outcomes:
            self._outbox.count(group.outcomes)
        if puts:
            self._store(group, puts)
        else:
            self._conclude(group)

    def _store(self, group: Group[A], puts: Sequence[Put]) -> None:
        self._storing += len(group.arrivals)
        self._storing_bytes += group.size
        stored = self._outbox.put(puts)
        self._pending.add(stored)
        stored.add_done_callback(partial(self._on_stored, group, puts))

    def _on_stored(
        self, group: Group[A], puts: Sequence[Put], stored: asyncio.Future[Outcomes]
    ) -> None:
        self._pending.discard(stored)
        if not stored.cancelled():
            if "duplicate" in stored.result():
                self._note_repetitions(puts, stored.result())
            self._stored.append((group, stored.result()))
            self._wake.set()

    def _conclude_stored(self) -> None:
        # PUBACKs follow the commit: if we die in between, the broker sends again, and the ids are the same.
        while self._stored:
            group, outcomes = self._stored.popleft()
            group.outcomes += outcomes
            self._storing -= len(group.arrivals)
            self._storing_bytes -= group.size
            self._conclude(group)

    def _conclude(self, group: Group[A]) -> None:
        self._acknowledge(group.arrivals)
        counts = Counter(group.outcomes)
        for outcome, count in counts.items():
            self._messages.count(outcome, by=count)
        self._log.debug("messages.ingested", **{str(word): count for word, count in counts.items()})

    def _understand(self, message: Message) -> Put | MessageOutcome:
        try:
            return self._judge(message)
        except Exception as error:  # noqa: BLE001 - the top of a loop: one unacknowledged message blocks the session
            self._log.error("message.broke", topic=message.topic, exc_info=error)
            return self._quarantine(message, internal_error(message, error))

    def _judge(self, message: Message) -> Put | MessageOutcome:
        if message.is_retained:
            self._tell_retained(message)
            return "duplicate"
        result = self._read_fast(message) or self._normaliser.normalise(message)
        if isinstance(result, Unreadable):
            return self._quarantine(message, result)
        recipients = self._matches.recipients(result.device)
        if not recipients:
            if self._is_first("unrouted", result.device):
                self._log.info(
                    "message.unrouted", device=result.device, hint="no endpoint wants it"
                )
            self._unrouted.append(_unrouted(message, result))
            return "unrouted"
        if self._thins:
            recipients = self._thinned_out(recipients, result.device, message.received_at)
            if not recipients:
                return "unrouted"
        return new_reading(message, result, recipients)

    def _thinned_out(
        self, recipients: tuple[Recipient, ...], device: Device, received_at: datetime
    ) -> tuple[Recipient, ...]:
        """The recipients that are owed this reading; the others are counted."""
        instant, lets_through = received_at.timestamp(), self.thinning.lets_through
        owed = tuple(one for one in recipients if lets_through(one.endpoint, device, instant))
        if len(owed) < len(recipients):
            for one in recipients:
                if one not in owed:
                    self._thinned.count(one.endpoint)
        return owed

    def _note_repetitions(self, puts: Sequence[Put], outcomes: Outcomes) -> None:
        for put, outcome in zip(puts, outcomes, strict=True):
            if outcome != "duplicate" or not isinstance(put, NewReading):
                continue
            same, times = self._repeated.get(put.device, (put.webhook_id, 0))
            times = times + 1 if same == put.webhook_id else 1
            if put.device in self._repeated or len(self._repeated) < REMEMBERED_DEVICES:
                self._repeated[put.device] = (put.webhook_id, times)
            if times == MOST_REPETITIONS and self._is_first("repeats", put.device):
                self._log.warning("device.repeats", device=put.device, hint=_REPEATS)

    def _tell_retained(self, message: Message) -> None:
        """Log each topic once, because a publisher that always sets RETAIN would else vanish without a word."""
        if self._is_first("retained", Device(message.topic)):
            self._log.warning("message.retained", topic=message.topic, hint=_RETAINED)

    def _quarantine(self, message: Message, result: Unreadable) -> NewQuarantined:
        if self._is_first(result.reason, result.device):
            self._log.warning(
                "message.quarantined",
                device=result.device,
                topic=message.topic,
                reason=result.reason,
                detail=result.detail,
            )
        return NewQuarantined(
            device=result.device,
            topic=message.topic,
            received_at=message.received_at.timestamp(),
            reason=result.reason,
            detail=result.detail,
            size=message.size,
            payload=message.payload[: self._max_message_bytes],
        )

    def _is_first(self, what: str, device: Device) -> bool:
        if (what, device) in self._seen or len(self._seen) >= REMEMBERED_DEVICES:
            return False
        self._seen.add((what, device))
        return True


class Matches:
    """The answers of a routing table as recipients for the outbox, each made once."""

    def __init__(self, routes: Routes | None) -> None:
        self._routes = routes
        self._recipients: dict[tuple[str, ...], tuple[Recipient, ...]] = {}

    def recipients(self, device: Device) -> tuple[Recipient, ...]:
        if self._routes is None:
            raise ForwarderError("messages arrived before the routing file was read")
        names = self._routes.match(device)
        known = self._recipients.get(names)
        if known is None:
            endpoints = [self._routes.endpoints[name] for name in names]
            known = self._recipients[names] = tuple(
                Recipient(one.name, only_latest=one.mode == "latest") for one in endpoints
            )
        return known


def _kept_last(endpoints: Iterable[Endpoint]) -> dict[str, KeptLast]:
    return {
        one.name: KeptLast(one.min_interval.seconds, only_latest=one.mode == "latest")
        for one in endpoints
        if isinstance(one.min_interval, LastOf)
    }


def _unrouted(message: Message, reading: Reading | SerialisedReading) -> Unrouted:
    at = reading.measured_at
    measured_at = at if isinstance(at, str) else rfc3339(at)
    return Unrouted(reading.device, measured_at, message.received_at.timestamp())


def _leave_to_normaliser(_: Message) -> None:
    """Stands in for the fast path when that is turned off."""


def new_reading(
    message: Message, reading: Reading | SerialisedReading, recipients: tuple[Recipient, ...]
) -> NewReading:
    """
    A reading for the outbox, with the id by which receivers know it.

    The id follows from the device and the payload. If the payload holds no time, equal bytes are equal readings only
    when the broker says that it repeats itself. So the id is then this arrival's own, and `content` is the digest.
    """
    device, payload = reading.device, message.payload
    text = serialise(reading) if isinstance(reading, Reading) else reading
    if text.time_source == "received":
        identity, content = unique_webhook_id(), digest(device, payload)
    else:
        identity, content = webhook_id(device, payload), None
    # Arguments go by position, because keywords take twice as long.
    return NewReading(
        identity,
        device,
        text.measured_at,
        message.received_at.timestamp(),
        data_object(identity, text),
        recipients,
        content,
        message.is_redelivery,
    )
