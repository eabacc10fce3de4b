"""What each resource does: a command's work, asked for by HTTP. Every function here runs in a thread of its own."""

import asyncio
import base64
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar, cast

from forwarder.api import requests as forms
from forwarder.errors import OperationError
from forwarder.event_data import encode_data
from forwarder.logs import logger
from forwarder.normalise import Normaliser
from forwarder.operator import (
    Actor,
    Change,
    Status,
    audited,
    dead_letters_meant,
    decoder,
    deliveries_meant,
    delivery_file,
    devices_behind,
    discard,
    discard_quarantined,
    find_endpoint,
    known_endpoints,
    name_dead_letters,
    name_deliveries,
    not_an_endpoint,
    opened_by,
    parse_device,
    pause,
    quarantined_id,
    quarantined_meant,
    quarantined_message,
    read_device_file,
    read_status,
    replay,
    replay_quarantined,
    replay_to,
    require_device,
    require_endpoint,
    require_routed,
    require_same_kind,
    require_share,
    resume,
    revoke_share,
    send_test,
    share_endpoint,
    shares_in_force,
)
from forwarder.operator.objects import (
    audit_object,
    dead_letter_object,
    delivery_file_object,
    delivery_object,
    device_file_object,
    device_object,
    endpoint_object,
    outcome_object,
    quarantined_object,
    routes_object,
    routes_of_device_object,
    share_object,
    status_object,
    with_raw,
)
from forwarder.operator.send_test import TransportFor
from forwarder.outbox import (
    DeliveryFile,
    DeliveryId,
    DeliveryRecord,
    Minute,
    OutboxAccess,
    Selection,
    Share,
    opened,
)
from forwarder.reading import Message, Unreadable, webhook_id
from forwarder.routes import Routes
from forwarder.settings import OutboxPlace

T = TypeVar("T")
MOST_LOOKED_AT = 100_000
"""Deliveries that one answer of a list looks through: a filter that fits few of them is answered in parts."""
_NO_ENDPOINT = -1
_TOPIC_WITHOUT_DEVICE = "decode/unknown"


@dataclass(frozen=True, slots=True)
class Raw:
    """An answer that is written already."""

    body: bytes
    media_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Situation:
    """What only the running service knows, as of the request."""

    readiness: Mapping[str, Any]
    routes: Routes
    problem: str | None
    """The first sentence on the routing file as it stands there, None where it is in force."""
    now: float
    """UNIX seconds."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request, understood."""

    path: Mapping[str, str]
    query: Any
    """A form of `requests`; so is `body`, unless it is bytes."""
    body: Any
    situation: Situation
    actor: Actor


