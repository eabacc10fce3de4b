from datetime import UTC, datetime
from typing import Any

import pytest
from support.terminal import HOSTILE

from forwarder.demo.listener import Received
from forwarder.demo.wording import clock_of, power, register, short_id, signature, what_came


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
        ({"voltage_l1_v": 230}, "–", "no power was sent"),
        (None, "–", "fields: left the measurements out"),
    ],
)
def test_power_says_what_flows(measurements: Any, words: str, reason: str) -> None:
    assert power({"measurements": measurements}) == words, reason


def test_absent_values_are_dashes() -> None:
    assert (register({}), clock_of(None)) == ("–", "–")


@pytest.mark.parametrize(
    ("webhook_id", "short"),
    [
        ("msg_0123456789abcdef0123456789abcdef", "msg_01234567…"),
        ("batch_1", "batch_1"),
        ("", "no id"),
    ],
)
def test_id_is_shortened(webhook_id: str, short: str) -> None:
    assert short_id(webhook_id) == short


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_what_came_is_told_in_letters(text: str) -> None:
    """Device, instant, id and the clause about the signature are a stranger's until it is verified, and after."""
    received = Received(
        order=1,
        received_at=datetime.now(UTC),
        webhook_id=text,
        attempt=1,
        problem=text,
        verified=False,
        readings=({"device": text, "measured_at": "2025-11-18T" + text},),
        body=b"",
        path="/",
        headers={},
    )
    words = [what_came(received), signature(received, verifies=True), short_id(text)]
    assert all(map(str.isprintable, words))
