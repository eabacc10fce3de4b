"""
The diagnosis of what stands between us and the broker: one sentence that says what to do about it; pure.

A sentence names settings and hosts, never the password.
"""

import socket
import ssl
from collections.abc import Sequence
from typing import assert_never

from forwarder.settings import Broker
from forwarder.subscriber.packets import Unfit
from forwarder.subscriber.problem import Kind, Problem, SessionFailed
from forwarder.subscriber.reason_codes import TAKEN_OVER, reason_of

_AGAIN = "it is tried again"
_UNAVAILABLE = frozenset({0x88, 0x89, 0x8B, 0x97, 0x9C, 0x9D, 0x9F})
_FAILURE = 0x80
"""SUBACK codes from here on are refusals (MQTT 3.1.1 §3.9.3, MQTT 5 §3.9.3)."""

_EXPIRED, _NOT_YET_VALID = 10, 9
_NAME_MISMATCHES = frozenset({62, 64})
_UNKNOWN_ISSUERS = frozenset({2, 18, 19, 20, 21})
_FLAWS = {
    23: "has been revoked",
    24: "was issued by a certificate that is no CA's",
    25: "was issued by a CA that may not issue it (path length)",
    26: "is not meant for a server (its extended key usage)",
    32: "was issued by a CA that may not issue any (key usage)",
    66: "has a key that is too short",
    67: "was issued with a key that is too short",
    68: "is signed with a digest that is too weak, such as SHA-1",
    79: "was issued by a certificate that is no CA's",
}
"""Flaws of a certificate that no file of ours can mend, by OpenSSL's verify code (x509_vfy.h)."""
_CLIENT_CERTIFICATE_ALERTS = (
    "CERTIFICATE_REQUIRED",
    "ALERT_UNKNOWN_CA",
    "ALERT_BAD_CERTIFICATE",
    "ALERT_CERTIFICATE",
    "ALERT_UNSUPPORTED_CERTIFICATE",
    "ALERT_HANDSHAKE_FAILURE",
)
_NOT_TLS = ("WRONG_VERSION_NUMBER", "UNEXPECTED_EOF", "HTTP_REQUEST", "RECORD_LAYER_FAILURE")


def unsure(broker: Broker) -> Problem:
    return Problem(
        "unsure",
        f"{broker.address} is not asked for the session, because another replica may have taken it over: "
        "see what keeps this one from its database",
    )


def explain_dial(error: Exception, broker: Broker) -> Problem:
    """Why host, TCP or TLS did not let us through."""
    match error:
        case SessionFailed():
            return error.problem
        case ssl.SSLCertVerificationError():
            return _certificate(error, broker)
        case ssl.SSLError():
            return explain_tls(str(error), broker)
        case socket.gaierror() | UnicodeError():
            return Problem(
                "unknown_host",
                f"the host name {broker.host} cannot be resolved: check FORWARDER_MQTT_URI and this machine's DNS",
            )
        case TimeoutError():
            return no_answer(broker)
        case ConnectionRefusedError():
            return Problem(
                "unreachable",
                f"nothing listens on {broker.address}: check the port in FORWARDER_MQTT_URI, and that the broker runs",
            )
        case ConnectionResetError() | BrokenPipeError():
            return closed_unanswered(broker)
        case OSError():
            return Problem(
                "unreachable",
                f"{broker.address} cannot be reached ({error.strerror or error}): "
                "check FORWARDER_MQTT_URI, the network and the firewall",
            )
    return internal(error)


def no_answer(broker: Broker) -> Problem:
    return Problem(
        "timeout",
        f"{broker.address} does not answer: check host and port in FORWARDER_MQTT_URI, the network and the firewall",
    )


def mute(broker: Broker) -> Problem:
    """The broker took the connection and sent nothing."""
    other = "3.1.1" if broker.protocol == "5" else "5"
    return Problem(
        "timeout",
        f"{broker.address} takes the connection and then stays silent: check that this port speaks MQTT"
        f"{'' if broker.use_tls else ' without TLS'}, and whether FORWARDER_MQTT_PROTOCOL should be {other}",
    )


def closed_unanswered(broker: Broker) -> Problem:
    """The broker took the TCP connection and closed it without a CONNACK."""
    advice = (
        "check that this port speaks MQTT over TLS, and whether it wants a client certificate "
        "(FORWARDER_MQTT_CERT_FILE and FORWARDER_MQTT_KEY_FILE)"
        if broker.use_tls
        else "if this port speaks TLS, write mqtts:// in FORWARDER_MQTT_URI"
    )
    return Problem(
        "protocol", f"{broker.address} closes the connection without an MQTT answer: {advice}"
    )


