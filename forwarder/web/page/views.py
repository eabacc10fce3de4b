"""What each view shows: plain values for its template. Every function here runs in a thread of its own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeAlias

from forwarder.api import Denied, Resources, Situation
from forwarder.operator import EndpointStatus, Status
from forwarder.operator.objects import oldest_seconds
from forwarder.operator.wording import describe, last_answer
from forwarder.units import age, format_duration, format_size
from forwarder.web.page.charts import share
from forwarder.web.page.live import Pulse
from forwarder.web.page.sentences import (
    Level,
    level_of,
    of_broker,
    what_was_done,
    whether_all_is_well,
)

SHOWN_ENDPOINTS = 200
NEEDING_A_LOOK = 8
_GRAVITY: Mapping[Level, int] = {"trouble": 0, "warning": 1, "well": 2, "rest": 3}


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, understood, and what it is asked of."""

    path: Mapping[str, str]
    query: Mapping[str, str]
    form: Mapping[str, str]
    situation: Situation
    pulse: Pulse
    resources: Resources
    here: str = "/"
    """Path and query of what is looked at."""
    has_session: bool = False
    """Whether the reader has signed in, and so can sign out."""

    def overview(self) -> Status:
        return self.resources.overview(self.situation)


@dataclass(frozen=True, slots=True)
class Shown:
    """A template, and what goes into it."""

    template: str
    context: Mapping[str, object] = field(default_factory=dict)
    status: int = 200


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The browser is to go there."""

    path: str


View: TypeAlias = Callable[[Asked], Shown | Elsewhere]


@dataclass(frozen=True, slots=True)
class EndpointRow:
    """One endpoint as lists show it."""

    name: str
    level: Level
    words: str
    pending: int
    oldest: str | None
    delivered: int
    dead_letters: int
    last_answer: str


def line(asked: Asked) -> Shown:
    """How everything stands."""
    status, now = asked.overview(), asked.situation.now
    rows = endpoint_rows(status, now)
    return _shell(
        "line.html",
        asked,
        status=status,
        title="Line",
        typed="forwarder status",
        broker=of_broker(asked.situation.readiness["mqtt"]),
        mqtt=asked.situation.readiness["mqtt"],
        outbox_problem=asked.situation.readiness["outbox"].get("problem"),
        pulse=asked.pulse,
        used_percent=share(asked.pulse.used_bytes, asked.pulse.max_bytes),
        messages=status.messages,
        quarantined=status.quarantine,
        pending=sum(row.pending for row in rows),
        delivered=sum(row.delivered for row in rows),
        dead_letters=sum(row.dead_letters for row in rows),
        endpoint_counts=_counts(rows),
        uneasy=[row for row in rows if row.level in ("trouble", "warning")][:NEEDING_A_LOOK],
        routes=asked.situation.readiness["routes"],
        routes_problem=asked.situation.problem,
    )


def endpoints(asked: Asked) -> Shown:
    """Every endpoint, those that need a look first."""
    status = asked.overview()
    rows = endpoint_rows(status, asked.situation.now)
    return _shell(
        "endpoints.html",
        asked,
        status=status,
        title="Endpoints",
        typed="forwarder status",
        rows=rows[:SHOWN_ENDPOINTS],
        left_out=max(len(rows) - SHOWN_ENDPOINTS, 0),
        counts=_counts(rows),
    )


def endpoint_rows(status: Status, now: float) -> list[EndpointRow]:
    """All that matter, the worst first and otherwise in the file's order."""
    rows = [
        _row(name, one, now)
        for name, one in status.endpoints.items()
        if one.state != "removed" or one.totals.pending or one.dead_letters
    ]
    return sorted(rows, key=lambda row: _GRAVITY[row.level])


def _row(name: str, one: EndpointStatus, now: float) -> EndpointRow:
    oldest = oldest_seconds(one, now)
    return EndpointRow(
        name=name,
        level=level_of(one, now),
        words=describe(one, now),
        pending=one.totals.pending,
        oldest=None if oldest is None else age(oldest),
        delivered=one.totals.delivered,
        dead_letters=one.dead_letters,
        last_answer=last_answer(one, now),
    )


def _counts(rows: Sequence[EndpointRow]) -> dict[str, int]:
    levels = [row.level for row in rows]
    return {level: levels.count(level) for level in _GRAVITY}


def nowhere(_: Asked) -> Shown:
    """Where there is no view."""
    return went_wrong(404, "there is no such page")


def went_wrong(status: int, sentence: str) -> Shown:
    """A sentence in the place of a view."""
    return _bare(status, sentence, "Nothing here" if status == 404 else "That did not work")


def turned_away(denied: Denied) -> Shown:
    """What is shown to whoever may not look."""
    return _bare(denied.status, denied.detail, "Not for everybody")


def sign_in(target: str, denied: Denied | None = None) -> Shown:
    """The form that asks for the admin token, and why it was not right."""
    why = None if denied is None else _whole(denied.detail)
    context = {"title": "Sign in", "target": target, "why": why}
    return Shown("sign_in.html", context, 200 if denied is None else denied.status)


def _bare(status: int, sentence: str, title: str) -> Shown:
    return Shown("message.html", {"title": title, "sentence": _whole(sentence)}, status)


def _whole(clause: str) -> str:
    return f"{clause[:1].upper()}{clause[1:].rstrip('.')}."


def _shell(template: str, asked: Asked, *, status: Status | None, **context: Any) -> Shown:
    """A view in its frame, which says on every view whether all is well."""
    situation = asked.situation
    said = whether_all_is_well(
        situation.readiness["reasons"],
        status or asked.overview(),
        problems=situation.readiness["routes"]["problems"],
        now=situation.now,
    )
    did = what_was_done(asked.query.get("did"), asked.query.get("n"))
    section = f"/{asked.here.partition('?')[0].split('/')[1]}"
    frame = {
        "now": situation.now,
        "said": said,
        "did": did,
        "here": asked.here,
        "section": section,
        "has_session": asked.has_session,
    }
    return Shown(template, {**frame, **context})


def _instant(value: float | str | None) -> str:
    """RFC 3339 in UTC; empty for None."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return (
        datetime.fromtimestamp(value, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )


def _utc(value: float | str | None) -> str:
    """The same for people: `2025-11-18 10:17:40 UTC`."""
    text = _instant(value)
    if not text:
        return ""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return text
    return instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


FILTERS: Mapping[str, Callable[..., str]] = {
    "instant": _instant,
    "utc": _utc,
    "age": age,
    "number": lambda value: f"{value:,}",
    "size": format_size,
    "duration": lambda seconds: "" if seconds is None else format_duration(seconds),
}

VIEWS: Mapping[str, View] = {"/": line, "/endpoints": endpoints}
