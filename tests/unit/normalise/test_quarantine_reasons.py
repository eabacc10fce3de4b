import json

import pytest
import structlog.testing
from support.payloads import DEVICE, MAX_MESSAGE_BYTES, message, normaliser, read, refuse

from forwarder.normalise import Template
from forwarder.normalise.builder import ReadingBuilder
from forwarder.reading import JsonValue, Unreadable

TEMPLATE = '{"p": ${1_7_0}, "id": "${meter.id}"}'


@pytest.mark.parametrize(
    ("payload", "reason", "detail"),
    [
        pytest.param(
            b" " * (MAX_MESSAGE_BYTES + 1), "too_large", "65537 bytes", id="one byte too many"
        ),
        pytest.param(b'{"P_In":1,"a":"\xff"}', "not_utf8", "byte 15 is 0xff", id="Latin-1"),
        pytest.param(b"\xff\xfe{\x00}\x00", "not_utf8", "byte 0", id="UTF-16"),
        pytest.param(b"", "not_json", "line 1, column 1", id="nothing at all"),
        pytest.param(b"OFFLINE", "not_json", "TEMPLATE_FILE", id="a word"),
        pytest.param(b'{"P_In":1', "not_json", "column 10", id="cut off"),
        pytest.param(b'{"P_In":1}{"P_In":2}', "not_json", "extra data", id="two objects"),
        pytest.param(b'{"P_In":1 2}', "not_json", "delimiter", id="two numbers"),
        pytest.param(b'{"P_In":one}', "not_json", "expecting value", id="a bare word"),
        pytest.param(b"\x00" * 10, "not_json", "not JSON", id="zeros"),
        pytest.param(b'{"P_In":1,"a":"\x00', "not_json", "not JSON", id="a string that never ends"),
        pytest.param(b"[" * 40 + b"]" * 40, "not_json", "32 levels", id="deep"),
        pytest.param(b"[" * 60000, "not_json", "32 levels", id="deeper than the stack"),
        pytest.param(b"{}", "no_values", "no value", id="an empty object"),
        pytest.param(
            b'{"P_In":null,"tariff":0}', "no_values", "no value", id="shortly after power-on"
        ),
        pytest.param(
            b'{"sys_id":"ECC9FF5C7AD4","time":"1743112800"}',
            "no_values",
            "no value",
            id="only who and when",
        ),
        pytest.param(
            b'{"meter.date_time":"2025-11-18T11:00:00Z"}', "no_values", "no value", id="only a time"
        ),
        pytest.param(b'{"foo":1}', "no_values", "no value", id="nothing known"),
        pytest.param(b"[1]", "no_values", "an array", id="an array"),
        pytest.param(b"5", "no_values", "a number", id="a number"),
        pytest.param(b'"P_In"', "no_values", "a text", id="a text"),
        pytest.param(b"null", "no_values", "nothing", id="null"),
        pytest.param(b'{"P_In":"abc"}', "no_values", "no value", id="only what is no number"),
    ],
)
def test_reasons_without_a_template(payload: bytes, reason: str, detail: str) -> None:
    """Each payload that cannot be read has its reason, and a sentence that says where."""
    refused = refuse(payload)

    assert refused.reason == reason
    assert detail in refused.detail
    assert refused.device == DEVICE


