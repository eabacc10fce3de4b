from datetime import UTC, datetime
from typing import Any

import pytest
from support.terminal import HOSTILE

from forwarder.demo.listener import Received
from forwarder.demo.wording import clock_of, power, register, what_came


@pytest.mark.parametrize(
    ("measurements", "words", "reason"),
    [
        (
            {"active_power_import_kw": 0.5, "active_power_export_kw": 0},
            "draws 0.500 kW",
            "it draws",
        ),
        (
            {"active_power_import_kw": 0, "active_power_export_kw": 4.1},
            "feeds in 4.100 kW",
            "the sun shines",
        ),
        ({"active_power_import_kw": 0}, "draws 0.000 kW", "zero is a value"),
        ({"active_power_import_kw": 10**400}, "–", "no float holds it"),
        ({"voltage_l1_v": 230}, "–", "no power was sent"),
        (None, "–", "fields: left the measurements out"),
    ],
)
def test_power_says_what_flows(measurements: Any, words: str, reason: str) -> None:
    assert power({"measurements": measurements}) == words, reason


def test_absent_values_are_dashes() -> None:
    assert (register({}), clock_of(None)) == ("–", "–")


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_what_came_is_told_in_letters(text: str) -> None:
    """A device may be named by anybody's text, verified or not."""
    received = Received(
        order=1,
        received_at=datetime.now(UTC),
        webhook_id=text,
        attempt=1,
        verdict="no_match",
        readings=({"device": text, "measured_at": "2025-11-18T" + text},),
        body=b"",
        path="/",
        headers={},
    )
    assert what_came(received).isprintable()
