"""
The device of a message.

The topic names the device, because a broker's access rules say who may publish on it. A MAC in the payload must agree
with a MAC in the topic. Under any other topic the payload's MAC counts only if the operator trusts the publishers
(FORWARDER_TRUST_PAYLOAD_DEVICE).
"""

from functools import lru_cache
from typing import NamedTuple

from forwarder.reading import DOT_SEGMENTS, Device, parse_mac

MAX_DEVICE_CHARACTERS = 128
"""The longest name of a device. Devices publish to at most 127 characters of topic; longer names only fill the disk."""

_NAMELESS = Device("unknown")


class Named(NamedTuple):
    """The device that a topic's last level names."""

    device: Device
    is_mac: bool


def device_in_topic(topic: str) -> Named | None:
    """The device that a topic's last level names; None if the level is empty, `.`, `..`, too long or not printable."""
    level = topic.rpartition("/")[2]
    return _named(level) if len(level) <= MAX_DEVICE_CHARACTERS else None


@lru_cache(maxsize=32_768)
def _named(level: str) -> Named | None:
    mac = parse_mac(level)
    if mac is not None:
        return Named(mac, is_mac=True)
    is_name = level and level.isprintable() and level not in DOT_SEGMENTS
    return Named(Device(level), is_mac=False) if is_name else None


def device_in_text(text: str) -> Device | None:
    """The device that a payload names by its MAC; None for any other text."""
    named = _named(text) if len(text) <= MAX_DEVICE_CHARACTERS else None
    return named.device if named and named.is_mac else None


def quarantine_device(topic: str, device: Device | None) -> Device:
    """The device in whose quarantine a message counts: the topic's, else the payload's."""
    named = device_in_topic(topic)
    if device is not None and (named is None or not named.is_mac):
        return device
    return named.device if named else _NAMELESS
