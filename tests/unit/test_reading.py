import hashlib
import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forwarder.reading import Device, parse_mac, rfc3339, unique_webhook_id, webhook_id

DEVICE = Device("ECC9FF5C7F14")
instants = st.datetimes(timezones=st.just(UTC))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("ECC9FF5C7F14", id="as the topic has it"),
        pytest.param("ecc9ff5c7f14", id="lower case"),
        pytest.param("eCc9Ff5c7F14", id="any case"),
        pytest.param("EC:C9:FF:5C:7F:14", id="colons"),
        pytest.param("ec-c9-ff-5c-7f-14", id="dashes"),
        pytest.param("ecc9.ff5c.7f14", id="three groups of four"),
    ],
)
def test_every_usual_spelling_names_the_same_device(text: str) -> None:
    assert parse_mac(text) == DEVICE


def test_a_mac_of_digits_only_is_one() -> None:
    assert parse_mac("12:34:56:78:90:12") == "123456789012"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("ECC9FF5C7F1", id="a digit short"),
        pytest.param("ECC9FF5C7F145", id="a digit too many"),
        pytest.param("ECC9FF5C7F1G", id="no hex digit"),
        pytest.param("EC:C9-FF:5C:7F:14", id="mixed separators"),
        pytest.param("EC:C9:FF:5C:7F14", id="a separator missing"),
        pytest.param("ECC9FF:5C7F14", id="one separator"),
        pytest.param("EC C9 FF 5C 7F 14", id="spaces"),
        pytest.param("EC.C9.FF.5C.7F.14", id="dots between bytes"),
        pytest.param(":EC:C9:FF:5C:7F:14", id="a separator in front"),
        pytest.param("ECC9FF5C7F14\n", id="a line end"),
        pytest.param(" ECC9FF5C7F14", id="a space in front"),
        pytest.param("ＥＣＣ９ＦＦ５Ｃ７Ｆ１４", id="full-width letters"),
        pytest.param("EC:C9:FF:5C:7F:14:00:01", id="an EUI-64"),
        pytest.param("whatwatt-001", id="a name"),
    ],
)
def test_a_near_miss_is_no_mac(text: str) -> None:
    """What only looks like a MAC is not bent into one: it might be another device's name."""
    assert parse_mac(text) is None


@given(st.binary(min_size=6, max_size=6), st.sampled_from(["", ":", "-"]), st.booleans())
def test_any_six_bytes_are_read_back(mac: bytes, separator: str, is_upper: bool) -> None:
    """The canonical form is twelve upper-case digits, and parsing that again changes nothing."""
    text = mac.hex(separator) if separator else mac.hex()
    device = parse_mac(text.upper() if is_upper else text)
    assert device == mac.hex().upper()
    assert parse_mac(device) == device


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        pytest.param(
            b'{"P_In":1}',
            "msg_1cba2d89288e7fe333ca38eb5658d312",
            id="a payload with a time of its own",
        ),
        pytest.param(b"", "msg_98ff5cc4e2def01352617f68af9f21d5", id="an empty payload"),
    ],
)
def test_webhook_ids_never_change(payload: bytes, expected: str) -> None:
    """Receivers keep ids: these were fixed by the first release and hold for all later ones."""
    assert webhook_id(DEVICE, payload) == expected


def test_a_webhook_id_is_the_digest_of_payload_and_device() -> None:
    """BLAKE2b-128 over the payload, a zero byte and the device."""
    digest = hashlib.blake2b(b"payload\0ECC9FF5C7F14", digest_size=16).hexdigest()
    assert webhook_id(DEVICE, b"payload") == f"msg_{digest}"


def test_a_webhook_id_tells_devices_payloads_and_arrivals_apart() -> None:
    ids = {
        webhook_id(DEVICE, b"a"),
        webhook_id(Device("ECC9FF5C7F15"), b"a"),
        webhook_id(DEVICE, b"b"),
        unique_webhook_id(),
        unique_webhook_id(),
    }
    assert len(ids) == 5


@given(device=st.text(st.characters(codec="utf-8")), payload=st.binary())
def test_a_webhook_id_fits_a_header_and_a_signature(device: str, payload: bytes) -> None:
    """`msg_` and hex digits only: a dot would make the signed text ambiguous."""
    for made in (webhook_id(Device(device), payload), unique_webhook_id()):
        assert re.fullmatch("msg_[0-9a-f]{32}", made)


@pytest.mark.parametrize(
    ("microsecond", "text"),
    [
        pytest.param(0, "2025-11-18T10:17:40Z", id="a whole second"),
        pytest.param(203_000, "2025-11-18T10:17:40.203Z", id="milliseconds"),
        pytest.param(203_999, "2025-11-18T10:17:40.203Z", id="cut, not rounded"),
        pytest.param(999, "2025-11-18T10:17:40Z", id="less than a millisecond"),
        pytest.param(10_000, "2025-11-18T10:17:40.010Z", id="always three digits"),
    ],
)
def test_instants_are_written_as_events_write_them(microsecond: int, text: str) -> None:
    assert rfc3339(datetime(2025, 11, 18, 10, 17, 40, microsecond, tzinfo=UTC)) == text


@given(instants)
def test_a_written_instant_is_read_back_to_the_millisecond(instant: datetime) -> None:
    """Any parser of RFC 3339 gets the instant back, less what is finer than a millisecond."""
    lost = instant - datetime.fromisoformat(rfc3339(instant))
    assert timedelta(0) <= lost < timedelta(milliseconds=1)
