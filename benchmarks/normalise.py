"""
Cost of one message from topic and bytes to reading, beside `json.loads` of the same bytes in the same run.

    .venv/bin/python benchmarks/normalise.py

Text that is no JSON is compared with the same values as a JSON object. The promise is a ratio of at most 10 for the
message of 400 bytes; the program exits 1 when it is broken. Python 3.11, one of two busy cores of 2026:

    message                         bytes    normalise   json.loads  ratio
    400 bytes, live                   389      23.6 µs       6.2 µs    3.8
    report                           1334      46.3 µs       9.7 µs    4.8
    live                              213      22.6 µs       4.5 µs    5.0
    Home Assistant                    260      20.2 µs       3.2 µs    6.4
    names of variables               1418      63.6 µs       8.5 µs    7.5
    own names                         168      16.7 µs       3.1 µs    5.3
    own names, JSON template          168      16.7 µs       3.2 µs    5.3
    line protocol, text template       86      19.4 µs       2.8 µs    6.9
    unquoted ${…}                      60      24.5 µs       2.3 µs   10.6
"""

import json
import sys
import timeit
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from forwarder.normalise import Normaliser, Template
from forwarder.reading import Message, Reading

PAYLOADS = Path(__file__).parents[1] / "tests" / "fixtures" / "payloads"
RECEIVED_AT = datetime(2025, 11, 18, 10, 17, 41, 203000, UTC)
LIMIT = 10


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
    rounds = [[timeit.timeit(s, number=number) for s in statements] for _ in range(200)]
    return [min(times) / number * 1e6 for times in zip(*rounds, strict=True)]


def measure(case: Case) -> list[float]:
    template = Template.parse(case.template) if case.template else None
    normaliser = Normaliser(
        timezone=ZoneInfo("Europe/Zurich"), max_message_bytes=65536, template=template
    )
    device = next(
        (d for d in ("ECC9FF5C7F14", "A842E39F8124") if d.encode() in case.payload), "ECC9FF5C7AD4"
    )
    message = Message(f"ext/partner/{device}", case.payload, RECEIVED_AT)
    assert isinstance(normaliser.normalise(message), Reading), case.name
    beside = case.beside or case.payload
    return microseconds(lambda: normaliser.normalise(message), lambda: json.loads(beside))


def main() -> int:
    print(f"{'message':30} {'bytes':>6} {'normalise':>12} {'json.loads':>12} {'ratio':>6}")
    ratios = []
    for case in cases():
        ours, plain = measure(case)
        ratios.append(ours / plain)
        print(
            f"{case.name:30} {len(case.payload):6} {ours:9.1f} µs {plain:9.1f} µs {ratios[-1]:6.1f}"
        )
    return 0 if ratios[0] <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