@pytest.mark.parametrize(
    ("template", "payload", "reason", "detail"),
    [
        pytest.param(TEMPLATE, '{"q":1}', "template_mismatch", "none of", id="no variable's place"),
        pytest.param(TEMPLATE, "[1]", "template_mismatch", "an object at the top", id="an array"),
        pytest.param(TEMPLATE, "offline", "not_json", "not JSON", id="no JSON"),
        pytest.param(
            TEMPLATE, '{"p": null, "id": ""}', "no_values", "no value", id="nothing known"
        ),
        pytest.param(
            '{"k": "power", "p": ${1_7_0}}',
            '{"k": "energy", "p": 1}',
            "template_mismatch",
            'the constant "power" at k',
            id="another constant: another template",
        ),
        pytest.param(
            '{"m": {"p": ${1_7_0}}}',
            '{"m": 5}',
            "template_mismatch",
            "an object at m, the payload has a number",
            id="another structure",
        ),
        pytest.param(
            '{"m": [${1_7_0}]}', '{"m": {}}', "template_mismatch", "an array at m", id="no array"
        ),
        pytest.param(
            '{"m": "${1_7_0} kW"}',
            '{"m": "1 W"}',
            "template_mismatch",
            "' kW' after ${1_7_0}",
            id="another unit",
        ),
        pytest.param(
            '{"m": "${1_7_0} kW"}', '{"m": {}}', "template_mismatch", "a text at m", id="no text"
        ),
        pytest.param("p=${1_7_0};", "q=1;", "template_mismatch", "'p='", id="another beginning"),
        pytest.param(
            "p=${1_7_0};", "p=1", "template_mismatch", "';' after ${1_7_0}", id="another end"
        ),
        pytest.param(
            "p=${1_7_0},q=${2_7_0}", "p=1;q=2", "template_mismatch", "',q='", id="another separator"
        ),
        pytest.param(
            "p= ${1_7_0}", "p=1", "template_mismatch", "'p= '", id="in text, spaces count"
        ),
        pytest.param("p=${1_7_0}", "p=", "no_values", "no value", id="text without its value"),
    ],
)
def test_reasons_with_a_template(template: str, payload: str, reason: str, detail: str) -> None:
    """A payload that is not of the template is never read as if it were."""
    refused = refuse(payload, template=template)

    assert refused.reason == reason
    assert detail in refused.detail


def test_a_payload_of_exactly_the_limit_is_read() -> None:
    """MAX_MESSAGE_BYTES itself is allowed."""
    payload = b'{"P_In":1}'.ljust(MAX_MESSAGE_BYTES)

    assert read(payload).measurements == {"active_power_import_kw": 1}


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b'\xef\xbb\xbf{"P_In":1}', id="a byte order mark"),
        pytest.param(b'{"P_In":1}\x00', id="the end of a C string"),
        pytest.param(b'\r\n{"P_In":1}\r\n', id="line ends"),
        pytest.param(b'{"P_In":1,"P_In":1.0}', id="a key given twice"),
        pytest.param(b'{"P_In":1,"wifi.mode":""}', id="an absent text"),
    ],
)
def test_harmless_irregularities_are_read(payload: bytes) -> None:
    """What changes no value sends no message to quarantine."""
    assert read(payload) == read('{"P_In":1}')


def test_a_network_name_may_hold_control_characters() -> None:
    """Devices write names as they are."""
    assert read('{"wifi.sta.ssid":"a\tb"}').network == {"wifi.sta.ssid": "a\tb"}


@pytest.mark.parametrize(
    "member",
    [
        pytest.param('"meter":{"status":"KEY REQUIRED"}', id="the meter's state"),
        pytest.param('"wifi.sta.rssi":-30', id="the network"),
        pytest.param('"report":{"volume":[{"bus":1}]}', id="a volume"),
        pytest.param('"tariff":1', id="the tariff"),
    ],
)
def test_a_reading_needs_no_measurement(member: str) -> None:
    """Whatever else is known is worth delivering."""
    assert json.loads(f"{{{member}}}")
    assert read(f"{{{member}}}").measurements == {}


def test_an_error_of_our_own_is_no_fault_of_the_payload(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has a reason of its own, and its message waits in quarantine for an update."""

    def break_down(_: Template, text: str, builder: ReadingBuilder) -> JsonValue:
        raise ZeroDivisionError(text, builder)

    monkeypatch.setattr(Template, "read", break_down)
    with structlog.testing.capture_logs() as logs:
        outcome = normaliser(TEMPLATE).normalise(message('{"p":1}'))
    assert isinstance(outcome, Unreadable)
    assert (outcome.reason, outcome.device) == ("internal_error", DEVICE)
    assert "ZeroDivisionError" in outcome.detail
    assert [log["event"] for log in logs] == ["message.broke"]
