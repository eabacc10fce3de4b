import pytest
import structlog.testing
from support.payloads import DEVICE, message, normaliser, read, refuse

from forwarder.normalise import FastPath
from forwarder.reading import Reading, Unreadable

OTHER = "ECC9FF5C7F14"


@pytest.mark.parametrize(
    "level",
    [
        pytest.param("ECC9FF5C7AD4", id="as whatwatt publishes"),
        pytest.param("ecc9ff5c7ad4", id="lower case"),
        pytest.param("EC:C9:FF:5C:7A:D4", id="colons"),
        pytest.param("ec-c9-ff-5c-7a-d4", id="hyphens"),
        pytest.param("ecc9.ff5c.7ad4", id="groups of four"),
    ],
)
def test_a_mac_in_the_topic_is_the_device(level: str) -> None:
    """The last level of the topic names the device, in any spelling of a MAC."""
    assert read('{"P_In":1}', topic=f"ext/partner/{level}").device == DEVICE


@pytest.mark.parametrize(
    ("topic", "payload", "device"),
    [
        pytest.param("lab/whatwatt-001", f'"sys.id":"{OTHER}"', OTHER, id="the payload, else"),
        pytest.param(
            "lab/whatwatt-001", '"sys_id":"ec:c9:ff:5c:7f:14"', OTHER, id="in any spelling"
        ),
        pytest.param(
            "lab/whatwatt-001", '"system":{"id":123456789012}', "123456789012", id="bare digits"
        ),
        pytest.param(
            "lab/whatwatt-001", '"sys.id":""', "whatwatt-001", id="else the topic's last level"
        ),
        pytest.param("whatwatt-001", '"x":1', "whatwatt-001", id="a topic of one level"),
        pytest.param(
            "lab/whatwatt-001", '"sys.id":"basement"', "whatwatt-001", id="no MAC in the payload"
        ),
        pytest.param("lab/", f'"sys.id":"{OTHER}"', OTHER, id="an empty last level"),
        pytest.param(f"ext/partner/{OTHER}", f'"sys.id":"{OTHER}"', OTHER, id="both agree"),
        pytest.param(
            f"ext/partner/{OTHER}",
            '"sys.id":"EC-C9-FF-5C-7F-14"',
            OTHER,
            id="in different spellings",
        ),
        pytest.param(
            f"ext/partner/{OTHER}",
            f'"wifi.sta.mac":"{DEVICE}","eth.mac":"{DEVICE}"',
            OTHER,
            id="the MACs of interfaces name no device",
        ),
    ],
)
def test_whose_reading_it_is(topic: str, payload: str, device: str) -> None:
    """Where the payload is trusted: the topic's MAC, else the payload's, else the topic's last level as it stands."""
    assert read(f'{{"P_In":1,{payload}}}', topic=topic).device == device


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        pytest.param(f"ext/partner/{DEVICE}", f'"sys.id":"{OTHER}"', id="topic and payload"),
        pytest.param(f"ext/partner/{DEVICE}", f'"system":{{"id":"{OTHER}"}}', id="in any shape"),
        pytest.param(
            "lab/one", f'"sys.id":"{DEVICE}","sys_id":"{OTHER}"', id="the payload with itself"
        ),
        pytest.param(
            f"ext/partner/{DEVICE}",
            f'"sys.id":"{DEVICE}","sys_id":"{OTHER}"',
            id="the payload with itself, once as the topic",
        ),
    ],
)
def test_two_devices_are_quarantined(topic: str, payload: str) -> None:
    """Meter data is personal: where two devices are named nobody gets the reading."""
    assert refuse(f'{{"P_In":1,{payload}}}', topic=topic).reason == "device_mismatch"


@pytest.mark.parametrize(
    ("payload", "extra"),
    [
        pytest.param(f'"sys.id":"{OTHER}"', {"sys.id": OTHER}, id="its MAC"),
        pytest.param(f'"sys":{{"id":"{OTHER}"}}', {"sys": {"id": OTHER}}, id="where it stood"),
        pytest.param(
            f'"sys.id":"{OTHER}","sys_id":"{DEVICE}"',
            {"sys.id": OTHER, "sys_id": DEVICE},
            id="two of them",
        ),
    ],
)
def test_nobody_speaks_for_another_device(payload: str, extra: object) -> None:
    """Where the payload is not trusted the topic alone names the device, and `extra` keeps what the payload says."""
    line = normaliser(trusts_payload_device=False)
    one = message(f'{{"P_In":1,{payload}}}', topic="ext/example/attacker")
    fast_path = FastPath(line)
    for _ in range(3):
        assert fast_path.read(one) is None
        with structlog.testing.capture_logs() as logs:
            reading = line.normalise(one)
        assert isinstance(reading, Reading)
        assert (reading.device, reading.extra) == ("attacker", extra)
        assert [log["event"] for log in logs] in (["device.unheeded"], [])
    assert logs == []  # it was told once


def test_an_untrusted_payload_may_still_differ_from_a_mac() -> None:
    """A MAC in the topic and another in the payload are a mismatch, whoever is trusted."""
    line = normaliser(trusts_payload_device=False)
    outcome = line.normalise(message(f'{{"P_In":1,"sys.id":"{OTHER}"}}'))
    assert isinstance(outcome, Unreadable)
    assert outcome.reason == "device_mismatch"


def test_an_untrusted_payload_gives_no_name_to_a_nameless_topic() -> None:
    line = normaliser(trusts_payload_device=False)
    outcome = line.normalise(message(f'{{"P_In":1,"sys.id":"{OTHER}"}}', topic="ext/example/.."))
    assert isinstance(outcome, Unreadable)
    assert (outcome.reason, outcome.device) == ("no_device", "unknown")
    assert "FORWARDER_TRUST_PAYLOAD_DEVICE" in outcome.detail


@pytest.mark.parametrize(
    "topic",
    [
        pytest.param("ext/example/.", id="a dot"),
        pytest.param("ext/example/..", id="two dots, which lead out of a URL's path"),
        pytest.param("", id="no topic"),
        pytest.param("lab/", id="an empty last level"),
        pytest.param("lab/" + "x" * 200, id="longer than any topic of a device"),
        pytest.param("lab/a\nb", id="not printable"),
    ],
)
def test_a_message_of_nobody_is_quarantined(topic: str) -> None:
    """A reading without a device could be routed to nobody."""
    assert refuse('{"P_In":1}', topic=topic).reason == "no_device"


@pytest.mark.parametrize(
    ("topic", "payload", "device"),
    [
        pytest.param(f"ext/partner/{DEVICE}", "nonsense", DEVICE, id="the topic's MAC"),
        pytest.param("lab/one", "nonsense", "one", id="the topic's last level"),
        pytest.param(
            "lab/one", f'{{"sys.id":"{OTHER}"}}', OTHER, id="the payload's, where it was read"
        ),
        pytest.param("lab/", "nonsense", "unknown", id="nobody's"),
        pytest.param(
            f"ext/partner/{DEVICE}",
            f'{{"sys.id":"{OTHER}"}}',
            DEVICE,
            id="the topic's at a mismatch",
        ),
    ],
)
def test_whose_quarantine_it_counts_in(topic: str, payload: str, device: str) -> None:
    """Each device has its own share of the quarantine, also where nothing could be read."""
    assert refuse(payload, topic=topic).device == device
