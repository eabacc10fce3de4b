"""The fast path and the normaliser write the same bytes; what is in doubt goes to the normaliser."""

import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
import structlog.testing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.payloads import PAYLOADS, RECEIVED_AT, message, normaliser
from support.properties import examples

from forwarder.event_data import SerialisedReading, serialise
from forwarder.normalise import FastPath
from forwarder.normalise.fast_path import layouts as layouts_module
from forwarder.normalise.fast_path.layouts import (
    LEARNED_AT_ONCE,
    LONGEST,
    LONGEST_TOPIC,
    MESSAGES_PER_LAYOUT,
    MOST_LAYOUTS,
)
from forwarder.normalise.fast_path.learning import Layout
from forwarder.reading import Message, Reading
from forwarder.variables import Kind, variables

SMALL = (PAYLOADS / "template-small.txt").read_text()
WITH_CONSTANTS = (
    '{"v":1.0,"kind":"whatwatt","on":true,"p":${1_7_0},"e":"${1_8_0}",'
    '"x":[{"q":${2_7_0}}],"t":${timestamp}}'
)
OF_CONSTANTS = (
    b'{"v":1.0,"kind":"whatwatt","on":true,"p":1.5,"e":"2.25","x":[{"q":3}],"t":1763456260}'
)
BUILT = '{"p":9${1_7_0},"id":"mac-${sys.id}","${meter.id}":${1_8_0},"u":${nobody.knows}}'
OF_BUILT = b'{"p":91.5,"id":"mac-ECC9FF5C7AD4","X1":2.5,"u":5.50}'


@dataclass(frozen=True)
class Example:
    """A payload that a device sends, with what it is read with and by which name it is topic."""

    payload: bytes
    template: str | None = None
    device: str = "ECC9FF5C7AD4"

    @property
    def topic(self) -> str:
        return f"ext/partner/{self.device}"


def example(name: str, device: str = "ECC9FF5C7AD4", template: str | None = None) -> Example:
    return Example((PAYLOADS / name).read_bytes().strip(), template, device)


WITH_LAYOUT = {
    "live": example("live.json"),
    "live stream": example("live-streaming.json"),
    "report": example("report-landis-gyr.json", "ECC9FF5C7F14"),
    "report over P1": example("report-ensor-p1.json", "ECC9FF5C7F14"),
    "Home Assistant": example("home-assistant.message.json"),
    "variables": example("variables.json", "A842E39F8124"),
    "own names": example("template-small.message.json", "ECC9FF5C7F14"),
    "own names by template": example("template-small.message.json", "ECC9FF5C7F14", SMALL),
    "unresolved": example(
        "template-unresolved.message.txt",
        template=(PAYLOADS / "template-unresolved.txt").read_text(),
    ),
    "no value": Example(b'{"P_In":1.5,"P_Out":,"PF":NaN,"x":null,"y":[],"z":true}\0'),
    "constants": Example(OF_CONSTANTS, WITH_CONSTANTS),
    "a name for a device": Example(b'{"P_In":1.5}', None, 'Zähler "7"'),
}
WITHOUT_LAYOUT = {
    "built values": Example(OF_BUILT, BUILT),
    "values in an array": Example(b'{"P_In":1.5,"x":[1.50,"a"]}'),
    "text": example(
        "template-influx.message.txt", template=(PAYLOADS / "template-influx.txt").read_text()
    ),
}


def known(fast_path: FastPath) -> int:
    """How many layouts are remembered."""
    return len(fast_path._layouts)


class Line:
    """The fast path beside the normaliser, which it must equal."""

    def __init__(self, template: str | None = None) -> None:
        self.normaliser = normaliser(template)
        self.fast_path = FastPath(self.normaliser)

    def read(self, one: Message) -> SerialisedReading | None:
        """The reading by the fast path, compared with the normaliser's: no value, misfit or warning differs."""
        with structlog.testing.capture_logs() as by_layout:
            found = self.fast_path.read(one)
        assert not by_layout
        misfits = self.normaliser.misfits
        with structlog.testing.capture_logs() as warned:
            expected = self.normaliser.normalise(one)
        if found is not None:
            assert isinstance(expected, Reading)
            assert found == serialise(expected)
            assert self.normaliser.misfits == misfits
            assert not warned
        return found


