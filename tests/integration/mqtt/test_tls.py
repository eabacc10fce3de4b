"""TLS with a real mosquitto: whom we trust, who we are, and what is said when either fails."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID
from support.certificates import Authority, encrypt_key, self_signed, short_key
from support.mosquitto import Mosquitto
from support.publisher import Publisher
from support.scripted_broker import Conversation, hold, scripted_broker
from support.subscriber_harness import ArrivalRecorder, running, subscribed

from forwarder.settings import Broker
from forwarder.subscriber import Pace, try_session

USERNAME = "whatwatt.integration.client.demoapp"
NAMES = ("localhost", "127.0.0.1")
LARGE = b"x" * 60_000


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


async def test_messages_flow_through_tls(tmp_path: Path, authority: Authority) -> None:
    """mqtts with the given certificate, username as client id: what whatwatt hands out, end to end."""
    recorder = ArrivalRecorder()
    with Mosquitto(
        tmp_path / "mosquitto", users={USERNAME: "secret"}, server_files=authority.issue(*NAMES)
    ) as mosquitto:
        broker = mosquitto.broker(ca_file=authority.ca_file)
        async with subscribed(broker, recorder) as subscriber:
            with Publisher(broker) as device:
                device.publish_all("ext/demoapp/ECC9FF5C7AD4", [b"%d" % n for n in range(20)])
            subscriber.acknowledge(await recorder.wait(20))
    assert recorder.payloads == [b"%d" % n for n in range(20)]


@pytest.mark.parametrize(
    "count", [3, 700], ids=["one turn of the loop", "more than one turn takes"]
)
async def test_nothing_stays_behind_in_the_tls_layer(authority: Authority, count: int) -> None:
    """Many packets in one TLS record are all read, although the socket itself has nothing more to tell."""

    async def send_at_once(client: Conversation) -> None:
        await client.accept()
        client.send(b"\x30\x08\x00\x05ext/a1" * count)
        await hold(client)

    recorder = ArrivalRecorder()
    async with (
        scripted_broker(send_at_once, server_files=authority.issue(*NAMES)) as reached,
        subscribed(replace(reached, ca_file=authority.ca_file), recorder),
    ):
        await recorder.wait(count)
    assert recorder.payloads == [b"1"] * count


async def test_large_messages_pass_through_tls(tmp_path: Path, authority: Authority) -> None:
    """A message of several TLS records arrives whole, between small ones."""
    recorder = ArrivalRecorder()
    payloads = [b"small", LARGE, b"small", LARGE]
    with Mosquitto(tmp_path / "mosquitto", server_files=authority.issue(*NAMES)) as mosquitto:
        broker = mosquitto.broker(ca_file=authority.ca_file)
        async with subscribed(broker, recorder):
            with Publisher(broker) as device:
                device.publish_all("ext/demoapp/ECC9FF5C7AD4", payloads)
            await recorder.wait(len(payloads))
    assert recorder.payloads == payloads


async def test_pinned_certificate_of_the_server_is_trusted(
    tmp_path: Path, authority: Authority
) -> None:
    """The server's own certificate is enough, whoever issued it."""
    certificate, key = authority.issue(*NAMES)
    assert await _probe(tmp_path, (certificate, key), ca_file=certificate) is None


async def test_self_signed_certificate_is_trusted_when_given(tmp_path: Path) -> None:
    """A self-signed certificate that is no CA is trusted when it is the given one."""
    certificate, key = self_signed(tmp_path, *NAMES)
    assert await _probe(tmp_path, (certificate, key), ca_file=certificate) is None


async def test_pinned_certificate_may_have_another_name(
    tmp_path: Path, authority: Authority
) -> None:
    """With the hostname check off, the given certificate alone decides."""
    files = authority.issue("elsewhere.example")
    assert "is for another name" in str(await _probe(tmp_path, files, ca_file=files[0]))
    assert await _probe(tmp_path, files, ca_file=files[0], check_hostname=False) is None


async def test_hostname_check_off_still_asks_for_the_given_certificate(
    tmp_path: Path, authority: Authority
) -> None:
    """Without the name, the certificate is still verified: another one is refused."""
    other = Authority(tmp_path / "other").issue(*NAMES)
    said = await _probe(tmp_path, authority.issue(*NAMES), ca_file=other[0], check_hostname=False)
    assert "is not trusted" in str(said)


async def test_unknown_issuer_is_said(tmp_path: Path, authority: Authority) -> None:
    """Without a given certificate the system's CAs decide, and the setting is named."""
    said = await _probe(tmp_path, authority.issue(*NAMES))
    assert "is not trusted: set FORWARDER_MQTT_CA_FILE" in str(said)


async def test_wrong_given_certificate_is_said(tmp_path: Path, authority: Authority) -> None:
    """A given certificate that does not fit names its file."""
    other = Authority(tmp_path / "other").ca_file
    said = await _probe(tmp_path, authority.issue(*NAMES), ca_file=other)
    assert f"{other} (FORWARDER_MQTT_CA_FILE) is neither that certificate nor" in str(said)


