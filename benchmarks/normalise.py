"""
Cost of one message from topic and bytes to what the outbox is given, beside `json.loads` of the same bytes.

    .venv/bin/python benchmarks/normalise.py

`normalise` makes a reading; `in full` adds the webhook id and the data object; `fast path` is the same in full for the
second message of a layout and all that follow. A text that is no JSON has no layout; it is compared with the same
values as a JSON object. The promise is that the fast path takes at most 5 times as long as `json.loads` for the message
of 400 bytes; the program exits 1 when it is broken.

The message is always the same, so the meaning of its time is remembered; a time that is new takes longer.
"""

import json
import sys
import timeit
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from forwarder.event_data import SerialisedReading
from forwarder.ingest import new_reading
from forwarder.normalise import FastPath, Normaliser, Template
from forwarder.reading import Message, Reading, Unreadable

PAYLOADS = Path(__file__).parents[1] / "tests" / "fixtures" / "payloads"
RECEIVED_AT = datetime(2025, 11, 18, 10, 17, 41, 203000, UTC)
LIMIT = 5


class Case(NamedTuple):
    name: str
    payload: bytes
    template: str | None = None
    beside: bytes | None = None


def file(name: str) -> bytes:
    return (PAYLOADS / name).read_bytes().strip()


def of_400_bytes() -> bytes:
    """The live shape, cut behind the field with which it has about 400 bytes."""
    members: dict[str, object] = {}
    for key, value in json.loads(file("live-streaming.json")).items():
        if len(json.dumps(members | {key: value})) > 400:
            break
        members[key] = value
    return json.dumps(members).encode()


def cases() -> list[Case]:
    small = file("template-small.txt").decode()
    influx = file("template-influx.txt").decode()
    influx_values = json.dumps(
        {
            "mac": "ECC9FF5C7AD4",
            "meter": "LGZ1030784855204",
            "p_in": 1.5,
            "p_out": 0,
            "e_in": 75.133,
            "t": 1763456260,
        }
    ).encode()
    unresolved = file("template-unresolved.message.txt")
    resolved = unresolved.replace(b"${13_7_0}", b"null")
    return [
        Case("400 bytes, live", of_400_bytes()),
        Case("report", file("report-landis-gyr.json")),
        Case("live", file("live.json")),
        Case("Home Assistant", file("home-assistant.message.json")),
        Case("names of variables", file("variables.json")),
        Case("own names", file("template-small.message.json")),
        Case("own names, JSON template", file("template-small.message.json"), small),
        Case("line protocol, text template", file("template-influx.message.txt"), influx, influx_values),
        Case("unquoted ${…}", unresolved, file("template-unresolved.txt").decode(), resolved),
    ]  # fmt: skip


def microseconds(*statements: Callable[[], object]) -> list[float]:
    """The fastest of many short rounds for each, in turn, so that other work on the machine meets all of them."""
    number = 40
    rounds = [[timeit.timeit(s, number=number) for s in statements] for _ in range(100)]
    return [min(times) / number * 1e6 for times in zip(*rounds, strict=True)]


def measure(case: Case) -> list[float]:
    """Microseconds of normalising, of all of it, of all of it by the fast path, and of `json.loads`."""
    template = Template.parse(case.template) if case.template else None
    normaliser = Normaliser(
        timezone=ZoneInfo("Europe/Zurich"), max_message_bytes=65536, template=template
    )
    device = next(
        (d for d in ("ECC9FF5C7F14", "A842E39F8124") if d.encode() in case.payload), "ECC9FF5C7AD4"
    )
    message = Message(f"ext/partner/{device}", case.payload, RECEIVED_AT)
    fast_path = FastPath(normaliser)
    fast_path.read(message)
    beside = case.beside or case.payload
    return microseconds(
        lambda: normaliser.normalise(message),
        lambda: stored(message, normaliser.normalise(message)),
        lambda: stored(message, fast_path.read(message) or normaliser.normalise(message)),
        lambda: json.loads(beside),
    )


def stored(message: Message, reading: Reading | SerialisedReading | Unreadable) -> None:
    """What the ingest does with a reading that somebody wants."""
    assert not isinstance(reading, Unreadable), reading.detail
    new_reading(message, reading, ())


def main() -> int:
    columns = ("normalise", "in full", "fast path", "json.loads")
    print(f"{'message':30} {'bytes':>6}", *(f"{column:>12}" for column in columns), " ratio")
    ratios = []
    for case in cases():
        times = measure(case)
        ratios.append(times[2] / times[3])
        shown = (f"{time:9.1f} µs" for time in times)
        print(f"{case.name:30} {len(case.payload):6}", *shown, f"{ratios[-1]:6.1f}")
    return 0 if ratios[0] <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