def learned(one: Example) -> Line:
    line = Line(one.template)
    line.read(message(one.payload, topic=one.topic))
    return line


@pytest.mark.parametrize("name", WITH_LAYOUT)
def test_second_message_of_a_layout_is_read_by_it(name: str) -> None:
    """All shapes, and JSON templates, are learned at the first message."""
    one = WITH_LAYOUT[name]
    assert learned(one).read(message(one.payload, topic=one.topic)) is not None


@pytest.mark.parametrize("name", WITHOUT_LAYOUT)
def test_value_that_is_no_member_has_no_layout(name: str) -> None:
    """Payloads with values outside of members, or within texts, go to the normaliser, each time."""
    one = WITHOUT_LAYOUT[name]
    assert learned(one).read(message(one.payload, topic=one.topic)) is None


VALUES = [
    '"1,45"',
    *("0", "-0", "0.0", "-0.0", "1.50", "1.0", "100", "007", "-7", "+1", "1e5", "1E-7", "0.00001", "0.0000"),
    *("-0.00001", "0.0001", "999999999.999999", "1234567890", "123456789012345", "12345678901234567"),
    *("9007199254740993", "0.1234567890123456", "12345678901234567890", "1e999", "1" * 70, "1.", ".5", "--1"),
    *("3", "4", "5", "1763456260", "999999999999", "4102444800", "1763456260.5", "1763476260", "71.05"),
    *('"1.50"', '"-0"', '"007"', '"+1.5"', '" 1"', '"1_0"', '"1e3"', '"nan"', '"null"', '""', '" "', '"\u00a0"'),
    *('"${x}"', '"${"', '"${x} y"', '"a\\"b"', '"\\u00e9"', '"\\ud800"', '"\t"', '"ü"', '"\u2028"', '"{null"'),
    *('"ECC9FF5C7AD4"', '" ec:c9:ff:5c:7a:d4 "', '"ECC9FF5C7AD5"', '"12:00:00"', '"24:00:00"', '"12:00"'),
    *('"2025-10-26T02:30:00"', '"2025-03-30T02:30:00Z"', '"2025-11-18T10:17:40+02:00"', '"1999-01-01T00:00:00"'),
    *('"2025-11-18T10:17:40.123456Z"', '"2030-01-01T00:00:00Z"', '"2025-11-18"', "null", "true", "NaN", "[1]"),
    *("{}", '{"a":1}', "${x}", "", '1,"P_In":2', '1,"x":"y"', '1,"P_Out":1'),
]  # fmt: skip


@pytest.mark.parametrize(
    ("learned_with", "payload"),
    [
        pytest.param('{"P_In":1}', '{"P_In":%s}', id="measurement"),
        pytest.param('{"P_In":"1"}', '{"P_In":%s}', id="quoted measurement"),
        pytest.param('{"P_In":1,"T":2}', '{"P_In":1,"T":%s}', id="tariff"),
        pytest.param('{"P_In":1,"Uptime":2}', '{"P_In":1,"Uptime":%s}', id="hours"),
        pytest.param('{"P_In":1,"other":2}', '{"P_In":1,"other":%s}', id="unknown number"),
        pytest.param('{"P_In":1,"other":"a"}', '{"P_In":1,"other":%s}', id="unknown text"),
        pytest.param('{"P_In":1,"timestamp":1763456260}', '{"P_In":1,"timestamp":%s}', id="time"),
        pytest.param('{"P_In":1,"sys.name":"a"}', '{"P_In":1,"sys.name":%s}', id="text"),
        pytest.param('{"P_In":1,"sys.id":"a"}', '{"P_In":1,"sys.id":%s}', id="no device"),
        pytest.param('{"P_In":1,"sys.id":"ECC9FF5C7AD4"}', '{"P_In":1,"sys.id":%s}', id="device"),
        pytest.param('{"P_In":1,"1_7_0":1}', '{"P_In":1,"1_7_0":%s}', id="the same again"),
        pytest.param(
            '{"P_In":1,"Date":"2025-11-18","Time":"11:17:40"}',
            '{"P_In":1,"Date":"2025-11-18","Time":%s}',
            id="time of day",
        ),
        pytest.param(
            '{"P_In":1,"meter.date_time":"2025-11-18T11:17:40Z"}',
            '{"P_In":1,"meter.date_time":%s}',
            id="local time",
        ),
    ],
)
def test_every_value_is_read_as_the_normaliser_reads_it(learned_with: str, payload: str) -> None:
    """Whatever stands in the place of a value that was learned."""
    for value in VALUES:
        line = Line()
        line.read(message(learned_with))
        line.read(message(payload % value))
        line.read(message(payload % value))


