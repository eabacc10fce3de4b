"""The frame has the values between the routes, the views and the templates."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias
from urllib.parse import quote

from forwarder.api import Call, Denied, Resources, Situation
from forwarder.api.resources import line
from forwarder.delivery import in_words
from forwarder.operator import Actor, Status
from forwarder.outbox import Minute
from forwarder.units import age, format_duration, format_size
from forwarder.web.page.charts import MINUTE_SECONDS, MINUTES
from forwarder.web.page.live import Pulse
from forwarder.web.page.sentences import (
    Level,
    Said,
    by_level,
    what_was_done,
    whether_all_is_well,
)


@dataclass(frozen=True, slots=True)
class Standing:
    """The state of the whole line at one instant, judged once for all views of it."""

    status: Status
    levels: Mapping[Level, Sequence[str]]
    """The names of endpoints, by the level of their state."""
    said: Said
    """The sentence on whether all is well."""
    at: float
    """UNIX seconds."""


def standing_of(resources: Resources, situation: Situation) -> Standing:
    status = line.overview(resources, situation)
    levels = by_level(status)
    readiness = situation.readiness
    said = whether_all_is_well(
        readiness["reasons"], status, levels, problems=readiness["routes"]["problems"]
    )
    return Standing(status, levels, said, situation.now)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, understood, with the parts that answer it."""

    path: Mapping[str, str]
    query: Mapping[str, str]
    form: Mapping[str, str]
    situation: Situation
    pulse: Pulse
    resources: Resources
    standing: Callable[[], Standing]
    here: str = "/"
    """Path and query of the present view."""
    by: Literal["token", "session", "loopback"] = "loopback"
    """The proof by which the reader was admitted."""
    takes_gzip: bool = False

    @property
    def actor(self) -> Actor:
        """The author of changes by this request."""
        return Actor("page", self.by)

    def minutes(self, endpoint: str) -> list[Minute]:
        """The minutes of the last hour, of an endpoint, or of the line, whose name is empty."""
        since = self.situation.now - (MINUTES + 2) * MINUTE_SECONDS
        return line.minutes(self.resources, endpoint, since=since)

    def of(
        self,
        work: Callable[[Resources, Call], Any],
        *,
        query: object = None,
        body: object = None,
        **path: str,
    ) -> Any:
        """The answer of an API resource to this request."""
        situation, actor = self.situation, self.actor
        call = Call(path=path, query=query, body=body, situation=situation, actor=actor)
        return work(self.resources, call)


@dataclass(frozen=True, slots=True)
class Shown:
    """A template, and the values in it."""

    template: str
    context: Mapping[str, object] = field(default_factory=dict)
    status: int = 200


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A redirect of the browser."""

    path: str


View: TypeAlias = Callable[[Asked], Shown | Elsewhere]


def nowhere(_: Asked) -> Shown:
    """The answer for a path without a view."""
    return went_wrong(404, "there is no such page")


def went_wrong(status: int, sentence: str) -> Shown:
    """A sentence in the place of a view."""
    return bare(status, sentence, "Nothing here" if status == 404 else "That did not work")


def turned_away(denied: Denied) -> Shown:
    """The answer to a reader who may not look."""
    return bare(denied.status, denied.detail, "Not for everybody")


def sign_in(target: str, denied: Denied | None = None) -> Shown:
    """The form for the admin token, with the reason why the last one was refused."""
    why = None if denied is None else whole(denied.detail)
    context = {"title": "Sign in", "target": target, "why": why}
    return Shown("sign_in.html", context, 200 if denied is None else denied.status)


def bare(status: int, sentence: str, title: str) -> Shown:
    return Shown("message.html", {"title": title, "sentence": whole(sentence)}, status)


def whole(clause: str) -> str:
    return f"{clause[:1].upper()}{clause[1:].rstrip('.')}."


def framed(template: str, asked: Asked, **context: Any) -> Shown:
    """A view in its frame. The frame says on every view whether all is well."""
    situation = asked.situation
    did = what_was_done(asked.query.get("did"), asked.query.get("n"))
    section = f"/{asked.here.partition('?')[0].split('/')[1]}"
    frame = {
        "now": situation.now,
        "said": asked.standing().said,
        "did": did,
        "here": asked.here,
        "section": section,
        "has_session": asked.by == "session",
    }
    return Shown(template, {**frame, **context})


def _instant(value: float | str | None) -> str:
    """The instant by RFC 3339 in UTC; empty for None."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return (
        datetime.fromtimestamp(value, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )


def _utc(value: float | str | None) -> str:
    """The instant for people: `2025-11-18 10:17:40 UTC`."""
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
    "words": in_words,
    "number": lambda value: f"{value:,}",
    "size": format_size,
    "duration": lambda seconds: "" if seconds is None else format_duration(seconds),
    "quoted": lambda text: quote(str(text), safe=""),
}
