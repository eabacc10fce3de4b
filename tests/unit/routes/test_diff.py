"""What an edit changes, as lines for people and as JSON for programs."""

import json
from pathlib import Path

import pytest
from support.routing import endpoint_with, routes_of

from forwarder.routes import diff

TWO = "groups: {g: [ECC9FF5C7AD4, 001122334455]}\n"

EDITS = [
    ("nothing", "timeout: 10s", "timeout: 10s", []),
    ("a default written out", "timeout: 10s", "paused: false", []),
    ("a duration", "timeout: 10s", "timeout: 1m", ["~ acme: timeout 10s → 1m"]),
    ("a word", "mode: every", "mode: latest", ["~ acme: mode every → latest, max_age 1d → 90s"]),
    ("a flag", "paused: false", "paused: true", ["~ acme: paused false → true"]),
    ("fields", "paused: false", "fields: [id, meter]", ["~ acme: fields all → [id, meter]"]),
    ("a batch", "batch: off", "batch: {max_events: 5}", ["~ acme: batch off → 5 in 1s"]),
    ("a rate", "rate_limit: 20/s", "rate_limit: off", ["~ acme: rate_limit 20 in 1s → off"]),
    (
        "a schedule",
        "retry: {initial: 5s}",
        "retry: {initial: 1s, max_attempts: 3}",
        ["~ acme: retry 5s to 15m → 1s to 15m, at most 3 attempts"],
    ),
    ("an interval", "paused: false", "min_interval: 5m", ["~ acme: min_interval off → 5m"]),
    (
        "which reading of an interval",
        "min_interval: 5m",
        "min_interval: {every: 5m, keep: last}",
        ["~ acme: min_interval 5m → {every: 5m, keep: last}"],
    ),
    ("answers", "success: 2xx", "success: [2xx, 302]", ["~ acme: success [2xx] → [2xx, 302]"]),
    ("a URL", "paused: false", "url: https://b.example/?k=v", ["~ acme: url changed"]),
    ("a key", "secret: env:KEY", "secret: [env:KEY, env:OTHER_KEY]", ["~ acme: secret changed"]),
    (
        "devices",
        "devices: [ECC9FF5C7AD4, AABBCCDDEEFF]",
        "devices: [aa:bb:cc:dd:ee:ff, 001122334455]",
        ["~ acme gains 1 device: 001122334455", "~ acme loses 1 device: ECC9FF5C7AD4"],
    ),
    ("a group for its members", "groups: [g]", "devices: [ECC9FF5C7AD4, 001122334455]", []),
    ("to every device", "devices: [ECC9FF5C7AD4]", 'devices: "*"', ["~ acme gains every device but ECC9FF5C7AD4"]),
    ("from every device", 'devices: "*"', "groups: [g]", ["~ acme loses every device but 001122334455, ECC9FF5C7AD4"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after", "lines"), [e[1:] for e in EDITS], ids=[e[0] for e in EDITS]
)
def test_edit_is_told(before: str, after: str, lines: list[str], tmp_path: Path) -> None:
    """Each change of a setting and each move of a device is told, and nothing else."""
    old = routes_of(TWO + _without_star(before), folder=tmp_path)
    new = routes_of(TWO + _without_star(after), folder=tmp_path)

    assert diff(old, new).lines() == lines


def test_added_and_removed_endpoints_are_told_with_their_devices(tmp_path: Path) -> None:
    text = endpoint_with("devices: [ECC9FF5C7AD4]")
    old = routes_of(text, folder=tmp_path)
    new = routes_of(text.replace("acme", "beta"), folder=tmp_path)

    difference = diff(old, new)

    assert difference.lines() == [
        "+ beta is added, gets 1 device: ECC9FF5C7AD4",
        "- acme is removed, got 1 device: ECC9FF5C7AD4",
    ]
    assert difference.to_json() == {
        "added": [{"endpoint": "beta", "devices": ["ECC9FF5C7AD4"]}],
        "removed": [{"endpoint": "acme", "devices": ["ECC9FF5C7AD4"]}],
        "changed": [],
    }


def test_from_nothing_everything_is_added(tmp_path: Path) -> None:
    """The first load tells all endpoints, with every device or none where it is so."""
    text = endpoint_with() + "  beta: {url: 'https://b.example/', secret: env:KEY, devices: []}\n"

    difference = diff(None, routes_of(text, folder=tmp_path))

    assert difference.lines() == [
        "+ acme is added, gets every device",
        "+ beta is added, gets no device",
    ]


def test_long_lists_are_cut_for_people_and_whole_for_programs(tmp_path: Path) -> None:
    """Ten devices and a count in a line; all of them in JSON."""
    many = [f"{number:012X}" for number in range(25)]
    old = routes_of(endpoint_with("devices: []"), folder=tmp_path)
    new = routes_of(endpoint_with(f"devices: [{', '.join(many)}]"), folder=tmp_path)

    difference = diff(old, new)

    (line,) = difference.lines()
    assert line.startswith("~ acme gains 25 devices: 000000000000, ")
    assert line.endswith("000000000009 and 15 more")
    assert json.loads(json.dumps(difference.to_json()))["changed"][0]["gained"] == many


def _without_star(setting: str) -> str:
    own = endpoint_with(setting)
    return own.replace('    devices: "*"\n', "") if setting.startswith("groups") else own
