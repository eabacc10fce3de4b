import errno
import re
import socket
import ssl
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from forwarder.settings import Broker
from forwarder.subscriber import diagnosis
from forwarder.subscriber.packets import Unfit
from forwarder.subscriber.problem import Kind, Problem
from forwarder.subscriber.reason_codes import REASONS, TAKEN_OVER

USERNAME = "whatwatt.integration.client.demoapp"
BROKER = Broker(
    host="mqtt.example",
    port=8883,
    use_tls=True,
    client_id=USERNAME,
    topics=("ext/demoapp/#",),
    username=USERNAME,
    password="hunter2",
)


def certificate_error(code: int, message: str = "refused") -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, message)
    error.verify_code, error.verify_message = code, message
    return error


@pytest.mark.parametrize(
    ("error", "kind", "advice"),
    [
        pytest.param(
            socket.gaierror(-2, "Name or service not known"),
            "unknown_host",
            "check FORWARDER_MQTT_URI and this machine's DNS",
            id="no such name",
        ),
        pytest.param(
            UnicodeError("label too long"), "unknown_host", "cannot be resolved", id="not a name"
        ),
        pytest.param(
            ConnectionRefusedError(), "unreachable", "that the broker runs", id="nothing listens"
        ),
        pytest.param(
            OSError(errno.EHOSTUNREACH, "No route to host"),
            "unreachable",
            "cannot be reached (No route to host)",
            id="no route",
        ),
        pytest.param(
            OSError("strange"), "unreachable", "cannot be reached (strange)", id="no errno"
        ),
        pytest.param(TimeoutError(), "timeout", "does not answer", id="packets are swallowed"),
        pytest.param(
            ConnectionResetError(), "protocol", "speaks MQTT over TLS", id="closed in the handshake"
        ),
        pytest.param(certificate_error(10), "certificate", "has expired", id="expired certificate"),
        pytest.param(
            certificate_error(9), "certificate", "check this machine's clock", id="future one"
        ),
        pytest.param(
            certificate_error(62),
            "certificate",
            "FORWARDER_MQTT_TLS_HOSTNAME_CHECK=false",
            id="another name",
        ),
        pytest.param(certificate_error(64), "certificate", "another name", id="another address"),
        pytest.param(
            certificate_error(20),
            "certificate",
            "set FORWARDER_MQTT_CA_FILE to the MQTT server's public certificate",
            id="unknown issuer",
        ),
        pytest.param(
            certificate_error(34, "unhandled critical extension"),
            "certificate",
            "is refused (unhandled critical extension): ask the broker's operator",
            id="any other flaw",
        ),
        pytest.param(
            ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)"),
            "tls",
            "or write mqtt://",
            id="plain port",
        ),
        pytest.param(
            ssl.SSLError(1, "[SSL: TLSV1_ALERT_INTERNAL_ERROR] internal error"),
            "tls",
            "TLSV1_ALERT_INTERNAL_ERROR",
            id="any other alert",
        ),
        pytest.param(
            ssl.SSLError(1, "[SSL: SSLV3_ALERT_HANDSHAKE_FAILURE] handshake failure"),
            "client_certificate",
            "set FORWARDER_MQTT_CERT_FILE and FORWARDER_MQTT_KEY_FILE",
            id="certificate wanted",
        ),
        pytest.param(ZeroDivisionError(), "internal", "ZeroDivisionError", id="an error of ours"),
    ],
)
def test_error_while_dialling_is_explained(error: Exception, kind: Kind, advice: str) -> None:
    """Each way in which host, TCP or TLS can fail has a sentence that says what to do."""
    problem = diagnosis.explain_dial(error, BROKER)
    assert problem.kind == kind
    assert advice in problem.sentence


def test_given_certificate_that_does_not_fit_is_named() -> None:
    """With a certificate of one's own the advice is about that file."""
    pinned = replace(BROKER, ca_file=Path("/etc/broker.pem"))
    assert "/etc/broker.pem" in diagnosis.explain_dial(certificate_error(18), pinned).sentence


@pytest.mark.parametrize(
    ("code", "kind", "advice"),
    [
        pytest.param(0x84, "protocol", "set FORWARDER_MQTT_PROTOCOL=5", id="other protocol"),
        pytest.param(0x85, "client_id", "check FORWARDER_MQTT_CLIENT_ID", id="client id"),
        pytest.param(0x86, "credentials", "check FORWARDER_MQTT_USERNAME", id="wrong password"),
        pytest.param(0x87, "credentials", "FORWARDER_MQTT_PASSWORD", id="not authorised"),
        pytest.param(0x88, "unavailable", "it is tried again", id="not available"),
        pytest.param(0x97, "unavailable", "a quota is used up", id="quota"),
        pytest.param(0xC1, "credentials", "its name 0xc1", id="no code of MQTT"),
        pytest.param(0x9D, "unavailable", "the new FORWARDER_MQTT_URI", id="moved"),
        pytest.param(0x8A, "credentials", "ask the broker's operator", id="banned"),
    ],
)
def test_refused_connect_is_explained(code: int, kind: Kind, advice: str) -> None:
    """Each reason code of CONNACK leads to the setting it is about."""
    problem = diagnosis.explain_refusal(code, "its name", BROKER)
    assert problem.kind == kind
    assert advice in problem.sentence


def test_refused_anonymous_login_asks_for_a_username() -> None:
    """Without a username the advice is to set one, not to check it."""
    anonymous = replace(BROKER, username=None, password=None)
    assert "set FORWARDER_MQTT_USERNAME" in diagnosis.explain_refusal(0x87, "", anonymous).sentence


