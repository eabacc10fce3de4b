"""Endpoints, and each of them with its state, its devices, its backlog, and the actions on it."""

import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any
from urllib.parse import quote, urlencode

from forwarder.api import requests as forms
from forwarder.api import resources
from forwarder.errors import OperationError
from forwarder.operator import EndpointStatus
from forwarder.operator.objects import oldest_seconds
from forwarder.operator.wording import describe, last_answer
from forwarder.outbox import Minute
from forwarder.routes import Endpoint, EndpointName, Routes
from forwarder.routes.model import LastOf
from forwarder.units import age, format_duration
from forwarder.web.page.charts import curves_of
from forwarder.web.page.frame import Asked, Elsewhere, Shown, Standing, View, framed
from forwarder.web.page.sentences import Level, level_of

SHOWN_ENDPOINTS = 100
SHOWN_DEAD = 10
ANSWER = "answer:"
"""The prefix of the counts of answers in a minute."""
_GRAVITY: Sequence[Level] = ("trouble", "warning", "well", "rest")


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


def endpoints(asked: Asked) -> Shown | Elsewhere:
    """The endpoints that the search finds; those that need a look come first. A whole name leads to its endpoint."""
    text, standing = asked.query.get("q", "").strip(), asked.standing()
    if text in standing.status.endpoints:
        return Elsewhere(f"/endpoints/{quote(text, safe='')}")
    names = [one for one in names_that_matter(standing) if text.lower() in one.lower()]
    first = _position(asked.query.get("from"))
    shown = names[first : first + SHOWN_ENDPOINTS]
    onwards = urlencode({"q": text, "from": first + SHOWN_ENDPOINTS})
    return framed(
        "endpoints.html",
        asked,
        title="Endpoints",
        typed="forwarder status",
        q=text,
        rows=endpoint_rows(shown, asked),
        next=f"/endpoints?{onwards}" if first + SHOWN_ENDPOINTS < len(names) else None,
        counts=counts_of(standing),
    )


