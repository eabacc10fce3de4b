"""
Payloads that differ in their values alone: what they have in common is worked out once.

A form is the text of a payload without its values. Devices send few of them, so the event of a known form is written
from the payload's own digits, without numbers, objects or rules in between:

    {"P_In":1.036,"Date":"2025-11-18","Time":"14:34:00"}     the payload
    {"P_In" · ,"Date" · ,"Time" · }                          its form, and three values
    ,"measurements":{"active_power_import_kw": · }}          what is written

A form is one regular expression for all of its payloads, so that a single match splits and checks them. Forms are
learned from what the normaliser makes of them (`form_lesson`). Whatever is not surely the same in every payload of
the form goes through the normaliser itself: it is the specification, this is only faster. So whatever goes wrong here
means that there is no form, and no reading is lost for it.
"""

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache

from forwarder.event_data import SerialisedReading
from forwarder.logs import logger
from forwarder.normalise.device import device_in_text, device_in_topic
from forwarder.normalise.draft import seconds_of_hours
from forwarder.normalise.form_lesson import Form, learn
from forwarder.normalise.normaliser import Normaliser
from forwarder.normalise.times import (
    REMEMBERED,
    instant_of_text,
    instant_of_timestamp,
    is_far_ahead,
)
from forwarder.reading import Device, Message, Reading, TimeSource, rfc3339

MOST_FORMS = 64
LONGEST = 4096
"""Bytes of a payload that has a form, so that the forms stay small; a full report has 2,000."""
MOST_TOPICS = 150_000
"""A quarter of a kilobyte each. More devices than that would find none of theirs again."""
LONGEST_TOPIC = 128
"""Characters; no device has a longer one."""
FIRST_LESSONS = 16
LESSON_COST = 1000
"""
Messages without a form for each further lesson.

One takes 4 ms for a usual payload and at most about 45 ms, with what is compiled later, while to read a thousand
payloads such as that takes 160 ms: nobody can make it a burden.
"""

# What means "absent" is no value here but part of the form: other members are written without it.
_VALUE = re.compile(r': ?(-?[0-9.eE+-]++|"(?!null"|\$\{)[^"\\\x00-\x1f]++")')

_LONGEST_DECIMAL = 16
"""Characters of a decimal that is read as a float, whatever its digits."""

_written_instant = lru_cache(maxsize=REMEMBERED)(rfc3339)

_TARIFFS = {"0": "", **{digit: f',"tariff":{digit}' for digit in "1234"}}