class Resources:
    """The work of every resource, on one outbox."""

    def __init__(
        self,
        *,
        outbox_place: OutboxPlace,
        routes_file: Path,
        normaliser: Normaliser,
        trusting: Normaliser,
        transports: Callable[[], TransportFor],
        page_url: str,
    ) -> None:
        """
        The normalisers are our own, because they count; `trusting` takes the device that a payload names.

        transports: anew for each test of an endpoint, because each has a thread and a loop of its own
        page_url: how people reach the page
        """
        self._outbox_place = outbox_place
        self._routes_file = routes_file
        self._normaliser = normaliser
        self._trusting = trusting
        self._transports = transports
        self._page_url = page_url
        self._log = logger("api")

    # How everything stands

    def status(self, call: Call) -> object:
        situation = call.situation
        readiness, now = situation.readiness, situation.now
        return status_object(
            self.overview(situation),
            ready=readiness["ready"],
            reasons=readiness["reasons"],
            mqtt=readiness["mqtt"],
            outbox=readiness["outbox"],
            routes={**readiness["routes"], "problem": situation.problem, "not_in_force": []},
            now=now,
        )

    def overview(self, situation: Situation) -> Status:
        """The same, as it is read."""
        endpoints = situation.routes.endpoints
        return read_status(
            self._outbox_place,
            in_force={str(name): one.paused for name, one in endpoints.items()},
            refused={str(name): one.refused for name, one in endpoints.items()},
            now=situation.now,
        )

    def endpoints(self, call: Call) -> object:
        return {"items": list(self._endpoints(call))}

    def endpoint(self, call: Call) -> object:
        return self._one_endpoint(call)

    def _endpoints(self, call: Call) -> Iterator[dict[str, Any]]:
        now = call.situation.now
        for name, endpoint in self.overview(call.situation).endpoints.items():
            yield {"name": name, **endpoint_object(endpoint, now)}

    def _one_endpoint(self, call: Call) -> dict[str, Any]:
        name = call.path["name"]
        for endpoint in self._endpoints(call):
            if endpoint["name"] == name:
                return endpoint
        raise OperationError(f"there is no endpoint {name!r}; GET endpoints lists them")

    def pause(self, call: Call) -> object:
        return self._change_endpoint(call, pause, would=lambda paused_by: paused_by != "operator")

    def resume(self, call: Call) -> object:
        return self._change_endpoint(call, resume, would=lambda by: by in ("operator", "gone"))

    def _change_endpoint(
        self, call: Call, change: Callable[..., bool], *, would: Callable[[str | None], bool]
    ) -> object:
        endpoint = self._one_endpoint(call)
        if call.query.dry_run:
            return {"count": int(would(endpoint["paused_by"]))}
        with self._writable() as outbox:
            changed = change(outbox, endpoint["name"], actor=call.actor, now=call.situation.now)
        return self._done(call, change.__name__, int(changed), endpoint=endpoint["name"])

    def shares(self, call: Call) -> object:
        with self._readable() as outbox:
            name = _endpoint_meant(call, known_endpoints(outbox, call.situation.routes))
            shares = shares_in_force(outbox, now=call.situation.now, endpoint=name)
        return {"items": [share_object(one) for one in shares]}

    def share(self, call: Call) -> object:
        with self._writable() as outbox:
            name = _endpoint_meant(call, known_endpoints(outbox, call.situation.routes))
            made = share_endpoint(
                outbox,
                name,
                seconds=call.body.seconds,
                actor=call.actor,
                now=call.situation.now,
            )
        answer = {**share_object(made.share), "url": made.url(self._page_url)}
        return self._done(call, "share", 1, answer=answer, endpoint=name)

    def opened_by(self, token: str, *, now: float) -> Share | None:
        """What the token of a link opens; None where it opens nothing."""
        with self._readable() as outbox:
            return opened_by(outbox, token, now=now)

    def minutes(self, endpoint: str, *, since: float) -> list[Minute]:
        """What minutes came to, of an endpoint, or of the line, whose name is empty."""
        with self._readable() as outbox:
            return outbox.minutes(endpoint, since=since)

    def unshare(self, call: Call) -> object:
        identity, name = call.path["id"], call.path["name"]
        with self._writable() as outbox:
            require_share(outbox, identity, now=call.situation.now, endpoint=name)
            if call.query.dry_run:
                return {"count": 1}
            revoke_share(outbox, identity, actor=call.actor, now=call.situation.now, endpoint=name)
        return self._done(call, "unshare", 1, endpoint=name)

    def send_test(self, call: Call) -> object:
        routes = call.situation.routes
        endpoint = find_endpoint(routes, _endpoint_meant(call, list(routes.endpoints)))
        # As the command does it; the line's own loop goes on meanwhile.
        answered = asyncio.run(send_test(endpoint, transport_for=self._transports()))
        answer = outcome_object(endpoint.name, answered)
        return self._done(call, "send_test", 1, answer=answer, endpoint=endpoint.name)

    # Devices

    def devices(self, call: Call) -> object:
        query, now = call.query, call.situation.now
        with self._readable() as outbox:
            every = devices_behind(outbox, call.situation.routes, query.last)
            meant = (
                one
                for one in every
                if (one.silent_since is not None or not query.silent)
                and (one.is_unrouted or not query.unrouted)
            )
            rows = list(islice(meant, query.limit + 1))
        return _page(query, rows, lambda one: device_object(one, now), lambda one: (one.device,))

    def device(self, call: Call) -> object:
        device, now = parse_device(call.path["device"]), call.situation.now
        with self._readable() as outbox:
            require_device(outbox, device, self._routes_file)
            found = read_device_file(outbox, device, call.situation.routes)
        return device_file_object(found, now)

    # Deliveries and dead letters

    def deliveries(self, call: Call) -> object:
        with self._readable() as outbox:
            part = _part(call.query)
            within = outbox.outlook(part, most=MOST_LOOKED_AT)
            part = replace(part, readings=(within.lowest, within.highest))
            chosen = deliveries_meant(outbox, (), part, routes_file=self._routes_file)
            records = _records(outbox, chosen.chunks())
        page = _page(call.query, records, delivery_object, lambda one: one.id)
        if not within.is_whole:
            page.setdefault("next", forms.encode_cursor((within.lowest - 1, _NO_ENDPOINT)))
        return page

    def delivery(self, call: Call) -> object:
        return _written_files(self.delivery_files(call))

    def delivery_files(self, call: Call) -> list[DeliveryFile]:
        """The same, as it is read: all about the deliveries of one reading."""
        with self._readable() as outbox:
            return _files(outbox, name_deliveries(outbox, [call.path["id"]]), call)

    def dead_letters(self, call: Call) -> object:
        with self._readable() as outbox:
            chosen = dead_letters_meant(
                outbox, (), _part(call.query), routes_file=self._routes_file
            )
            records = _records(outbox, chosen.chunks())
        return _page(
            call.query, records, dead_letter_object, lambda one: (one.settled_at or 0.0, *one.id)
        )

    def dead_letter(self, call: Call) -> object:
        with self._readable() as outbox:
            found = _files(outbox, name_dead_letters(outbox, [call.path["id"]]), call)
        return _written_files(found)

    def replay_dead_letters(self, call: Call) -> object:
        routes, to = call.situation.routes, call.body.to
        with self._writable() as outbox:
            if to is not None:
                require_endpoint(to, list(routes.endpoints), routes)
            chosen = dead_letters_meant(
                outbox, call.body.ids, call.body.selection(), routes_file=self._routes_file
            )
            require_same_kind(outbox.endpoints_of(chosen), to)
            if to is None:
                require_routed(outbox.endpoints_of(chosen), routes)
            if call.query.dry_run:
                return {"count": chosen.count}
            with _audited(outbox, call, "replay", chosen.count) as change:
                if to is None:
                    came_to = replay(outbox, chosen, now=call.situation.now)
                else:
                    came_to = replay_to(outbox, chosen, endpoint=to, now=call.situation.now)
                change.count = came_to.replayed
        answer = {"count": came_to.replayed}
        if came_to.already_there:
            answer["already_there"] = came_to.already_there
        return self._done(call, "replay", came_to.replayed, answer=answer)

    def discard_dead_letters(self, call: Call) -> object:
        with self._writable() as outbox:
            chosen = dead_letters_meant(
                outbox, call.body.ids, call.body.selection(), routes_file=self._routes_file
            )
            if call.query.dry_run:
                return {"count": chosen.count}
            with _audited(outbox, call, "discard", chosen.count) as change:
                erased = change.count = discard(outbox, chosen)
        return self._done(call, "discard", erased)

    # Quarantine

    def quarantine(self, call: Call) -> object:
        with self._readable() as outbox:
            chosen = quarantined_meant(outbox, (), _part(call.query), routes_file=self._routes_file)
            # One at a time: each may hold a message of the largest size.
            messages = [
                {"id": found.id, **quarantined_object(found)}
                for numbers in chosen.chunks()
                for number in numbers
                for found in outbox.quarantined([number])
            ]
        return _page(call.query, messages, dict, lambda one: (cast("int", one["id"]),))

    def message(self, call: Call) -> object:
        found = self._message(call)
        payload = base64.b64encode(found.payload).decode()
        return {**quarantined_object(found), "payload_base64": payload}

    def message_raw(self, call: Call) -> Raw:
        return Raw(self._message(call).payload, "application/octet-stream")

    def message_decoded(self, call: Call) -> object:
        found = self._message(call)
        received_at = datetime.fromtimestamp(found.received_at, UTC)
        return _decoded(self._normaliser, Message(found.topic, found.payload, received_at))

    def _message(self, call: Call) -> Any:
        with self._readable() as outbox:
            return quarantined_message(outbox, quarantined_id(call.path["id"]))

    def replay_messages(self, call: Call) -> object:
        decode = decoder(self._normaliser, call.situation.routes)
        with self._writable() as outbox:
            chosen = quarantined_meant(
                outbox, call.body.ids, call.body.selection(), routes_file=self._routes_file
            )
            if call.query.dry_run:
                return {"count": chosen.count}
            with _audited(outbox, call, "replay_quarantined", chosen.count) as change:
                outcomes = replay_quarantined(outbox, chosen, decode=decode, now=call.situation.now)
                change.count = outcomes["replayed"]
        others = {str(name): n for name, n in outcomes.items() if name not in ("replayed", "gone")}
        replayed = outcomes["replayed"]
        return self._done(
            call, "replay_quarantined", replayed, answer={"count": replayed, **others}
        )

    def discard_messages(self, call: Call) -> object:
        with self._writable() as outbox:
            chosen = quarantined_meant(
                outbox, call.body.ids, call.body.selection(), routes_file=self._routes_file
            )
            if call.query.dry_run:
                return {"count": chosen.count}
            with _audited(outbox, call, "discard_quarantined", chosen.count) as change:
                erased = change.count = discard_quarantined(outbox, chosen)
        return self._done(call, "discard_quarantined", erased)

    # Routes and payloads

    def routes(self, call: Call) -> object:
        routes, device = call.situation.routes, call.query.device
        return routes_object(routes) if device is None else routes_of_device_object(routes, device)

    def decode(self, call: Call) -> object:
        # Without a topic there is nothing that the payload could gainsay.
        topic = call.query.topic
        normaliser = self._trusting if topic is None else self._normaliser
        message = Message(topic or _TOPIC_WITHOUT_DEVICE, call.body, datetime.now(UTC))
        return _decoded(normaliser, message)

    def audit(self, call: Call) -> object:
        query = call.query
        with self._readable() as outbox:
            records = outbox.audit(limit=query.limit + 1, before=query.before)
        return _page(query, records, audit_object, lambda one: (one.number,))

    def _done(
        self, call: Call, what: str, count: int, *, answer: object = None, **whom: str
    ) -> object:
        actor = call.actor
        self._log.info(
            "operator.changed", what=what, count=count, via=actor.via, who=actor.who, **whom
        )
        return answer or {"count": count}

    @contextmanager
    def _readable(self) -> Iterator[OutboxAccess]:
        with opened(self._outbox_place, is_read_only=True) as outbox:
            yield outbox

    @contextmanager
    def _writable(self) -> Iterator[OutboxAccess]:
        with opened(self._outbox_place) as outbox:
            yield outbox