@pytest.mark.parametrize(
    ("flaw", "sentence"),
    [
        pytest.param({"key": short_key()}, "has a key that is too short", id="short key"),
        pytest.param(
            {"usage": ExtendedKeyUsageOID.CLIENT_AUTH}, "is not meant for a server", id="usage"
        ),
    ],
)
async def test_flaw_of_the_given_certificate_itself_is_said(
    tmp_path: Path, flaw: dict[str, Any], sentence: str
) -> None:
    """It is that very certificate, and would be trusted: what is wrong with it is said, and nothing else."""
    files = self_signed(tmp_path, *NAMES, **flaw)
    async with scripted_broker(hold, server_files=files) as reached:
        said = await try_session(replace(reached, ca_file=files[0]), timeout_seconds=5)
    assert f"{sentence}" in str(said)
    assert str(said).endswith("ask the broker's operator for another")


async def test_expired_certificate_is_said(tmp_path: Path, authority: Authority) -> None:
    """An expired certificate is the broker's to renew, and is told from an unknown one."""
    said = await _probe(tmp_path, authority.issue_expired(*NAMES), ca_file=authority.ca_file)
    assert "has expired: the broker's operator must renew it" in str(said)


async def test_plain_mqtt_on_a_tls_port_is_said(tmp_path: Path, authority: Authority) -> None:
    """Plain bytes on a TLS port are answered by silence or a closed connection; mqtts:// is suggested."""
    said = await _probe(tmp_path, authority.issue(*NAMES), use_tls=False)
    assert "TLS" in str(said)


async def test_client_certificate_is_shown(tmp_path: Path, authority: Authority) -> None:
    """A broker that asks who we are is told by certificate."""
    files = authority.issue(*NAMES)
    client = authority.issue("client", stem="client")
    with Mosquitto(
        tmp_path / "mosquitto", server_files=files, client_ca_file=authority.ca_file
    ) as mosquitto:
        nobody = mosquitto.broker(ca_file=authority.ca_file)
        known = replace(nobody, cert_file=client[0], key_file=client[1])
        assert await try_session(known, timeout_seconds=5) is None
        said = await try_session(nobody, timeout_seconds=5)
    assert "wants a client certificate that it accepts: set FORWARDER_MQTT_CERT_FILE" in str(said)


@pytest.fixture
def unusable_files(tmp_path: Path, authority: Authority) -> dict[str, dict[str, Any]]:
    certificate, key = authority.issue("client", stem="client")
    _, other_key = authority.issue("other", stem="other")
    text = tmp_path / "text.pem"
    text.write_text("no certificate")
    short = self_signed(tmp_path, "client", key=short_key())
    encrypted = encrypt_key(key, tmp_path / "encrypted.key")
    return {
        "encrypted key": {"cert_file": certificate, "key_file": encrypted},
        "another key": {"cert_file": certificate, "key_file": other_key},
        "no PEM": {"cert_file": text, "key_file": text},
        "no such file": {"cert_file": tmp_path / "absent", "key_file": key},
        "no certificate": {"ca_file": text},
        "no such CA file": {"ca_file": tmp_path / "absent"},
        "short key": {"cert_file": short[0], "key_file": short[1]},
    }


@pytest.mark.parametrize(
    ("which", "sentence"),
    [
        ("encrypted key", "is encrypted: store the key without a passphrase"),
        ("another key", "is not the key of FORWARDER_MQTT_CERT_FILE"),
        ("no PEM", "cannot be used: both must be PEM"),
        ("short key", "cannot be used: its key is too short"),
        ("no such file", "No such file or directory"),
        ("no certificate", "holds no certificate: it must be PEM"),
        ("no such CA file", "No such file or directory"),
    ],
)
async def test_unusable_file_is_said(
    unusable_files: dict[str, dict[str, Any]], which: str, sentence: str
) -> None:
    """A file that cannot be used is named before anything is sent, and no passphrase is asked for."""
    nowhere = Broker(
        host="127.0.0.1", port=1, use_tls=True, client_id="forwarder", topics=("ext/#",)
    )
    said = await try_session(replace(nowhere, **unusable_files[which]), timeout_seconds=5)
    assert sentence in str(said)


async def _probe(tmp_path: Path, server_files: tuple[Path, Path], **changes: Any) -> str | None:
    with Mosquitto(tmp_path / "mosquitto", server_files=server_files) as mosquitto:
        return await try_session(mosquitto.broker(**changes), timeout_seconds=2)


async def test_stop_does_not_wait_for_a_handshake(tmp_path: Path, authority: Authority) -> None:
    """A connection in the making holds up nothing; if it comes about after all, it is closed at once."""
    with Mosquitto(tmp_path / "mosquitto", server_files=authority.issue(*NAMES)) as mosquitto:
        mosquitto.freeze()
        broker = mosquitto.broker(ca_file=authority.ca_file)
        async with running(broker, pace=Pace(dial=60.0)) as subscriber:
            await asyncio.sleep(0)
            await subscriber.stop()
        mosquitto.thaw()
        await asyncio.to_thread(mosquitto.wait_for_log, "Client <unknown> ")
    assert subscriber.state.sessions == 0
