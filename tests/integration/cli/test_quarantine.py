"""`forwarder quarantine`: bytes as they came, and another try."""

import base64
import json

import pytest
from support.outbox_builder import BERN, ZURICH, OutboxBuilder
from support.shell import Operator

READABLE = b'{"sys.id": "ECC9FF5C7AD4", "timestamp": 1763460000, "1_7_0": 7.8490}'
EVERY_BYTE = bytes(range(256))
SECRET = "whsec_" + base64.b64encode(bytes(32)).decode()


@pytest.fixture
def secret(operator: Operator) -> None:
    operator.environment["NOT_IN_THIS_SHELL"] = SECRET


@pytest.mark.parametrize("payload", [b'{"a": 1', EVERY_BYTE, b"", "Zürich\n".encode()])
def test_bytes_come_back_exactly(operator: Operator, built: OutboxBuilder, payload: bytes) -> None:
    """Whatever arrived can be had again, byte for byte, in each of three ways."""
    built.quarantine(payload)

    shown = operator.json("quarantine", "show", "1")
    (exported,) = operator.says("quarantine", "export").splitlines()

    assert operator.run("quarantine", "show", "1", "--raw").stdout_bytes == payload
    assert base64.b64decode(shown["payload_base64"]) == payload
    assert json.loads(exported) == shown


@pytest.mark.parametrize(
    ("payload", "shown"),
    [
        pytest.param(b'{"a": 1', '{"a": 1', id="text as it is"),
        pytest.param(b"\x1b[2J", "000000  1b 5b 32 4a", id="no text that moves the cursor"),
        pytest.param(b"ab\rcd", "61 62 0d 63 64", id="no text that goes back to its start"),
        pytest.param(b"ab\r\ncd", "ab\n", id="lines as Windows ends them"),
        pytest.param(b"\xff\x00ab", "ff 00 61 62", id="no text at all"),
    ],
)
def test_show_for_people(
    operator: Operator, built: OutboxBuilder, payload: bytes, shown: str
) -> None:
    """Text is shown as text; anything a terminal might act on in hexadecimal."""
    built.quarantine(payload)

    said = operator.says("quarantine", "show", "1")

    assert shown in said
    assert "\x1b" not in said


def test_list_and_filters(operator: Operator, built: OutboxBuilder) -> None:
    """Messages are listed in order of arrival, narrowed down as dead letters are."""
    built.quarantine(device=ZURICH)
    built.quarantine(device=BERN, reason="no_values")

    both = operator.json("quarantine", "list")
    (one,) = operator.json(
        "quarantine", "list", "--device", "ecc9ff5c7f14", "--reason", "no_values"
    )

    assert [message["id"] for message in both] == [1, 2]
    assert one == both[1]
    assert set(one) == {
        "id", "device", "topic", "received_at", "reason", "detail", "size", "kept_bytes",
    }  # fmt: skip


@pytest.mark.usefixtures("secret")
def test_replay_decodes_with_todays_settings(operator: Operator, built: OutboxBuilder) -> None:
    """What is understood now becomes deliveries by today's routes, its age counted from now."""
    built.quarantine(READABLE)

    assert operator.json("quarantine", "replay", "--all")["replayed"] == 1

    assert built.rows("SELECT count(*) FROM quarantine") == [(0,)]
    rows = built.rows("SELECT state, device, age_from > enqueued_at - 1 FROM delivery")
    assert rows == [("pending", ZURICH, 1)] * 2
    (body,) = built.rows("SELECT data FROM body")
    assert b'"received_at":"2025-11-18T10:00:00Z"' in body[0]
    assert built.accounts("acme")["enqueued"] == built.accounts("acme")["pending"] == 1
    assert len(built.rows("SELECT * FROM touched_lane")) == 2


