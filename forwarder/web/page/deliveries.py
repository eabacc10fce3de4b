"""Deliveries have one search box, and a view of each with all attempts, the answer, and what comes next."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from forwarder.api import requests as forms
from forwarder.api import resources
from forwarder.delivery import Delivery, ReadingNumber, in_words
from forwarder.operator.objects import delivery_object, last_error, next_attempt_at
from forwarder.outbox import DeliveryFile, DeliveryRecord
from forwarder.render import Unrenderable, render
from forwarder.routes import EndpointName, Routes
from forwarder.web.page.frame import Asked, Elsewhere, Shown, View, framed
from forwarder.web.page.search import Search, parse_search, zone_of
from forwarder.web.page.sentences import Level

SHOWN = 50
_LEVELS: Mapping[str, Level] = {
    "candidate": "rest",
    "pending": "warning",
    "delivered": "well",
    "dead": "trouble",
    "expired": "rest",
    "superseded": "rest",
    "thinned": "rest",
}
_WHY_DEAD = {
    "refused": "The receiver refused it for good.",
    "expired": "It grew older than the endpoint's max_age before it could be delivered.",
    "exhausted": "All attempts that the endpoint allows have failed.",
    "endpoint_removed": "The routing file no longer names its endpoint.",
    "unrenderable": "The endpoint's template makes nothing of this reading.",
}


@dataclass(frozen=True, slots=True)
class Happened:
    """One attempt as the time line shows it."""

    number: int
    attempted_at: float
    duration_ms: float
    address: str | None
    level: Level
    result: str
    said: str
    """The error, or the start of the answer."""


@dataclass(frozen=True, slots=True)
class File:
    """All about one delivery, for its reader."""

    record: DeliveryRecord
    level: Level
    attempts: Sequence[Happened]
    next: str
    next_at: float | None
    body: str | None
    """The body that the receiver gets, or would get; None if the reading is not kept."""
    curl: str | None


def deliveries(asked: Asked) -> Shown:
    """The newest deliveries that the search finds."""
    text, zone = asked.query.get("q", ""), asked.query.get("zone")
    known = [str(name) for name in asked.situation.routes.endpoints]
    search = parse_search(text, endpoints=known, zone=zone_of(zone), now=asked.situation.now)
    found: Any = {"items": []} if search.problems else _found(search, asked)
    return framed(
        "deliveries.html",
        asked,
        title="Deliveries",
        typed=command_of(search),
        q=text,
        zone=zone or "",
        search=search,
        rows=[row_of(one) for one in found["items"]],
        next=_next(asked, found.get("next")),
        is_narrowed=bool(text.strip()),
        is_onwards="cursor" in asked.query,
        looked_at=asked.resources.most_looked_at,
    )


def _found(search: Search, asked: Asked) -> Any:
    if search.id is not None:
        which = forms.Which(endpoint=search.endpoint)
        files = asked.of(resources.deliveries.files, query=which, id=search.id)
        return {"items": [delivery_object(one.record) for one in files]}
    query = forms.DeliveryList(
        endpoint=search.endpoint,
        device=search.device,
        state=search.state,
        since=search.since,
        until=search.until,
        limit=SHOWN,
        cursor=asked.query.get("cursor") or None,
    )
    return asked.of(resources.deliveries.listed, query=query)


def _next(asked: Asked, cursor: str | None) -> str | None:
    if cursor is None:
        return None
    kept = {name: asked.query[name] for name in ("q", "zone") if name in asked.query}
    return f"/deliveries?{urlencode({**kept, 'cursor': cursor})}"


def row_of(one: Mapping[str, Any]) -> dict[str, Any]:
    """A delivery as lists show it."""
    return {**one, "level": _LEVELS[one["state"]], "result": _result(one)}


def _result(one: Mapping[str, Any]) -> str:
    """The result of the last attempt, in a word or two."""
    if one["last_error"]:
        return in_words(one["last_error"])
    return str(one["last_status"] or "–")


def command_of(search: Search) -> str:
    """The command that does the same search in a shell."""
    if search.id is not None:
        return f"forwarder deliveries show {shlex.quote(search.id)}"
    given = {name: getattr(search, name) for name in ("endpoint", "device", "state")}
    options = [f" --{name} {shlex.quote(value)}" for name, value in given.items() if value]
    return f"forwarder deliveries list{''.join(options)}"


def delivery(asked: Asked) -> Shown:
    """One reading's deliveries, or its delivery to one endpoint."""
    identity = asked.path["id"]
    query = forms.Which(endpoint=asked.query.get("endpoint") or None)
    files = asked.of(resources.deliveries.files, query=query, id=identity)
    return framed(
        "delivery.html",
        asked,
        title="Delivery",
        typed=f"forwarder deliveries show {shlex.quote(identity)}",
        files=[file_of(one, asked.situation.routes) for one in files],
        id=files[0].record.webhook_id,
        device=files[0].record.device,
    )


