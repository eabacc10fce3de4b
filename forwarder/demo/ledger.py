"""The ledger compares published readings with arrived ones, for the demo's verdict; pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from forwarder.demo.scene import Recipient
from forwarder.demo.simulator import Publication
from forwarder.reading import Device, WebhookId, webhook_id
from forwarder.units import count_of

_NAMED_PROBLEMS = 3


@dataclass(slots=True)
class Ledger:
    """Every publication in order. A reading's id is known here too, because it follows from device and payload."""

    publications: list[tuple[WebhookId, Publication]] = field(default_factory=list)

    def enter(self, publication: Publication) -> None:
        reading_id = webhook_id(publication.device, publication.payload)
        self.publications.append((reading_id, publication))

    def owed_to(self, recipient: Recipient) -> dict[WebhookId, Device]:
        """The readings that a recipient's routes give it, in the order of publication."""
        return {
            reading_id: publication.device
            for reading_id, publication in self.publications
            if publication.device in recipient.devices
        }

    def is_complete_for(self, recipient: Recipient) -> bool:
        return self.owed_to(recipient).keys() <= recipient.listener.accepted.keys()


@dataclass(frozen=True, slots=True)
class Account:
    """The account of one recipient."""

    name: str
    owed: int
    arrived: int
    verified: int
    """Arrived readings whose signature fits."""
    retries: int
    duplicates: int
    problems: tuple[str, ...]
    """A clause for each problem; none when everything arrived, verified and in order."""


def account(
    ledger: Ledger, recipient: Recipient, *, replayed: frozenset[str] = frozenset()
) -> Account:
    """Settle up with one recipient. `replayed` readings may arrive after later ones."""
    owed = ledger.owed_to(recipient)
    accepted = recipient.listener.accepted
    received = recipient.listener.received
    verified = [reading_id for reading_id, request in accepted.items() if request.verified]
    return Account(
        name=recipient.name,
        owed=len(owed),
        arrived=len(owed.keys() & accepted.keys()),
        verified=len(owed.keys() & set(verified)),
        retries=sum(request.attempt > 1 for request in received),
        duplicates=sum(request.was_accepted and request.is_duplicate for request in received),
        problems=(
            *_named("missing", [name for name in owed if name not in accepted], owed),
            *_named("not owed to it", [name for name in accepted if name not in owed], {}),
            *_unverified(recipient),
            *_out_of_order(owed, list(accepted), replayed),
        ),
    )


def _named(
    problem: str, readings: Sequence[str], devices: dict[WebhookId, Device]
) -> tuple[str, ...]:
    if not readings:
        return ()
    named = [
        f"{reading} of {devices[WebhookId(reading)]}" if reading in devices else reading
        for reading in readings[:_NAMED_PROBLEMS]
    ]
    more = len(readings) - len(named)
    names = ", ".join(named) + (f" and {more} more" if more else "")
    return (f"{len(readings)} {problem}: {names}",)


def _unverified(recipient: Recipient) -> tuple[str, ...]:
    refused = [request for request in recipient.listener.received if not request.verified]
    if not refused:
        return ()
    return (f"{count_of(len(refused), 'request')} not verified: {refused[0].problem}",)


def _out_of_order(
    owed: dict[WebhookId, Device], arrived: Sequence[str], replayed: frozenset[str]
) -> tuple[str, ...]:
    expected, actual = _by_device(owed, list(owed)), _by_device(owed, arrived)
    muddled = [
        device
        for device, readings in actual.items()
        if _without(replayed, readings)
        != [name for name in _without(replayed, expected[device]) if name in set(readings)]
    ]
    return (f"out of order: {', '.join(muddled)}",) if muddled else ()


def _by_device(owed: dict[WebhookId, Device], readings: Sequence[str]) -> dict[Device, list[str]]:
    lanes: dict[Device, list[str]] = {}
    for reading in readings:
        if (device := owed.get(WebhookId(reading))) is not None:
            lanes.setdefault(device, []).append(reading)
    return lanes


def _without(replayed: frozenset[str], readings: Sequence[str]) -> list[str]:
    return [reading for reading in readings if reading not in replayed]
