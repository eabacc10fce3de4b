"""
Whether page, status and metrics tell the same numbers at the same moment.

    status ─▶ page ─▶ metrics ─▶ status

A total only grows: whatever the page tells in between lies between what the two statuses say. What waits goes up and
down, so it is compared of endpoints that stood still meanwhile. A counter of /metrics begins with the process, and
counts a delivery a moment before or after it is on disk: it is compared by what it has grown between two looks at an
endpoint that had nothing to do.
"""

import asyncio
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeAlias

import httpx

from chaos.endurance.look import Scrape
from chaos.process import Forwarder

EVERY_SECONDS = 2.0
PATIENCE_SECONDS = 10.0
MOST_FINDINGS = 5

Key: TypeAlias = tuple[str, str]
"""An endpoint, or LINE, and what is counted of it."""
Numbers: TypeAlias = Mapping[Key, int]

LINE = "the line"
GROWING = ("messages accepted", "delivered")
WAITING = ("pending", "dead letters")
_OF_STATUS = {
    "delivered": "delivered",
    "pending": "pending",
    "dead letters": "dead_letters",
    "enqueued": "enqueued",
    "dead": "dead",
    "expired": "expired",
    "superseded": "superseded",
}
"""What is compared, and what says whether an endpoint stood still."""
_PENDING = "forwarder_deliveries_pending"
_ACCEPTED = re.compile(r"([\d,]+)<span>messages accepted")
_ROW = re.compile(r'<th scope="row"><a [^>]*>([^<]+)</a></th>(.*?)</tr>', re.DOTALL)
_CELL = re.compile(r'<td data-label="(Delivered|Pending|Dead letters)"[^>]*>([\d,]+)</td>')


@dataclass(frozen=True)
class Look:
    """What all of them told, one right after the other."""

    before: Numbers
    page: Numbers
    metrics: Numbers
    after: Numbers

    def span(self, key: Key) -> tuple[int, int] | None:
        """The least and the most that the number was meanwhile; None where nobody can say."""
        least, most = self.before.get(key), self.after.get(key)
        if least is None or most is None or least > most:
            return None
        return (least, most) if key[1] in GROWING or self._stood_still(key[0]) else None

    def _stood_still(self, name: str) -> bool:
        return _of(name, self.before) == _of(name, self.after)

    def is_idle(self, name: str) -> bool:
        """Whether nothing was on its way to it; of the line, to anybody."""
        if name == LINE:
            return self.before == self.after and not any(
                count for (_, what), count in self.before.items() if what == "pending"
            )
        return self._stood_still(name) and not self.before.get((name, "pending"))


def _of(name: str, numbers: Numbers) -> Numbers:
    return {key: count for key, count in numbers.items() if key[0] == name}


def differences(look: Look, *, since: Numbers) -> Iterator[str]:
    """
    What page or metrics told otherwise than the status.

    `since`: what the counters of the process began with, as far as that is known.
    """
    for key in compared(look):
        least, most = look.span(key) or (0, 0)
        yield from _outside("the page", key, look.page.get(key), least, most)
        if key[1] in WAITING and key in look.metrics:
            yield from _outside("/metrics", key, look.metrics[key], least, most)
        elif key in since and look.is_idle(key[0]):
            told = since[key] + look.metrics.get(key, 0)
            yield from _outside("/metrics", key, told, least, most)


def beginnings(look: Look) -> Numbers:
    """What had been counted before the process began, of what had nothing to do."""
    return {
        key: look.before[key] - look.metrics.get(key, 0)
        for key in compared(look)
        if key[1] in GROWING and look.is_idle(key[0])
    }


def compared(look: Look) -> list[Key]:
    """The numbers of which this look can tell."""
    return [key for key in look.before if key[1] in (*GROWING, *WAITING) and look.span(key)]


def _outside(place: str, key: Key, told: int | None, least: int, most: int) -> Iterator[str]:
    if told is None or not least <= told <= most:
        of, what = key
        yield f"{place} told {told} {what} of {of}, and the status {least} to {most}"


class Watch:
    """Looks at one forwarder again and again, and once when it is asked to."""

    def __init__(self, forwarder: Forwarder) -> None:
        self._forwarder = forwarder
        self._since: dict[int, Numbers] = {}
        """By how many processes there had been."""
        self.findings: list[str] = []

    async def keep_looking(self) -> None:
        """Until it is cancelled; while nobody answers there is nothing to compare."""
        while True:
            with suppress(httpx.HTTPError):
                await self.look()
            await asyncio.sleep(EVERY_SECONDS)

    async def look(self) -> list[Key]:
        """What could be compared; a look that more than one process has answered tells nothing. Raises HTTPError."""
        process = self._forwarder.starts
        look = await look_at(self._forwarder.address)
        if process != self._forwarder.starts:
            return []
        since = self._since.get(process, {})
        room = MOST_FINDINGS - len(self.findings)
        self.findings += [*differences(look, since=since)][:room]
        self._since[process] = {**beginnings(look), **since}
        return compared(look)


async def look_at(address: str) -> Look:
    """Ask for everything; raises HTTPError where not all of it is answered well."""
    base = f"http://{address}"
    async with httpx.AsyncClient(base_url=base, trust_env=False, timeout=PATIENCE_SECONDS) as web:
        before = of_status((await _answer(web, "/api/v1/status")).json())
        page = of_page((await _answer(web, "/")).text, (await _answer(web, "/endpoints")).text)
        metrics = of_metrics((await _answer(web, "/metrics")).text, before)
        return Look(before, page, metrics, of_status((await _answer(web, "/api/v1/status")).json()))


async def _answer(web: httpx.AsyncClient, path: str) -> httpx.Response:
    return (await web.get(path)).raise_for_status()


def of_status(status: Mapping[str, Any]) -> Numbers:
    """What `/api/v1/status` tells, of the endpoints that are in the routes."""
    numbers = {(LINE, "messages accepted"): int(status["messages"]["accepted"])}
    for name, one in status["endpoints"].items():
        if one["state"] != "removed":
            numbers |= {(name, what): int(one[member]) for what, member in _OF_STATUS.items()}
    return numbers


def of_page(line: str, endpoints: str) -> Numbers:
    """What people read in the views of the line and of the endpoints."""
    accepted = _ACCEPTED.search(line)
    numbers = {(LINE, "messages accepted"): _number(accepted[1])} if accepted else {}
    for name, cells in _ROW.findall(endpoints):
        numbers |= {(name, what.lower()): _number(one) for what, one in _CELL.findall(cells)}
    return numbers


def of_metrics(text: str, known: Numbers) -> Numbers:
    """What /metrics tells of all that is `known`; what waits, where the endpoint is delivered to from there."""
    told = Scrape(text)
    numbers = {
        (LINE, "messages accepted"): told.total("forwarder_messages_total", outcome="accepted")
    }
    for name in {name for name, _ in known if name != LINE}:
        delivered = told.total("forwarder_deliveries_total", endpoint=name, outcome="delivered")
        numbers[name, "delivered"] = delivered
        if told.has(_PENDING, endpoint=name):
            numbers[name, "pending"] = told.total(_PENDING, endpoint=name)
            numbers[name, "dead letters"] = told.total("forwarder_dead_letters", endpoint=name)
    return numbers


def _number(text: str) -> int:
    return int(text.replace(",", ""))
