"""The choice of rows that an operator means: ids and filters, each checked before anything is looked for."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Literal, TypeAlias

from forwarder.errors import ConfigurationError
from forwarder.notice import OPERATOR
from forwarder.operator.dead_letters import choose_dead_letters
from forwarder.operator.known_routes import (
    WrittenRoutes,
    known_endpoints,
    require_device,
    require_endpoint,
    routes_written,
)
from forwarder.operator.naming import name_dead_letters, name_deliveries
from forwarder.operator.quarantine import choose_quarantined
from forwarder.outbox import Chosen, DeliveryId, OutboxAccess, Selection
from forwarder.reading import Device, parse_mac
from forwarder.routes import Routes
from forwarder.units import parse_duration

DeliveryState: TypeAlias = Literal[
    "candidate", "pending", "delivered", "dead", "expired", "superseded", "thinned"
]


def parse_device(text: str) -> Device:
    """The device of a MAC in any spelling. Any other text is a device that its topic names, as it stands."""
    return parse_mac(text) or Device(text)


def instant_meant(text: str, *, now: float) -> float:
    """
    UNIX seconds of `2025-11-18T10:17:40Z`, or of a duration before now such as `2h`.

    Raises ConfigurationError with a sentence for its author.
    """
    try:
        return now - parse_duration(text)
    except ValueError:
        pass
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise ConfigurationError(
            f"{text!r} is no instant; write it as 2025-11-18T10:17:40Z, or as 2h for two hours ago"
        )
    return instant.timestamp()


def dead_letters_meant(
    outbox: OutboxAccess, ids: Sequence[str], selection: Selection, *, routes: WrittenRoutes
) -> Chosen[DeliveryId]:
    """
    The chosen dead letters, the first that died in front.

    Raises ConfigurationError for a text that names no endpoint, no device and no id, and OperationError for an id that
    does not exist. The functions for deliveries and messages do likewise.
    """
    _require_known(outbox, selection, routes)
    keys = tuple(name_dead_letters(outbox, ids))
    return choose_dead_letters(outbox, replace(selection, ids=keys))


def deliveries_meant(
    outbox: OutboxAccess, ids: Sequence[str], selection: Selection, *, routes: WrittenRoutes
) -> Chosen[DeliveryId]:
    """The chosen deliveries in any state, the newest in front."""
    _require_known(outbox, selection, routes)
    keys = tuple(name_deliveries(outbox, ids))
    return outbox.choose_deliveries(replace(selection, ids=keys))


def quarantined_meant(
    outbox: OutboxAccess, ids: Sequence[str], selection: Selection, *, routes: WrittenRoutes
) -> Chosen[int]:
    """The chosen messages in quarantine, in order of arrival."""
    require_device(outbox, selection.device, routes)
    keys = tuple((quarantined_id(text), 0) for text in ids)
    return choose_quarantined(outbox, replace(selection, ids=keys))


def quarantined_id(text: str) -> int:
    """The number of a message in quarantine. Raises ConfigurationError for a text that is none."""
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise ConfigurationError(
            f"{text!r} is not the id of a message in quarantine; they are numbers"
        )
    return int(text)


def _require_known(outbox: OutboxAccess, selection: Selection, routes: WrittenRoutes) -> None:
    if selection.endpoint is not None:
        written = routes_written(routes)
        require_endpoint(selection.endpoint, known_endpoints(outbox, written), written)
    require_device(outbox, selection.device, routes)


def require_routed(names: Sequence[str], routes: Routes | None) -> None:
    """Raises ConfigurationError when dead letters of these endpoints have nowhere to go. None: it is not known."""
    gone = [name for name in names if routes is not None and name not in routes.endpoints]
    if gone:
        raise ConfigurationError(
            f"routes.yaml no longer has the endpoint {', '.join(gone)}; say with --to NAME who gets its dead letters"
            " instead, or leave them out with --endpoint"
        )


def require_same_kind(names: Sequence[str], to: str | None) -> None:
    """Raises ConfigurationError if readings would go to the operator's endpoint, or notices to another."""
    if to is not None and names and (OPERATOR in names) != (to == OPERATOR):
        raise ConfigurationError(
            f"{OPERATOR} gets notices about the service and the other endpoints readings; narrow the dead letters down"
            " with --endpoint, or leave --to out"
        )
