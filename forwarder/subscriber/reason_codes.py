"""A broker's reason codes: their meaning, and what to do about each (MQTT 5 §2.4; 3.1.1 has those of CONNACK)."""

from collections.abc import Mapping
from dataclasses import dataclass

TAKEN_OVER = 0x8E
"""Another connection used this client id."""

_AGAIN = "it is tried again"
_ALLOWED = "ask the broker's operator what this user may do"
_OPERATOR = "ask the broker's operator"
_REPORT = "it is tried again; please report it if it lasts"


@dataclass(frozen=True, slots=True)
class Reason:
    """The broker's reason in words, and what to do about it."""

    words: str
    advice: str


REASONS: Mapping[int, Reason] = {
    0x80: Reason("it gives no reason", _OPERATOR),
    0x81: Reason("a packet of ours was malformed", _REPORT),
    0x82: Reason("a packet of ours was against the protocol", _REPORT),
    0x83: Reason("a reason of its own", _OPERATOR),
    0x84: Reason("it does not speak this version of MQTT", "check FORWARDER_MQTT_PROTOCOL"),
    0x85: Reason("the client id is not allowed", "check FORWARDER_MQTT_CLIENT_ID"),
    0x86: Reason("username or password are wrong", "check FORWARDER_MQTT_USERNAME and FORWARDER_MQTT_PASSWORD"),
    0x87: Reason("not authorised", _ALLOWED),
    0x88: Reason("it is not available", _AGAIN),
    0x89: Reason("it is busy", _AGAIN),
    0x8A: Reason("this client is banned", _OPERATOR),
    0x8B: Reason("it is shutting down", _AGAIN),
    0x8C: Reason("the way of authentication is wrong", _OPERATOR),
    0x8D: Reason("it heard nothing from us for too long", "check the network, and FORWARDER_MQTT_KEEPALIVE"),
    0x8F: Reason("the topic filter is not allowed", "check FORWARDER_MQTT_TOPIC"),
    0x90: Reason("a topic name is not allowed", _REPORT),
    0x91: Reason("a packet id was in use", _REPORT),
    0x92: Reason("a packet id was not found", _REPORT),
    0x93: Reason("too many messages were unacknowledged", _REPORT),
    0x94: Reason("a topic alias was invalid", _REPORT),
    0x95: Reason("a packet was too large", _REPORT),
    0x96: Reason("the rate of messages is too high", "ask the broker's operator for more, or publish less often"),
    0x97: Reason("a quota is used up", "ask the broker's operator for more, or publish less often"),
    0x98: Reason("its operator did so", _OPERATOR),
    0x99: Reason("a payload was not of its format", _REPORT),
    0x9A: Reason("it takes no retained messages", _REPORT),
    0x9B: Reason("it does not support this QoS", "check FORWARDER_MQTT_QOS"),
    0x9C: Reason("another server is to be used for now", "ask the broker's operator for the new FORWARDER_MQTT_URI"),
    0x9D: Reason("the server has moved", "ask the broker's operator for the new FORWARDER_MQTT_URI"),
    0x9E: Reason("it has no shared subscriptions", "check FORWARDER_MQTT_TOPIC"),
    0x9F: Reason("connections come too often", _AGAIN),
    0xA0: Reason("this connection has lasted as long as it may", _AGAIN),
    0xA1: Reason("it has no subscription identifiers", _REPORT),
    0xA2: Reason("it has no wildcard subscriptions", "check FORWARDER_MQTT_TOPIC"),
}  # fmt: skip
"""Every failure of CONNACK, SUBACK and DISCONNECT but TAKEN_OVER, which is told with the client id."""


def reason_of(code: int, name: str) -> Reason:
    """The reason behind a code; for a code that MQTT does not have, its name and number."""
    return REASONS.get(code) or Reason(f"{name or 'reason'} {code:#04x}".strip(), _OPERATOR)
