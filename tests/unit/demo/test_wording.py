from typing import Any

import pytest

from forwarder.demo.wording import clock_of, power, register, short_id


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
