import pytest
from support.payloads import DEVICE, read, refuse

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
    """The topic's MAC, else the payload's, else the topic's last level as it stands."""
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
    "topic",
    [
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