def _endpoint_meant(call: Call, known: Sequence[str]) -> str:
    """The name in the path. Raises OperationError where there is no such endpoint."""
    name = call.path["name"]
    if name not in known:
        raise OperationError(not_an_endpoint(name, known, call.situation.routes))
    return name


def _audited(
    outbox: OutboxAccess, call: Call, what: str, meant: int
) -> AbstractContextManager[Change]:
    """The endpoint that it is told of is the one that gets the rows, or whose they are."""
    endpoint = getattr(call.body, "to", None) or getattr(call.body, "endpoint", None)
    now = call.situation.now
    return audited(outbox, call.actor, what, meant=meant, endpoint=endpoint, now=now)


def _part(query: forms.DeliveryList | forms.DeadLetterList | forms.QuarantineList) -> Selection:
    """What the list asks for, and one more, which tells whether there is more."""
    return query.selection(limit=query.limit + 1, after=query.position)


def _records(outbox: OutboxAccess, chunks: Iterable[Sequence[DeliveryId]]) -> list[DeliveryRecord]:
    return [record for keys in chunks for record in outbox.records(keys)]


def _files(outbox: OutboxAccess, keys: Sequence[DeliveryId], call: Call) -> list[DeliveryFile]:
    wanted = call.query.endpoint
    files = [delivery_file(outbox, key) for key in keys]
    chosen = [one for one in files if wanted in (None, one.record.endpoint)]
    if not chosen:
        raise OperationError(f"{files[0].record.webhook_id} is not owed to {wanted!r}")
    return chosen


def _written_files(files: Sequence[DeliveryFile]) -> Raw:
    # The reading's digits stay as they came.
    items = [with_raw(delivery_file_object(one), "data", one.data) for one in files]
    return Raw(f'{{"items": [{", ".join(items)}]}}'.encode())


def _page(
    query: Any,
    rows: Sequence[T],
    as_object: Callable[[T], dict[str, object]],
    position: Callable[[T], forms.Position],
) -> dict[str, object]:
    page: dict[str, object] = {"items": [as_object(row) for row in rows[: query.limit]]}
    if len(rows) > query.limit:
        page["next"] = forms.encode_cursor(position(rows[query.limit - 1]))
    return page


def _decoded(normaliser: Normaliser, message: Message) -> object:
    outcome = normaliser.normalise(message)
    if isinstance(outcome, Unreadable):
        return {"quarantine": outcome.reason, "detail": outcome.detail}
    data = encode_data(webhook_id(outcome.device, message.payload), outcome)
    return Raw(f'{{"reading": {data.decode()}}}'.encode())


def as_raw(answer: object) -> Raw:
    """An answer as bytes."""
    return answer if isinstance(answer, Raw) else Raw(json.dumps(answer).encode())