@pytest.mark.parametrize("name", WITH_LAYOUT | WITHOUT_LAYOUT)
@given(seed=st.integers())
@settings(max_examples=examples(15), deadline=None)
def test_damaged_payloads_are_read_as_the_normaliser_reads_them(name: str, seed: int) -> None:
    """Pieces of the payload are cut out, doubled or overwritten; and the result may be learned too."""
    one = (WITH_LAYOUT | WITHOUT_LAYOUT)[name]
    line, chance = learned(one), random.Random(seed)
    for _ in range(10):
        payload = damaged(one.payload, chance)
        line.read(message(payload, topic=one.topic))
        line.read(message(payload, topic=one.topic))


PIECES = [bytes([one]) for one in b'":,{}[]01-.e\\ '] + [b"null", b"\xc3\xa9"]


def damaged(payload: bytes, chance: random.Random) -> bytes:
    for _ in range(chance.randint(1, 3)):
        start = chance.randrange(len(payload))
        end = min(len(payload), start + chance.choice((0, 0, 1, 1, 2, 10)))
        other = chance.randrange(len(payload))
        piece = chance.choice([*PIECES, b"", payload[other : other + chance.randint(1, 30)]])
        payload = payload[:start] + piece + payload[end:] or b"{}"
    return payload


NAMES: list[tuple[str, Kind]] = sorted(
    {
        (name, variable.kind)
        for variable in variables()
        for name in (variable.variable, variable.alias, variable.live_field, variable.ha_field)
        if name and "[" not in name
    }
)
numbers = st.decimals(-(10**6), 10**6, places=3).map(lambda d: format(d, "f")) | st.sampled_from(
    ["0", "1", "2", "230.1", "-0.5", "1e3", "0.00001", "12345678901234567"]
)
instants = st.datetimes(datetime(1999, 1, 1), datetime(2101, 1, 1)) | st.datetimes(  # noqa: DTZ001 - made of text
    datetime(2025, 10, 26, 1), datetime(2025, 10, 26, 4)  # noqa: DTZ001 - as above
)  # fmt: skip
strings = st.text(max_size=6).map(lambda text: json.dumps(text, ensure_ascii=False))
anything = numbers | strings | st.sampled_from(['"null"', '""', "null", '"${x}"', "true", '"1.5"'])


def usual(kind: Kind) -> st.SearchStrategy[str]:
    """What a device sends in the place of such a variable."""
    match kind:
        case "text":
            return strings
        case "device":
            return st.sampled_from(['"ECC9FF5C7AD4"', '"ECC9FF5C7F14"', '"Zähler"'])
        case "timestamp":
            return st.integers(946684000, 4102445000).map(str)
        case "utc" | "local" | "offset":
            return instants.map(
                lambda at: f'"{at:%Y-%m-%dT%H:%M:%S}{"+02:00" * (kind == "offset")}"'
            )
        case "date":
            return instants.map(lambda at: f'"{at:%Y-%m-%d}"')
        case "clock":
            return instants.map(lambda at: f'"{at:%H:%M:%S}"')
        case _:
            return numbers | numbers.map(lambda text: f'"{text}"') | st.integers(0, 4).map(str)


