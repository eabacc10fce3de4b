"""A generator of payloads, with keys repeated at every depth, and a check that both readers read them alike."""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence

from support.payloads import message, normaliser

from forwarder.event_data import serialise
from forwarder.normalise import FastPath
from forwarder.reading import Reading
from forwarder.variables import variables

_TOPICS = ("ext/partner/ECC9FF5C7AD4", "ext/partner/house", "ext/partner/..")
_KINDS: dict[str, str] = {
    name: variable.kind
    for variable in variables()
    for name in (variable.variable, variable.alias, variable.live_field, variable.ha_field)
    if name and "[" not in name
}
_NAMES = [*_KINDS, "x", "y", "${z}", "Zähler", "vol[1].bus"]
_PATHS = [
    (variable.report_path, variable.kind)
    for variable in variables()
    if "." in variable.report_path and "[" not in variable.report_path
]
_USUAL = {
    "timestamp": ("1763461060", "1763461075"),
    "device": ('"ECC9FF5C7AD4"', '"ec:c9:ff:5c:7a:d4"'),
    "utc": ('"2025-11-18T10:17:40Z"', '"2025-11-18T10:17:45Z"'),
    "offset": ('"2025-11-18T11:17:40+01:00"', '"2025-11-18T11:17:45+01:00"'),
    "local": ('"2025-11-18T11:17:40Z"', '"2025-11-18T11:17:45"'),
    "date": ('"2025-11-18"', '"2025-11-17"'),
    "clock": ('"11:17:40"', '"11:17:45"'),
    "tariff": ("0", "1", "2"),
    "text": ('"a"', '"b c"'),
}
_SCALARS = (
    *("0", "-0", "1", "2", "1.5", "1.50", "-0.0", "1e3", "0.00001", "12345678901234567", "1e999", "9" * 30),
    *('""', '"null"', '"1.5"', '"1,5"', '"a"', '"${x}"', '"\\u00e9"', '"\\ud800"', '"ü"', '" "'),
    *("null", "true", "false", "NaN", "", "${x}", "[]", "{}", "[1,null]", "007", "+1"),
    *("1763461060", "946684800", '"2025-11-18T10:17:40Z"', '"2025-11-18"', '"11:17:40"', '"24:00"'),
    *('"ECC9FF5C7AD4"', '"ec:c9:ff:5c:7a:d4"', '"ECC9FF5C7F14"'),
)  # fmt: skip


def payloads(seed: int, count: int) -> Iterator[tuple[str, str]]:
    """`count` topics and payloads; each layout comes several times, with other values."""
    chance = random.Random(seed)
    while count > 0:
        topic, keys = chance.choices(_TOPICS, (6, 3, 1))[0], _keys(chance)
        for _ in range(min(count, chance.randint(1, 8))):
            yield topic, _object(keys, chance)
            count -= 1


def _keys(chance: random.Random) -> list[tuple[str, object]]:
    """The members of an object: keys, each with a kind of value or further members below it."""
    keys: list[tuple[str, object]] = [("P_In", "measurement")]
    names = [chance.choice(_NAMES) for _ in range(chance.randint(0, 5))]
    keys += [(name, _KINDS.get(name, "text")) for name in names]
    keys += [_nested(*chance.choice(_PATHS), chance) for _ in range(chance.randint(0, 2))]
    if chance.random() < 0.3:
        keys += [chance.choice(keys) for _ in range(chance.randint(1, 3))]
    if chance.random() < 0.3:
        keys.append((chance.choice(["x", "report", "system"]), _keys(chance)[:3]))
    chance.shuffle(keys)
    return keys


def _nested(path: str, kind: str, chance: random.Random) -> tuple[str, object]:
    first, *rest = path.split(".")
    below: object = kind
    for key in reversed(rest):
        below = [(key, below)] * chance.choice([1, 1, 1, 1, 1, 2])
    return first, below


def _object(keys: Sequence[tuple[str, object]], chance: random.Random) -> str:
    return "{" + ",".join(f'"{key}":{_value(below, chance)}' for key, below in keys) + "}"


def _value(below: object, chance: random.Random) -> str:
    if isinstance(below, list):
        return _object(below, chance)
    if chance.random() < 0.05:
        return chance.choice(_SCALARS)
    if below in _USUAL:
        return chance.choice(_USUAL[str(below)])
    number = str(chance.choice([chance.randint(0, 5), round(chance.uniform(-9, 9), 3)]))
    return number if chance.random() < 0.97 else f'"{number}"'


def assert_read_alike(messages: Iterable[tuple[str, str]]) -> Mapping[str, int]:
    """Check that the fast path and the normaliser write the same bytes; return how many payloads were read how."""
    messages = list(messages)
    counts = {"by the fast path": 0, "by the normaliser": 0, "quarantined": 0}
    for trusts in (False, True):
        line = normaliser(trusts_payload_device=trusts)
        fast_path = FastPath(line)
        for topic, payload in messages:
            one = message(payload, topic=topic)
            for _ in range(2):
                fast_path._credit = 1 << 20  # each layout may be learned at once
                found, expected = fast_path.read(one), line.normalise(one)
            assert not fast_path._broken, payload
            if isinstance(expected, Reading):
                assert found in (None, serialise(expected)), payload
                counts["by the fast path" if found else "by the normaliser"] += 1
            else:
                assert found is None, payload
                assert expected.reason != "internal_error", payload
                counts["quarantined"] += 1
    return counts