def explain_tls(detail: str, broker: Broker) -> Problem:
    """Why a TLS connection was refused, from OpenSSL's own words."""
    words = detail.upper().replace(" ", "_")
    if any(alert in words for alert in _CLIENT_CERTIFICATE_ALERTS):
        return Problem(
            "client_certificate",
            f"{broker.address} wants a client certificate that it accepts: "
            "set FORWARDER_MQTT_CERT_FILE and FORWARDER_MQTT_KEY_FILE to the ones that were issued for it",
        )
    if any(sign in words for sign in _NOT_TLS):
        return Problem(
            "tls",
            f"{broker.address} does not speak TLS: check the port in FORWARDER_MQTT_URI, "
            "or write mqtt:// if the broker is meant to be used without encryption",
        )
    return Problem("tls", f"TLS with {broker.address} fails ({detail}): check FORWARDER_MQTT_URI")


def _certificate(error: ssl.SSLCertVerificationError, broker: Broker) -> Problem:
    code = error.verify_code
    whose = f"the certificate of {broker.address}"
    if code == _EXPIRED:
        sentence = f"{whose} has expired: the broker's operator must renew it (or check this machine's clock)"
    elif code == _NOT_YET_VALID:
        sentence = f"{whose} is not valid yet: check this machine's clock"
    elif code in _NAME_MISMATCHES:
        sentence = (
            f"{whose} is for another name: check the host in FORWARDER_MQTT_URI, or, when FORWARDER_MQTT_CA_FILE "
            "is that very certificate, set FORWARDER_MQTT_TLS_HOSTNAME_CHECK=false"
        )
    elif code in _UNKNOWN_ISSUERS:
        sentence = f"{whose} is not trusted: {_trust_advice(broker)}"
    else:
        flaw = _FLAWS.get(code, f"is refused ({error.verify_message})")
        sentence = f"{whose} {flaw}: ask the broker's operator for another"
    return Problem("certificate", sentence)


def _trust_advice(broker: Broker) -> str:
    if broker.ca_file is None:
        return "set FORWARDER_MQTT_CA_FILE to the MQTT server's public certificate, or that of the CA that issued it"
    return (
        f"{broker.ca_file} (FORWARDER_MQTT_CA_FILE) is neither that certificate nor one that issued it; "
        "put the MQTT server's current public certificate there"
    )


def explain_refusal(code: int, name: str, broker: Broker) -> Problem:
    """Why the broker refused CONNECT; `code` and `name` are those of MQTT 5 §3.2.2.2, also for 3.1.1."""
    match code:
        case 0x84:
            return _wrong_protocol(broker)
        case 0x85:
            return Problem(
                "client_id",
                f"{broker.address} refuses the client id {broker.told_client_id}: it must be the username; "
                "check FORWARDER_MQTT_CLIENT_ID",
            )
        case 0x86 | 0x87 | 0x8C:
            return _credentials(broker)
    reason = reason_of(code, name)
    kind: Kind = "unavailable" if code in _UNAVAILABLE else "credentials"
    about = "" if code in _UNAVAILABLE else f" (client id {broker.told_client_id})"
    return Problem(
        kind, f"{broker.address} refuses the session: {reason.words}; {reason.advice}{about}"
    )


def _wrong_protocol(broker: Broker) -> Problem:
    other = "3.1.1" if broker.protocol == "5" else "5"
    return Problem(
        "protocol",
        f"{broker.address} does not speak MQTT {broker.protocol}: set FORWARDER_MQTT_PROTOCOL={other}",
    )


def not_mqtt(broker: Broker) -> Problem:
    """The broker answered, but not with a CONNACK of our protocol."""
    return Problem(
        "protocol",
        f"{broker.address} does not answer as an MQTT {broker.protocol} broker: "
        "check the port in FORWARDER_MQTT_URI, and FORWARDER_MQTT_PROTOCOL",
    )


def _credentials(broker: Broker) -> Problem:
    if broker.username is None:
        return Problem(
            "credentials",
            f"{broker.address} wants a username and password: "
            "set FORWARDER_MQTT_USERNAME and FORWARDER_MQTT_PASSWORD",
        )
    return Problem(
        "credentials",
        f"{broker.address} refuses the login of {broker.told_username} (client id {broker.told_client_id}): "
        "check FORWARDER_MQTT_USERNAME, FORWARDER_MQTT_PASSWORD and FORWARDER_MQTT_CLIENT_ID",
    )