@pytest.mark.usefixtures("secret")
@pytest.mark.parametrize(("trusted", "devices"), [("true", [(ZURICH,)]), ("false", [])])
def test_replay_names_devices_by_todays_rule(
    trusted: str,
    devices: list[tuple[str]],
    operator: Operator,
    built: OutboxBuilder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Under a topic that names no device the payload's own MAC counts if it does today."""
    monkeypatch.setenv("FORWARDER_TRUST_PAYLOAD_DEVICE", trusted)
    payload = b'{"P_In":1,"sys.id":"%s"}' % ZURICH.encode()
    built.quarantine(payload, reason="no_device", topic="ext/acme/..")
    operator.json("quarantine", "replay", "--all")
    assert built.rows("SELECT DISTINCT device FROM delivery") == devices


@pytest.mark.usefixtures("secret")
def test_replay_supersedes_nothing(operator: Operator, built: OutboxBuilder) -> None:
    """A message from long ago does not push out the newest reading of a `latest` endpoint."""
    built.reading("home")
    built.quarantine(READABLE)

    operator.says("quarantine", "replay", "1")

    assert built.accounts("home")["superseded"] == 0
    assert built.accounts("home")["pending"] == 2


@pytest.mark.usefixtures("secret")
def test_same_reading_is_not_delivered_twice(operator: Operator, built: OutboxBuilder) -> None:
    """A message whose like came in before leaves the quarantine and adds nothing."""
    built.quarantine(READABLE)
    built.quarantine(READABLE)

    outcomes = operator.json("quarantine", "replay", "--all")

    assert (outcomes["replayed"], outcomes["duplicate"]) == (1, 1)
    assert built.accounts("acme")["enqueued"] == 1


@pytest.mark.usefixtures("secret")
def test_what_is_still_unreadable_stays(operator: Operator, built: OutboxBuilder) -> None:
    """It keeps its place, with the reason that holds today."""
    built.quarantine(b"\xff", reason="not_json")

    said = operator.says("quarantine", "replay", "1")

    assert "1 message still not understood" in said
    assert [one["reason"] for one in operator.json("quarantine", "list")] == ["not_utf8"]


@pytest.mark.usefixtures("secret")
def test_what_was_cut_off_cannot_be_replayed(operator: Operator, built: OutboxBuilder) -> None:
    """Of a message that was too large only the first bytes are there; that they can be read means nothing."""
    built.quarantine(READABLE, reason="too_large", size=100_000)

    assert "cannot be replayed" in operator.says("quarantine", "replay", "1")
    assert built.rows("SELECT count(*) FROM quarantine") == [(1,)]


@pytest.mark.usefixtures("secret")
def test_what_no_endpoint_wants_stays(operator: Operator, built: OutboxBuilder) -> None:
    """A message for nobody is not thrown away by a replay."""
    built.quarantine(READABLE)
    operator.write_routes(
        'endpoints:\n  acme: {url: "https://a.example", secret: "env:NOT_IN_THIS_SHELL", devices: [ECC9FF5C7F14]}'
    )

    assert "no endpoint wants the device: kept" in operator.says("quarantine", "replay", "1")
    assert built.rows("SELECT count(*) FROM quarantine") == [(1,)]


def test_discard_erases(operator: Operator, built: OutboxBuilder) -> None:
    """Discarded messages are gone; the others stay."""
    built.quarantine(device=ZURICH)
    built.quarantine(device=BERN)

    assert operator.says("quarantine", "discard", "--device", BERN) == "1 message discarded\n"
    assert [one["id"] for one in operator.json("quarantine", "list")] == [1]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["show", "7"], "there is no message 7 in quarantine"),
        (["show", "x"], "'x' is not the id of a message in quarantine"),
        (["replay"], "say which messages you mean"),
        (["discard", "1", "7"], "there is no message 7 in quarantine"),
    ],
)
@pytest.mark.usefixtures("secret")
def test_what_cannot_be_done_is_one_sentence(
    operator: Operator, built: OutboxBuilder, arguments: list[str], complaint: str
) -> None:
    """A wrong argument changes nothing."""
    built.quarantine()

    assert complaint in operator.fails("quarantine", *arguments)
    assert built.rows("SELECT count(*) FROM quarantine") == [(1,)]