@pytest.mark.parametrize("code", [23, 24, 25, 26, 32, 66, 67, 68, 79])
def test_flaw_of_a_certificate_is_not_blamed_on_the_given_file(code: int) -> None:
    """Another file would not help; whoever issues the broker's certificate has to."""
    pinned = replace(BROKER, ca_file=Path("/etc/broker.pem"))
    sentence = diagnosis.explain_dial(certificate_error(code, "words"), pinned).sentence
    assert sentence.endswith("ask the broker's operator for another")
    assert "(words)" not in sentence
    assert "/etc/broker.pem" not in sentence


@pytest.mark.parametrize("code", [*range(0x80, 0xA3)])
def test_end_by_the_broker_has_its_reason(code: int) -> None:
    """The broker's own reason is told in words; a clash of client ids is told only where the broker says so."""
    problem = diagnosis.explain_end(code, "", BROKER)
    assert problem.kind == ("clash" if code == 0x8E else "told")
    assert re.search(r"ask|check|tried again|stop it", problem.sentence)


def test_every_reason_code_of_mqtt_is_known() -> None:
    """Of those that paho can name for the packets that a broker ends something with."""
    answers = {PacketTypes.CONNACK, PacketTypes.SUBACK, PacketTypes.DISCONNECT}
    names = ReasonCode(PacketTypes.DISCONNECT).names
    codes = {
        code
        for code, of_packets in names.items()
        for packets in of_packets.values()
        if code >= 0x80 and answers & set(packets)
    }
    assert codes - {TAKEN_OVER} <= REASONS.keys()


def test_refused_topic_has_its_reason() -> None:
    """As far as the broker gives one: MQTT 3.1.1 has none."""
    codes = (1, 0x8F)
    told = diagnosis.explain_subscription(["b/#"], BROKER, codes=codes).sentence
    untold = diagnosis.explain_subscription(["b/#"], BROKER, codes=(0x80,)).sentence
    assert "b/# (the topic filter is not allowed)" in told
    assert "b/#: check" in untold


@pytest.mark.parametrize(
    ("codes", "refused"),
    [
        pytest.param((1, 1), (), id="all granted"),
        pytest.param((0, 1), (), id="granted lower is no refusal"),
        pytest.param((1, 0x80), ("b/#",), id="MQTT 3.1.1 failure"),
        pytest.param((0x87, 0x8F), ("a/#", "b/#"), id="MQTT 5 reasons"),
        pytest.param((1,), ("b/#",), id="an answer is missing"),
        pytest.param((), ("a/#", "b/#"), id="no answer at all"),
    ],
)
def test_refused_topics_are_told_from_granted_ones(
    codes: tuple[int, ...], refused: tuple[str, ...]
) -> None:
    """A topic counts as granted only when the broker says so."""
    assert diagnosis.refused_topics(("a/#", "b/#"), codes) == refused


def test_early_ends_after_the_subscription_suggest_a_clash() -> None:
    """Sessions that end right after they were subscribed are most likely thrown out by another client."""
    assert diagnosis.explain_early_ends(BROKER, is_subscribed=True).kind == "clash"
    before = diagnosis.explain_early_ends(BROKER, is_subscribed=False)
    assert before.kind == "subscription"
    assert "check FORWARDER_MQTT_TOPIC" in before.sentence


@given(code=st.integers(0, 255), name=st.sampled_from(["", "Not authorized"]))
def test_every_code_has_one_sentence_without_the_password(code: int, name: str) -> None:
    """Whatever code a broker sends, there is one line for it, and no secret in it."""
    for problem in (
        diagnosis.explain_refusal(code, name, BROKER),
        diagnosis.explain_end(code, name, BROKER),
    ):
        assert problem.kind in get_args(Kind)
        assert "\n" not in problem.sentence
        assert "hunter2" not in problem.sentence


def test_problems_are_the_same_when_their_sentences_are() -> None:
    """An error of ours that comes again is the same problem, although it is another object."""
    assert diagnosis.internal(KeyError()) == diagnosis.internal(KeyError())
    assert "cause" not in repr(Problem("internal", "x", cause=KeyError("payload")))


@pytest.mark.parametrize(
    ("unfit", "kind", "advice"),
    [
        ("not_connack", "protocol", "does not answer as an MQTT"),
        ("qos_2", "packet", "have the broker drop that session, or choose another"),
        ("too_large", "packet", "check the port in FORWARDER_MQTT_URI"),
        ("malformed", "packet", "check FORWARDER_MQTT_PROTOCOL"),
    ],
)
def test_unfit_packet_is_explained(unfit: Unfit, kind: Kind, advice: str) -> None:
    """It may come again with each session: the sentence says what ends that."""
    problem = diagnosis.explain_unfit(unfit, BROKER)
    assert problem.kind == kind
    assert advice in problem.sentence


@pytest.mark.parametrize("code", range(0x80, 0xA3))
def test_username_from_a_file_is_told_by_its_setting(code: int) -> None:
    """Somebody may have named the file of the password: no answer of the broker has it said."""
    hidden = replace(BROKER, is_username_hidden=True)
    problems = [
        diagnosis.explain_refusal(code, "refused", hidden),
        diagnosis.explain_end(code, "ended", hidden),
        diagnosis.explain_clash(hidden),
        diagnosis.explain_subscription(["ext/#"], hidden),
        diagnosis.explain_early_ends(hidden, is_subscribed=False),
        *(diagnosis.explain_unfit(unfit, hidden) for unfit in get_args(Unfit)),
    ]
    assert not [one.sentence for one in problems if USERNAME in one.sentence]
    assert "FORWARDER_MQTT_USERNAME_FILE" in diagnosis.explain_clash(hidden).sentence
