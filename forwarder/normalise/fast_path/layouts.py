"""
Layouts turn the payloads that they know into events.

A layout is the text of a payload without its values. Devices send few layouts, so the event of a known one is written
from the payload's own digits, without numbers, objects or rules in between:

    {"P_In":1.036,"Date":"2025-11-18","Time":"14:34:00"}     the payload
    {"P_In" · ,"Date" · ,"Time" · }                          its layout, and three values
    ,"measurements":{"active_power_import_kw": · }}          what is written

One regular expression matches all payloads of a layout, so that a single match checks a payload and splits it. A
payload goes to the normaliser if it may differ from the others of its layout, and if anything in here breaks. A defect
of this module therefore costs time, not a reading.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache

from forwarder.event_data import SerialisedReading
from forwarder.logs import logger
from forwarder.normalise.builder import seconds_of_hours
from forwarder.normalise.device import device_in_text, device_in_topic
from forwarder.normalise.fast_path.learning import Layout, learn
from forwarder.normalise.normaliser import Normaliser
from forwarder.normalise.times import (
    REMEMBERED,
    instant_of_text,
    instant_of_timestamp,
    is_far_ahead,
    is_instant,
)
from forwarder.reading import Device, Message, TimeSource, rfc3339

MOST_LAYOUTS = 64
LONGEST = 4096
"""Most bytes of a payload that has a layout, so that layouts stay small. A full report has 2,000."""
MOST_TOPICS = 150_000
"""Most topics whose layout is remembered, a quarter of a kilobyte each. More would find none of theirs again."""
LONGEST_TOPIC = 128
"""Most characters of a topic that is remembered. No device has a longer one."""
LEARNED_AT_ONCE = 16
"""Layouts that are learned at their first payload. Later ones have to wait their turn."""
MESSAGES_PER_LAYOUT = 1000
"""
Messages without a layout that earn the learning of one more.