def _position(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 8 else 0


def names_that_matter(standing: Standing) -> list[str]:
    """The names of endpoints, the worst first, else in the file's order. Resting ones that owe nothing are left out."""
    endpoints = standing.status.endpoints
    kept = [
        name
        for name in standing.levels.get("rest", ())
        if endpoints[name].totals.pending or endpoints[name].dead_letters
    ]
    return [*chain.from_iterable(standing.levels.get(one, ()) for one in _GRAVITY[:3]), *kept]


def endpoint_rows(names: Iterable[str], asked: Asked) -> list[EndpointRow]:
    every, now = asked.standing().status.endpoints, asked.situation.now
    return [endpoint_row(name, every[name], now) for name in names]


def endpoint_row(name: str, one: EndpointStatus, now: float) -> EndpointRow:
    oldest = oldest_seconds(one, now)
    return EndpointRow(
        name=name,
        level=level_of(one),
        words=describe(one, now),
        pending=one.totals.pending,
        oldest=None if oldest is None else age(oldest),
        delivered=one.totals.delivered,
        dead_letters=one.dead_letters,
        last_answer=last_answer(one, now),
    )


def counts_of(standing: Standing) -> dict[str, int]:
    return {level: len(standing.levels.get(level, ())) for level in _GRAVITY}


@dataclass(frozen=True, slots=True)
class Gets:
    """One reason why an endpoint gets devices."""

    what: str
    count: int | None
    """How many devices these are; None: every one."""


def endpoint(
    asked: Asked, *, tested: Mapping[str, Any] | None = None, link: Mapping[str, Any] | None = None
) -> Shown:
    """One endpoint. `tested` is the answer to a test that was just sent, `link` a link that was just made."""
    name, status, now = asked.path["name"], asked.standing().status, asked.situation.now
    one = status.endpoints.get(name)
    if one is None:
        raise OperationError(f"there is no endpoint {name}; the view of endpoints lists them")
    routed = asked.situation.routes.endpoints.get(EndpointName(name))
    dead = asked.of(
        resources.dead_letters.listed, query=forms.DeadLetterList(endpoint=name, limit=SHOWN_DEAD)
    )
    shares = asked.of(resources.shares.listed, name=name)
    return framed(
        "endpoint.html",
        asked,
        title=name,
        typed=f"forwarder deliveries list --endpoint {shlex.quote(name)}",
        name=name,
        row=endpoint_row(name, one, now),
        totals=one.totals,
        health=one.health,
        is_paused=one.state == "paused",
        can_resume=one.paused_by in ("operator", "gone"),
        is_routed=routed is not None,
        gets=gets(asked.situation.routes, name),
        settings=_settings(routed),
        dead=dead["items"],
        dead_count=one.dead_letters,
        tested=tested,
        **_drawn(asked.minutes(name), now),
        link=link,
        shares=shares["items"],
        is_noticed=routed is not None and routed.events is not None,
    )


def _drawn(minutes: Sequence[Minute], now: float) -> dict[str, object]:
    """The last hour: successful and failed attempts, the time of deliveries, and the answers."""
    succeeded, failed = curves_of(minutes, _succeeded, _failed, now=now)
    (latency,) = curves_of(minutes, _mean_latency, now=now)
    answers = Counter[str]()
    for one in minutes:
        answers.update(_answers(one))
    return {
        "succeeded": succeeded,
        "failed": failed,
        "latency": latency,
        "answers": answers.most_common(),
    }


def _answers(minute: Minute) -> Counter[str]:
    """How often each answer or failure came."""
    found = {
        key.removeprefix(ANSWER): n for key, n in minute.counts.items() if key.startswith(ANSWER)
    }
    return Counter(found)


def _succeeded(minute: Minute) -> float:
    return sum(n for word, n in _answers(minute).items() if word.startswith("http_2"))


def _failed(minute: Minute) -> float:
    return sum(n for word, n in _answers(minute).items() if not word.startswith("http_2"))


def _mean_latency(minute: Minute) -> float:
    delivered = minute.counts.get("delivered", 0)
    return minute.latency_seconds / delivered if delivered else 0.0


def gets(routes: Routes, name: str) -> list[Gets]:
    """The reasons why an endpoint gets devices, as the routing file says them."""
    selection = routes.selections.get(EndpointName(name))
    if selection is None:
        return []
    reasons = [Gets("every device", None)] if selection.wants_every_device else []
    if selection.devices:
        reasons.append(Gets("its own list", len(selection.devices)))
    return [
        *reasons,
        *(Gets(f"group {one}", len(routes.groups.get(one, ()))) for one in selection.groups),
    ]


def _settings(one: Endpoint | None) -> list[tuple[str, str]]:
    """The endpoint's settings, without its URL and its secrets."""
    if one is None:
        return []
    settings = [
        ("mode", one.mode),
        ("format", one.format),
        ("max_age", format_duration(one.max_age_seconds)),
        ("timeout", format_duration(one.timeout_seconds)),
        ("retry", f"from {format_duration(one.retry.initial_seconds)} to {format_duration(one.retry.max_seconds)}"),
    ]  # fmt: skip
    if one.batch is not None:
        waiting = format_duration(one.batch.max_wait_seconds)
        settings.append(("batch", f"up to {one.batch.max_events}, waiting {waiting}"))
    if one.rate_limit is not None:
        settings.append(
            (
                "rate_limit",
                f"{one.rate_limit.attempts} in {format_duration(one.rate_limit.per_seconds)}",
            )
        )
    if one.min_interval is not None:
        which = "the last" if isinstance(one.min_interval, LastOf) else "the first"
        settings.append(("min_interval", f"{which} in {format_duration(one.min_interval.seconds)}"))
    return settings


def pause(asked: Asked) -> Elsewhere:
    """Send nothing more to the endpoint."""
    answer = asked.of(resources.endpoints.pause, query=forms.DryRun(), name=asked.path["name"])
    return _back(asked, "paused" if answer["count"] else "unchanged")


def resume(asked: Asked) -> Elsewhere:
    """Let the endpoint go on."""
    answer = asked.of(resources.endpoints.resume, query=forms.DryRun(), name=asked.path["name"])
    return _back(asked, "resumed" if answer["count"] else "unchanged")


def replay(asked: Asked) -> Elsewhere:
    """Send all dead letters of the endpoint again."""
    body = forms.ReplayedDeadLetters(endpoint=asked.path["name"])
    answer = asked.of(resources.dead_letters.replay, query=forms.DryRun(), body=body)
    return _back(asked, "replayed", answer["count"])


def send_test(asked: Asked) -> Shown:
    """Send a test event, and show the answer in place."""
    tested = asked.of(resources.endpoints.send_test, name=asked.path["name"])
    return endpoint(replace(asked, here=path_of(asked)), tested=tested)


def path_of(asked: Asked) -> str:
    return f"/endpoints/{quote(asked.path['name'], safe='')}"


def _back(asked: Asked, did: str, count: int | None = None) -> Elsewhere:
    query = {"did": did} if count is None else {"did": did, "n": count}
    return Elsewhere(f"{path_of(asked)}?{urlencode(query)}")


VIEWS: Mapping[str, View] = {"/endpoints": endpoints, "/endpoints/{name}": endpoint}
ACTIONS: Mapping[str, View] = {
    "/endpoints/{name}/pause": pause,
    "/endpoints/{name}/resume": resume,
    "/endpoints/{name}/replay": replay,
    "/endpoints/{name}/test": send_test,
}