class Forms:
    """The forms that were met, and how a payload of each is written."""

    def __init__(
        self, normaliser: Normaliser, *, serialise: Callable[[Reading], SerialisedReading]
    ) -> None:
        template = normaliser.template
        self._is_possible = template is None or template.is_plain_json
        # One byte less than may be kept: what is as long as that may be the beginning of a longer one.
        self._longest = min(LONGEST, normaliser.max_message_bytes - 1)
        self._normaliser = normaliser
        self._serialise = serialise
        self._forms: dict[tuple[str, ...], Form] = {}
        self._latest: dict[str, tuple[Form, Device | None]] = {}
        """By topic: a device mostly sends what is of the same form as the last. Whose it is, where the topic tells."""
        self._broken: set[tuple[str, ...]] = set()
        """Literals of payloads on which something here broke: they have no form, ever."""
        self._recent: Form | None = None
        """The last that was found: that of nearly every other topic too, where one template serves a whole fleet."""
        self._log = logger("normalise")
        self._credit = FIRST_LESSONS * LESSON_COST
        self._arrival: datetime | None = None
        self._arrival_text = ""

    @property
    def known(self) -> int:
        """How many forms are remembered."""
        return len(self._forms)

    def read(self, message: Message) -> SerialisedReading | None:
        """What the normaliser's reading would be written as; None when only the normaliser can tell. Never raises."""
        payload = message.payload
        if len(payload) > self._longest or not self._is_possible:
            return None
        try:
            text = payload.decode()
        except UnicodeDecodeError:
            return None
        try:
            known = self._latest.get(message.topic)
            form, device = known or (self._recent, None)
            values = _values(form, text) if form else None
            if values is None:
                known, form = None, self._find(text)
                values = _values(form, text) if form else None
            if form is None or values is None:
                return None
            if known is None:
                device = self._remember(message.topic, form)
            if device is None:
                device = self._device(form, values, message.topic)
            return self._written(form, values, message, device)
        except Exception as error:  # noqa: BLE001 - the one door: a defect in here must cost time, not a reading
            self._give_up(text, error)
            return None

    def _find(self, text: str) -> Form | None:
        """The form of a payload that is not of the same as the one before it."""
        pieces = _VALUE.split(text)
        form = self._forms.get(_literals(pieces))
        if form is None:
            self._consider(pieces)
        return form

    def _give_up(self, text: str, error: Exception) -> None:
        """Have the normaliser read all payloads of this form from now on, and say so once."""
        literals = _literals(_VALUE.split(text))
        self._broken.add(literals)
        self._forms.pop(literals, None)
        self._latest.clear()
        self._recent = None
        self._log.error("form.broke", broken=len(self._broken), exc_info=error)

    def _remember(self, topic: str, form: Form) -> Device | None:
        """The topic's form, and whose it is where the topic tells."""
        self._recent = form
        device = self._device(form, (), topic) if form.device is None else None
        if len(topic) <= LONGEST_TOPIC:
            if len(self._latest) == MOST_TOPICS:
                self._latest.clear()
            self._latest[topic] = form, device
        return device

    def _device(self, form: Form, values: Sequence[str], topic: str) -> Device | None:
        """Whose it is; None where the payload and the topic may differ about that."""
        named = device_in_topic(topic)
        if form.device is None:
            return named.device if named else None
        device = device_in_text(values[form.device].strip())
        if named is not None and named.is_mac:
            return device if named.device == device else None
        return device if self._normaliser.trusts_payload_device else None

    def _consider(self, pieces: Sequence[str]) -> None:
        self._credit += 1
        if self._credit < LESSON_COST:
            return
        self._credit -= LESSON_COST
        literals = _literals(pieces)
        # So many that broke are no accident: nothing more is learned.
        if literals in self._broken or len(self._broken) == MOST_FORMS:
            return
        form = learn(literals, pieces[1::2], read=self._normaliser.read, serialise=self._serialise)
        if form is None:
            return
        if len(self._forms) == MOST_FORMS:
            del self._forms[next(iter(self._forms))]
            self._latest.clear()
            self._recent = None
        self._forms[literals] = form

    def _written(
        self, form: Form, values: list[str], message: Message, device: Device | None
    ) -> SerialisedReading | None:
        time = self._time(form, values, message)
        if device is None or time is None:
            return None
        if form.tariff is not None:
            values[form.tariff] = _TARIFFS[values[form.tariff]]
        for place in form.hours:
            seconds = seconds_of_hours(values[place])
            if seconds is None:
                return None
            values[place] = str(seconds)
        body = form.body.copy()
        body[1::2] = form.in_order(values)
        received_at = self._written_arrival(message.received_at)
        measured_at, source = time
        return SerialisedReading(
            device, measured_at or received_at, source, received_at, "".join(body)
        )

    def _written_arrival(self, received_at: datetime) -> str:
        """Messages that were read from the connection together share this instant."""
        if received_at is not self._arrival:
            self._arrival, self._arrival_text = received_at, rfc3339(received_at)
        return self._arrival_text

    def _time(
        self, form: Form, values: Sequence[str], message: Message
    ) -> tuple[str, TimeSource] | None:
        """The instant as events write it, empty for that of the arrival; None when it is to be looked at."""
        found = _by_timestamp(form, values)
        if found is None and form.timestamp is not None:
            return None
        zone, received_at = self._normaliser.timezone, message.received_at
        for pick, kind in form.times if found is None else ():
            parts = pick(values)
            found = instant_of_text("T".join(parts), kind, zone=zone, received_at=received_at)
            if found is not None:
                break
            if len(parts) > 1:
                return None
        if found is None:
            return "", "received"
        instant, source = found
        return (
            None
            if is_far_ahead(instant, received_at=received_at)
            else (_written_instant(instant), source)
        )


def _literals(pieces: Sequence[str]) -> tuple[str, ...]:
    """What a form is known by: the payload's text between its values."""
    return tuple(pieces[::2])


def _values(form: Form, text: str) -> list[str] | None:
    """The values as they are to be written; None when the payload is not surely of this form."""
    found = form.usual.fullmatch(text)
    if found is not None:
        return list(found.groups())
    found = re.fullmatch(form.ordinary, text)
    if found is None:
        return None
    values = list(found.groups())
    for place in form.numbers:
        value = values[place]
        if "." in value:
            if len(value) > _LONGEST_DECIMAL:
                return None
            if value[-1] == "0" or "0.0000" in value:
                values[place] = repr(float(value))
    return values


def _by_timestamp(form: Form, values: Sequence[str]) -> tuple[datetime, TimeSource] | None:
    if form.timestamp is None:
        return None
    instant = instant_of_timestamp(int(values[form.timestamp]))
    return (instant, "timestamp") if instant else None