Learning takes 4 ms for a usual payload and at most about 45 ms, compiling included. The normaliser reads a thousand
such payloads in 160 ms, so nobody can make learning a burden.
"""

# A value that means "absent" belongs to the layout, because the event then has other members.
_VALUE = re.compile(r': ?(-?[0-9.eE+-]++|"(?!null"|\$\{)[^"\\\x00-\x1f]++")')

_LONGEST_DECIMAL = 16
"""Most characters of a decimal that a float gives back, whatever its digits."""

_instant_as_text = lru_cache(maxsize=REMEMBERED)(rfc3339)

_TARIFFS = {"0": "", **{digit: f',"tariff":{digit}' for digit in "1234"}}


class FastPath:
    """Reads payloads of known layouts, and learns the layouts of others."""

    def __init__(self, normaliser: Normaliser) -> None:
        template = normaliser.template
        self._is_possible = template is None or template.is_plain_json
        # One byte less than the limit, because a payload of the limit's length may be the beginning of a longer one.
        self._longest = min(LONGEST, normaliser.max_message_bytes - 1)
        self._normaliser = normaliser
        self._layouts: dict[tuple[str, ...], Layout] = {}
        self._by_topic: dict[str, tuple[Layout, Device | None]] = {}
        """The layout of each topic's last payload, and the device if the topic names it."""
        self._broken: set[tuple[str, ...]] = set()
        """Literals of payloads that broke something here. They never have a layout again."""
        self._last: Layout | None = None
        """The layout that was found last. Nearly every topic has it if one template serves a whole fleet."""
        self._log = logger("normalise")
        # A payload without a layout adds one, and a layout that is learned costs MESSAGES_PER_LAYOUT.
        self._credit = LEARNED_AT_ONCE * MESSAGES_PER_LAYOUT
        self._arrival: datetime | None = None
        self._arrival_text = ""

    def read(self, message: Message) -> SerialisedReading | None:
        """The normaliser's reading, serialised; None when only the normaliser can tell. Never raises."""
        payload = message.payload
        if len(payload) > self._longest or not self._is_possible:
            return None
        try:
            text = payload.decode()
        except UnicodeDecodeError:
            return None
        try:
            known = self._by_topic.get(message.topic)
            layout, device = known or (self._last, None)
            values = _values(layout, text) if layout else None
            if values is None:
                known, layout = None, self._find(text)
                values = _values(layout, text) if layout else None
            if layout is None or values is None:
                return None
            if known is None:
                device = self._remember(message.topic, layout)
            if device is None:
                device = self._device(layout, values, message.topic)
            return self._serialised(layout, values, message, device)
        except Exception as error:  # noqa: BLE001 - the one door: a defect in here must cost time, not a reading
            self._give_up(text, error)
            return None

    def _find(self, text: str) -> Layout | None:
        """The layout of a payload, if it is known. An unknown one may be learned for the next payload."""
        pieces = _VALUE.split(text)
        layout = self._layouts.get(_literals(pieces))
        if layout is None:
            self._learn(pieces)
        return layout

    def _give_up(self, text: str, error: Exception) -> None:
        """Leave all payloads of this layout to the normaliser from now on, and log it once."""
        literals = _literals(_VALUE.split(text))
        self._broken.add(literals)
        self._layouts.pop(literals, None)
        self._by_topic.clear()
        self._last = None
        self._log.error("form.broke", broken=len(self._broken), exc_info=error)

    def _remember(self, topic: str, layout: Layout) -> Device | None:
        """Keep the layout for the topic's next payload. Returns the device if the topic names it."""
        self._last = layout
        device = self._device(layout, (), topic) if layout.device is None else None
        if len(topic) <= LONGEST_TOPIC:
            if len(self._by_topic) == MOST_TOPICS:
                self._by_topic.clear()
            self._by_topic[topic] = layout, device
        return device

    def _device(self, layout: Layout, values: Sequence[str], topic: str) -> Device | None:
        """The device of the payload; None if payload and topic may differ about it."""
        named = device_in_topic(topic)
        if layout.device is None:
            return named.device if named else None
        device = device_in_text(values[layout.device].strip())
        if named is not None and named.is_mac:
            return device if named.device == device else None
        return device if self._normaliser.trusts_payload_device else None

    def _learn(self, pieces: Sequence[str]) -> None:
        self._credit += 1
        if self._credit < MESSAGES_PER_LAYOUT:
            return
        self._credit -= MESSAGES_PER_LAYOUT
        literals = _literals(pieces)
        # MOST_LAYOUTS broken ones are no accident, so nothing more is learned.
        if literals in self._broken or len(self._broken) == MOST_LAYOUTS:
            return
        layout = learn(literals, pieces[1::2], read=self._normaliser.read)
        if layout is None:
            return
        if len(self._layouts) == MOST_LAYOUTS:
            del self._layouts[next(iter(self._layouts))]
            self._by_topic.clear()
            self._last = None
        self._layouts[literals] = layout

    def _serialised(
        self, layout: Layout, values: list[str], message: Message, device: Device | None
    ) -> SerialisedReading | None:
        time = self._time(layout, values, message)
        if device is None or time is None:
            return None
        if layout.tariff is not None:
            values[layout.tariff] = _TARIFFS[values[layout.tariff]]
        for place in layout.hours:
            seconds = seconds_of_hours(values[place])
            if seconds is None:
                return None
            values[place] = str(seconds)
        body = layout.body.copy()
        body[1::2] = layout.in_order(values)
        received_at = self._arrival_as_text(message.received_at)
        measured_at, source = time
        return SerialisedReading(
            device, measured_at or received_at, source, received_at, "".join(body)
        )

    def _arrival_as_text(self, received_at: datetime) -> str:
        """The text of an instant. The last one is remembered, because messages of one read share their instant."""
        if received_at is not self._arrival:
            self._arrival, self._arrival_text = received_at, rfc3339(received_at)
        return self._arrival_text

    def _time(
        self, layout: Layout, values: Sequence[str], message: Message
    ) -> tuple[str, TimeSource] | None:
        """The instant as events write it, empty if it is the arrival's; None when the normaliser must look."""
        found = _by_timestamp(layout, values)
        if found is None and layout.timestamp is not None:
            return None
        zone, received_at = self._normaliser.timezone, message.received_at
        for pick, kind in layout.times if found is None else ():
            parts = pick(values)
            found = instant_of_text("T".join(parts), kind, zone=zone, received_at=received_at)
            if found is not None:
                break
            # The normaliser logs a device whose clock is not set.
            if len(parts) > 1 or is_instant(parts[0]):
                return None
        if found is None:
            return "", "received"
        instant, source = found
        return (
            None
            if is_far_ahead(instant, received_at=received_at)
            else (_instant_as_text(instant), source)
        )


def _literals(pieces: Sequence[str]) -> tuple[str, ...]:
    """The payload's text between its values, which identifies its layout."""
    return tuple(pieces[::2])


def _values(layout: Layout, text: str) -> list[str] | None:
    """The values as the event writes them; None when the payload is not surely of this layout."""
    found = layout.usual.fullmatch(text)
    if found is not None:
        return list(found.groups())
    found = re.fullmatch(layout.ordinary, text)
    if found is None:
        return None
    values = list(found.groups())
    for place in layout.numbers:
        value = values[place]
        if "." in value:
            if len(value) > _LONGEST_DECIMAL:
                return None
            if value[-1] == "0" or "0.0000" in value:
                values[place] = repr(float(value))
    return values


def _by_timestamp(layout: Layout, values: Sequence[str]) -> tuple[datetime, TimeSource] | None:
    if layout.timestamp is None:
        return None
    instant = instant_of_timestamp(int(values[layout.timestamp]))
    return (instant, "timestamp") if instant else None