def refused_topics(topics: Sequence[str], codes: Sequence[int]) -> tuple[str, ...]:
    """The topics that SUBACK refused. A topic without an answer counts as refused."""
    answers = [*codes, *[_FAILURE] * (len(topics) - len(codes))]
    return tuple(topic for topic, code in zip(topics, answers, strict=False) if code >= _FAILURE)


def explain_subscription(
    refused: Sequence[str], broker: Broker, *, codes: Sequence[int] = ()
) -> Problem:
    """Why SUBACK refused these topics; `codes` are all codes of that SUBACK."""
    topics = " and ".join(refused)
    told = dict.fromkeys(reason_of(code, "").words for code in codes if code > _FAILURE)
    why = f" ({', '.join(told)})" if told else ""
    return Problem(
        "subscription",
        f"{broker.address} does not let {broker.told_username} subscribe to {topics}{why}: "
        "check FORWARDER_MQTT_TOPIC, usually ext/<integration>/#, and what the broker allows this user",
    )


def explain_lowered_qos(granted: int, broker: Broker) -> Problem:
    return Problem(
        "qos",
        f"{broker.address} grants QoS {granted} where {broker.qos} was asked: messages can be lost on the way; "
        "ask the broker's operator to allow QoS 1",
    )


def explain_no_session(broker: Broker) -> Problem:
    return Problem(
        "qos",
        f"{broker.address} keeps no session for us (it grants an expiry of 0 s): what is published while we are away is"
        " lost; ask the broker's operator to allow persistent sessions",
    )


def explain_clash(broker: Broker) -> Problem:
    return Problem(
        "clash",
        f"{broker.address} ends each session within seconds: another program seems to use the client id "
        f"{broker.told_client_id}; stop it, or give one of them a client id of its own "
        "(FORWARDER_MQTT_CLIENT_ID, the username with :<8 letters and digits> after it)",
    )


def explain_early_ends(broker: Broker, *, is_subscribed: bool) -> Problem:
    """Why several sessions in a row ended right after they began."""
    if is_subscribed:
        return explain_clash(broker)
    return Problem(
        "subscription",
        f"{broker.address} ends each session when it is asked for {' '.join(broker.topics)}: "
        f"check FORWARDER_MQTT_TOPIC, and that no other program uses the client id {broker.told_client_id}",
    )


def lost(broker: Broker) -> Problem:
    return Problem("ended", f"the connection to {broker.address} was lost: it is tried again")


def explain_end(code: int, name: str, broker: Broker) -> Problem:
    """Why the broker ended the session, by its own words; `code` and `name` are those of MQTT 5 §3.14.2.1."""
    if code == TAKEN_OVER:
        return Problem(
            "clash",
            f"{broker.address} gave the session to another program with the client id {broker.told_client_id}: "
            "stop it, or give one of them a client id of its own "
            "(FORWARDER_MQTT_CLIENT_ID, the username with :<8 letters and digits> after it)",
        )
    if code < _FAILURE:
        return Problem("ended", f"{broker.address} ended the session: {_AGAIN}")
    reason = reason_of(code, name)
    return Problem("told", f"{broker.address} ended the session: {reason.words}; {reason.advice}")


def explain_unfit(unfit: Unfit, broker: Broker) -> Problem:
    """Why a packet made us end the connection. Each sentence says a way out, because the packet may come again."""
    match unfit:
        case "not_connack":
            return not_mqtt(broker)
        case "qos_2":
            what = (
                "sends a message at QoS 2, which was never asked for: another program seems to have subscribed under "
                f"the client id {broker.told_client_id}; have the broker drop that session, or choose another "
                "FORWARDER_MQTT_CLIENT_ID"
            )
        case "too_large":
            what = (
                "sends a packet that is far too large for its kind: check the port in FORWARDER_MQTT_URI, "
                "and ask the broker's operator"
            )
        case "malformed":
            what = (
                f"sends a packet that MQTT {broker.protocol} does not allow: ask the broker's operator, "
                "and check FORWARDER_MQTT_PROTOCOL"
            )
        case _:
            assert_never(unfit)
    return Problem("packet", f"{broker.address} {what}")


def silent(broker: Broker) -> Problem:
    return Problem(
        "timeout",
        f"{broker.address} has gone silent, not even answering a ping: the connection is made anew",
    )


def internal(error: Exception) -> Problem:
    return Problem(
        "internal",
        f"an unexpected {type(error).__name__} ended the MQTT session: it is tried again; please report the log",
        cause=error,
    )
