"""A call is one request, understood. Beside it stand the needs of every resource, and the forms of an answer."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from forwarder.api import requests as forms
from forwarder.logs import logger
from forwarder.normalise import Normaliser
from forwarder.operator import Actor, Change, audited
from forwarder.outbox import Chosen, OutboxAccess, Selection, opened
from forwarder.routes import Routes
from forwarder.sender import HttpxTransportFor
from forwarder.settings import OutboxPlace

T = TypeVar("T")
K = TypeVar("K")
MOST_LOOKED_AT = 100_000
"""Most deliveries that one answer of a list looks through. A filter that fits few of them is answered in parts."""
_log = logger("api")


@dataclass(frozen=True, slots=True)
class Raw:
    """An answer that is written already."""

    body: bytes
    media_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Situation:
    """The knowledge that only the running service has, as of the request."""

    readiness: Mapping[str, Any]
    routes: Routes
    problem: str | None
    """The first problem of the routing file as it stands now; None if it is in force."""
    now: float
    """UNIX seconds."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request, understood."""

    path: Mapping[str, str]
    query: Any
    """A form of `requests`. `body` is one too, unless it is bytes."""
    body: Any
    situation: Situation
    actor: Actor

    def audited(
        self, outbox: OutboxAccess, what: str, meant: int
    ) -> AbstractContextManager[Change]:
        """The record of a change. Its endpoint is the one that gets the rows, else the one that has them."""
        endpoint = getattr(self.body, "to", None) or getattr(self.body, "endpoint", None)
        now = self.situation.now
        return audited(outbox, self.actor, what, meant=meant, endpoint=endpoint, now=now)

    def done(self, what: str, count: int, *, answer: object = None, **whom: str) -> object:
        """The answer to a change, which is logged here."""
        actor = self.actor
        _log.info("operator.changed", what=what, count=count, via=actor.via, who=actor.who, **whom)
        return answer or {"count": count}


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """The needs of every resource: one outbox, and the line's other parts."""

    outbox_place: OutboxPlace
    normaliser: Normaliser
    """Our own, because normalisers count, and so is `trusting`, which takes the device that a payload names."""
    trusting: Normaliser
    transports: Callable[[], HttpxTransportFor]
    """Made anew for each test of an endpoint, because each test has a thread and a loop of its own."""
    page_url: str
    """The page's URL for people."""
    most_looked_at: int = MOST_LOOKED_AT

    @contextmanager
    def readable(self) -> Iterator[OutboxAccess]:
        """A new connection to the outbox, which only reads."""
        with opened(self.outbox_place, is_read_only=True) as outbox:
            yield outbox

    @contextmanager
    def writable(self) -> Iterator[OutboxAccess]:
        """A new connection to the outbox."""
        with opened(self.outbox_place) as outbox:
            yield outbox


def discarded(
    resources: Resources,
    call: Call,
    what: str,
    *,
    meant: Callable[[OutboxAccess, Call], Chosen[K]],
    discard: Callable[[OutboxAccess, Chosen[K]], int],
) -> object:
    """Erase the rows that a request means. `what` is the word for it in the record of changes."""
    with resources.writable() as outbox:
        chosen = meant(outbox, call)
        if call.query.dry_run:
            return {"count": chosen.count}
        with call.audited(outbox, what, chosen.count) as change:
            erased = change.count = discard(outbox, chosen)
    return call.done(what, erased)


def part_of(
    query: forms.DeliveryList | forms.DeadLetterList | forms.QuarantineList,
) -> Selection:
    """The rows that the list asks for, and one more, which tells whether there is more."""
    return query.selection(limit=query.limit + 1, after=query.position)


def page_of(
    query: Any,
    rows: Sequence[T],
    as_object: Callable[[T], dict[str, object]],
    position: Callable[[T], forms.Position],
) -> dict[str, object]:
    """A part of a list, and the place where it goes on."""
    page: dict[str, object] = {"items": [as_object(row) for row in rows[: query.limit]]}
    if len(rows) > query.limit:
        page["next"] = forms.encode_cursor(position(rows[query.limit - 1]))
    return page


def as_raw(answer: object) -> Raw:
    """An answer as bytes."""
    return answer if isinstance(answer, Raw) else Raw(json.dumps(answer).encode())