@st.composite
def streams(draw: st.DrawFn) -> list[str]:
    """Payloads with the same keys."""
    chosen = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=8, unique=True))
    names: list[tuple[str, Kind]] = [("P_In", "measurement"), *chosen, ("other", "text")]
    payloads = []
    for _ in range(draw(st.integers(2, 5))):
        values = [draw(usual(kind) | anything) for _, kind in names]
        members = [f"{json.dumps(name)}:{v}" for (name, _), v in zip(names, values, strict=True)]
        payloads.append("{" + ", ".join(members) + "}")
    return payloads


@given(streams(), st.sampled_from(["ext/partner/ECC9FF5C7AD4", "ext/partner/house", "ext/"]))
@settings(max_examples=examples(200), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_values_of_known_keys_are_read_as_the_normaliser_reads_them(
    payloads: list[str], topic: str
) -> None:
    """Each payload may be the one that its layout is learned from, and is read a second time by that layout."""
    line = Line()
    for payload in [*payloads, *payloads]:
        line.read(message(payload, topic=topic))


def test_messages_of_other_times_are_told_apart() -> None:
    """A payload without a time is as old as its arrival, each time."""
    line = learned(Example(b'{"P_In":1}'))
    for hours in range(3):
        arrival = RECEIVED_AT + timedelta(hours=hours)
        assert line.read(message(b'{"P_In":2}', received_at=arrival)) is not None


def test_layouts_may_take_turns_on_a_topic_and_be_shared_by_topics() -> None:
    """What the last payload of a topic was like is only where the search begins."""
    line = Line()
    payloads = [b'{"P_In":1}', b'{"P_In":1,"P_Out":2}', b'{"P_Out":2}', b'{"P_In": 1}']
    for payload in payloads:
        line.read(message(payload))
    for topic in ("ext/it/ECC9FF000001", "ext/it/house", "e/" * LONGEST_TOPIC + "ECC9FF000001"):
        for payload in payloads + payloads[::-1]:
            assert line.read(message(payload, topic=topic)) is not None
    assert known(line.fast_path) == 3


@pytest.mark.parametrize(
    ("learned_with", "payload"),
    [
        pytest.param('{"P_In":1.5}', '{"P_In":1.50}', id="zero at the end"),
        pytest.param('{"P_In":1.5}', '{"P_In":0.00001}', id="below what is written with a point"),
        pytest.param('{"P_In":1.5}', '{"P_In":-0.0}', id="minus nothing"),
        pytest.param('{"P_In":"1.5"}', '{"P_In":"1.50"}', id="quoted"),
        pytest.param('{"P_In":1.5,"1_7_0":1.5}', '{"P_In":2.50,"1_7_0":2.50}', id="twice"),
        pytest.param('{"1_7_0":"x","P_In":1}', '{"1_7_0":"2","P_In":"2"}', id="learned otherwise"),
        pytest.param('{"P_In":1,"Uptime":1.5}', '{"P_In":1,"Uptime":1.50}', id="hours"),
    ],
)
def test_numbers_that_are_written_anew_have_a_layout(learned_with: str, payload: str) -> None:
    line = Line()
    for _ in range(2):
        line.read(message(learned_with))
        found = line.read(message(payload))
    assert found is not None


def test_no_payload_takes_long() -> None:
    """What looks like a known layout up to its last byte is given up in one pass, however its values could be cut."""
    names = [f"x{number}" for number in range(150)]
    line = learned(Example(of_members(names, "1.5")))
    assert known(line.fast_path) == 1
    damaged_at_the_end = of_members(names, "1.55555")[:-1] + b"]"
    started = time.process_time()
    line.fast_path.read(message(damaged_at_the_end))
    assert time.process_time() - started < 0.1


def of_members(names: list[str], value: str) -> bytes:
    return ("{" + ",".join(f'"{name}":{value}' for name in ["P_In", *names]) + "}").encode()


def test_memory_is_bounded() -> None:
    """However many layouts come, the oldest make room, and learning is rare."""
    fast_path = FastPath(normaliser())
    for number in range(LEARNED_AT_ONCE + 5):
        fast_path.read(message(b'{"P_In":1,"x%d":1}' % number))
    assert known(fast_path) == LEARNED_AT_ONCE
    assert fast_path.read(message(b'{"P_In":1,"x0":1}', topic="ext/it/x0")) is not None
    for number in range(MOST_LAYOUTS * MESSAGES_PER_LAYOUT):
        fast_path.read(message(b'{"P_In":1,"y%d":1}' % number))
    assert known(fast_path) == MOST_LAYOUTS
    assert fast_path.read(message(b'{"P_In":1,"x0":1}', topic="ext/it/x0")) is None
    assert fast_path.read(message(b'{"P_In":1,"y%d":1}' % (number - 1))) is None
    for _ in range(MESSAGES_PER_LAYOUT):
        fast_path.read(message(b'{"P_In":1,"another":1}'))
    assert fast_path.read(message(b'{"P_In":1,"another":1}')) is not None


def test_layout_of_the_last_message_is_tried_for_another_topic(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A fleet with one template is not searched for it topic by topic; whose message it is goes by its own topic."""
    fast_path = FastPath(normaliser())
    first, second = (
        message(b'{"P_In":1}', topic=f"ext/it/ECC9FF5C000{number}") for number in (1, 2)
    )
    fast_path.read(first)
    assert fast_path.read(first) is not None
    with monkeypatch.context() as patch:
        patch.delattr(FastPath, "_find")
        read = fast_path.read(second)
    assert read is not None
    assert read.device == "ECC9FF5C0002"
    assert fast_path.read(message(b'{"P_Out":1}', topic=first.topic)) is None


def test_topics_are_remembered_up_to_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layouts_module, "MOST_TOPICS", 100)
    fast_path = FastPath(normaliser())
    for number in range(110):
        fast_path.read(message(b'{"P_In":1}', topic=f"ext/it/{number}"))
    assert fast_path.read(message(b'{"P_In":1}', topic="ext/it/1")) is not None
    assert len(fast_path._by_topic) < 100


def test_long_payloads_have_no_layout() -> None:
    payload = b'{"P_In":1,"x":"%s"}' % (b"y" * LONGEST)
    assert learned(Example(payload)).read(message(payload)) is None


def test_what_breaks_has_no_layout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong in here, the normaliser reads the payload; it is told once, and never tried again."""
    tries = 0

    def break_down(*_: object, **__: object) -> None:
        nonlocal tries
        tries += 1
        raise IndexError("list index out of range")

    monkeypatch.setattr(layouts_module, "learn", break_down)
    fast_path = FastPath(normaliser())
    with structlog.testing.capture_logs() as logs:
        for _ in range(2 * MESSAGES_PER_LAYOUT):
            assert fast_path.read(message(b'{"P_In":1}')) is None
    assert (tries, [log["event"] for log in logs]) == (1, ["form.broke"])


def test_a_known_layout_that_breaks_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other layouts go on."""
    line = learned(Example(b'{"P_In":1}'))
    line.read(message(b'{"P_Out":1}'))
    monkeypatch.setattr(layouts_module, "_values", broken_for("P_In"))
    with structlog.testing.capture_logs() as logs:
        assert [line.fast_path.read(message(b'{"P_In":2}')) for _ in range(3)] == [None, None, None]
    assert [log["event"] for log in logs] == ["form.broke"]
    assert known(line.fast_path) == 1
    assert line.read(message(b'{"P_Out":2}')) is not None


def broken_for(name: str) -> Callable[[Layout, str], list[str] | None]:
    values = layouts_module._values

    def break_down(layout: Layout, text: str) -> list[str] | None:
        if name in text:
            raise KeyError(name)
        return values(layout, text)

    return break_down


def test_so_many_broken_layouts_are_no_accident(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory stays bounded: nothing more is learned."""
    monkeypatch.setattr(layouts_module, "MESSAGES_PER_LAYOUT", 1)
    monkeypatch.setattr(layouts_module, "learn", broken_for("x"))
    fast_path = FastPath(normaliser())
    with structlog.testing.capture_logs() as logs:
        for number in range(3 * MOST_LAYOUTS):
            fast_path.read(message(b'{"P_In":1,"x%d":1}' % number))
    assert len(logs) == MOST_LAYOUTS
