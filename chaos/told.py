"""
What the operator was told against what happened. Pure.

One failing and one recovered per outage, each silent device once, and none else.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any, TypeAlias

Event: TypeAlias = Mapping[str, Any]

SAME_OUTAGE_SECONDS, OTHER_OUTAGE_SECONDS = 9.0, 13.0
"""Well for less than the first is the same outage, for more than the second another; between them, either."""
PAIR = ("endpoint.failing", "endpoint.recovered")
SILENCE = ("device.silent", "device.resumed")


@dataclass(frozen=True)
class Change:
    """An endpoint's circuit opened or closed, as the log has it."""

    at: float
    """UNIX seconds."""
    endpoint: str
    is_open: bool


@dataclass(frozen=True)
class Happened:
    """What there was to tell."""

    changes: Sequence[Change] = ()
    kills: int = 0
    """Each may lose a line of the log, or a change that was not on disk, and has ten seconds begin anew: one outage."""
    dead: Mapping[str, int] = field(default_factory=dict)
    """Dead letters that were made, by endpoint; at least."""
    sessions_lost: int = 0
    outages: Mapping[str, int] | None = None
    """By endpoint, where the scenario itself has made them and knows."""
    interruptions: int = 0
    silences: Mapping[str, int] = field(default_factory=dict)
    """How often a device fell silent, and reported again; all of them were told by then."""
    also: Collection[str] = ()
    """Types that the scenario may have brought about."""
    is_in_order: bool = True
    """Clocks did not step, and the outbox was not begun anew."""


def changes_in(lines: Iterable[Mapping[str, Any]]) -> list[Change]:
    """The changes that a log tells of."""
    words = {"endpoint.opened": True, "endpoint.recovered": False}
    return [
        Change(
            datetime.fromisoformat(line["timestamp"]).timestamp(),
            line["endpoint"],
            words[line["event"]],
        )
        for line in lines
        if line.get("event") in words and line.get("endpoint") != "operator"
    ]


def judge_told(events: Sequence[Event], happened: Happened) -> Iterator[str]:
    """What is wrong with the events that the operator's receiver took, each id once, in their order."""
    by_endpoint: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        if event["type"] in PAIR:
            by_endpoint[event["data"]["endpoint"]].append(event)
    for endpoint, told in by_endpoint.items():
        if happened.is_in_order:
            yield from _unpaired(endpoint, told)
    counts = {endpoint: len(told) // 2 for endpoint, told in by_endpoint.items()}
    if happened.is_in_order:
        yield from _miscounted(counts, happened)
    yield from _about_devices(events, happened.silences)
    yield from _about_nothing(events, happened)


def _unpaired(endpoint: str, told: Sequence[Event]) -> Iterator[str]:
    types = [event["type"] for event in told]
    if types != [*PAIR] * (len(types) // 2):
        yield f"operator: {endpoint} was told as {', '.join(types)}"
        return
    begun = [event["data"]["since"] for event in told]
    if any(
        failing != recovered for failing, recovered in zip(begun[::2], begun[1::2], strict=True)
    ):
        yield f"operator: {endpoint}'s outages began and ended at different times: {begun}"
    if len({*begun}) != len(begun) // 2:
        yield f"operator: an outage of {endpoint} was told twice: {begun}"


def _miscounted(counts: Mapping[str, int], happened: Happened) -> Iterator[str]:
    if happened.outages is not None:
        if {name: count for name, count in counts.items() if count} != happened.outages:
            yield f"operator: told of {dict(counts)}, and there were {dict(happened.outages)} outages"
        return
    logged = {change.endpoint for change in happened.changes if change.is_open}
    for endpoint in sorted(logged | counts.keys()):
        least, most = outages(endpoint, happened.changes)
        least, most = max(0, least - happened.kills), most + happened.kills
        if not least <= counts.get(endpoint, 0) <= most:
            yield (
                f"operator: told of {counts.get(endpoint, 0)} outages of {endpoint}, and there were"
                f" {least} to {most}"
            )


def outages(endpoint: str, changes: Sequence[Change]) -> tuple[int, int]:
    """How many there were, at least and at most."""
    ours = [change for change in changes if change.endpoint == endpoint]
    first = 1 if any(change.is_open for change in ours) else 0
    gaps = [later.at - one.at for one, later in pairwise(ours) if later.is_open and not one.is_open]
    return (
        first + sum(gap > OTHER_OUTAGE_SECONDS for gap in gaps),
        first + sum(gap >= SAME_OUTAGE_SECONDS for gap in gaps),
    )


def _about_devices(events: Sequence[Event], silences: Mapping[str, int]) -> Iterator[str]:
    """Each silence is told singly, and then its end, or is counted among many; nobody else's is."""
    together = [event["data"] for event in events if event["type"] == "devices.silent"]
    named = Counter(device for data in together for device in data["devices"])
    singly: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        if event["type"] in SILENCE:
            singly[event["data"]["device"]].append(event)
    for device, told in singly.items():
        yield from _broken_silences(device, told)
    begun = named + Counter({device: _count(told, SILENCE[0]) for device, told in singly.items()})
    for device, count in begun.items():
        if count > silences.get(device, 0):
            yield f"operator: {device} was told as silent {count} times, not {silences.get(device, 0)}"
    count = sum(_count(told, SILENCE[0]) for told in singly.values())
    count += sum(data["count"] for data in together)
    if count != sum(silences.values()):
        yield f"operator: told of {count} silences, and there were {sum(silences.values())}"


def _broken_silences(device: str, told: Sequence[Event]) -> Iterator[str]:
    types = [event["type"] for event in told]
    if types != [*SILENCE] * (len(types) // 2):
        yield f"operator: {device} was told as {', '.join(types)}"
        return
    since = [event["data"]["since"] for event in told]
    if since[::2] != since[1::2] or len({*since}) != len(since) // 2:
        yield f"operator: {device}'s silences began and ended at different times: {since}"


def _count(events: Iterable[Event], kind: str) -> int:
    return sum(event["type"] == kind for event in events)


def _about_nothing(events: Sequence[Event], happened: Happened) -> Iterator[str]:
    """Types that were told without their reason, or too often."""
    counts = Counter(event["type"] for event in events if event["type"] not in (*PAIR, *SILENCE))
    for event in events:
        if event["data"].get("endpoint") == "operator":
            yield f"operator: told of itself: {event['type']}"
        if event["type"] == "deliveries.dead" and not happened.dead.get(event["data"]["endpoint"]):
            yield f"operator: told of dead letters of {event['data']['endpoint']}, which has none"
    if counts["stream.interrupted"] != happened.interruptions:
        yield f"operator: the stream was told as interrupted {counts['stream.interrupted']} times"
    most = happened.interruptions + happened.sessions_lost
    if not happened.interruptions <= counts["stream.resumed"] <= most:
        yield f"operator: the stream was told as resumed {counts['stream.resumed']} times"
    known = {
        *happened.also,
        "deliveries.dead",
        "devices.silent",
        "stream.interrupted",
        "stream.resumed",
    }
    if strange := counts.keys() - known:
        yield f"operator: told without a reason: {', '.join(sorted(strange))}"