def file_of(found: DeliveryFile, routes: Routes | None) -> File:
    """The shown part of a delivery. Without routes, as for strangers, the request and the command are left out."""
    record = found.record
    body = None if routes is None else _body(found, routes)
    return File(
        record=record,
        level=_LEVELS[record.state],
        attempts=[_happened(one) for one in found.attempts],
        next=what_next(record),
        next_at=next_attempt_at(record),
        body=body,
        curl=None if body is None else _curl(record, body),
    )


def _happened(attempt: Any) -> Happened:
    said = attempt.detail or attempt.answer.decode(errors="replace")
    return Happened(
        number=attempt.number,
        attempted_at=attempt.attempted_at,
        duration_ms=attempt.duration_ms,
        address=attempt.address,
        level="trouble" if attempt.error else "well",
        result=in_words(attempt.error) or str(attempt.status),
        said=said,
    )


def what_next(record: DeliveryRecord) -> str:
    """A sentence on what happens to a delivery next."""
    match record.state:
        case "delivered":
            return "It was taken. Bodies of delivered readings are not kept."
        case "dead":
            why = _WHY_DEAD.get(record.reason or "", "It could not be delivered.")
            return f"{why} It waits as a dead letter until somebody replays or discards it."
        case "superseded":
            return "A newer reading of the device took its place, as mode: latest has it."
        case "candidate":
            return "It is owed once its min_interval ends, unless a newer reading comes before."
        case "thinned":
            return "A newer reading of its min_interval went out instead."
        case "expired":
            return "It grew too old to be worth sending, as mode: latest has it."
    if record.attempts and last_error(record):
        return "It is tried again."
    return "It waits for its turn: nothing was sent yet."


def _body(found: DeliveryFile, routes: Routes) -> str | None:
    endpoint = routes.endpoints.get(EndpointName(found.record.endpoint))
    if found.data is None or endpoint is None:
        return None
    record = found.record
    owed = Delivery(
        reading=ReadingNumber(record.id.reading),
        endpoint=record.endpoint,
        device=record.device,
        webhook_id=record.webhook_id,
        measured_at=record.measured_at,
        received_at=record.received_at,
        age_from=record.received_at,
        attempts=record.attempts,
        data=found.data,
    )
    try:
        return render([owed], endpoint=endpoint).body.decode(errors="replace")
    except Unrenderable:
        return None


def _curl(record: DeliveryRecord, body: str) -> str:
    """The request as a command, without the URL, which may hold a token, and without a signature."""
    return (
        f"curl \"$URL\" -H 'content-type: application/json' -H {shlex.quote(f'webhook-id: {record.webhook_id}')}"
        f" --data-binary {shlex.quote(body)}"
    )


def replay_one(asked: Asked) -> Elsewhere:
    """Send one dead letter again."""
    identity, endpoint = asked.form.get("id", ""), asked.form.get("endpoint") or None
    body = forms.ReplayedDeadLetters(ids=(identity,), endpoint=endpoint)
    answer = asked.of(resources.dead_letters.replay, query=forms.DryRun(), body=body)
    query = {"q": identity, "did": "replayed", "n": answer["count"]}
    return Elsewhere(f"/deliveries?{urlencode(query)}")


VIEWS: Mapping[str, View] = {"/deliveries": deliveries, "/deliveries/{id}": delivery}
ACTIONS: Mapping[str, View] = {"/dead-letters/replay": replay_one}
