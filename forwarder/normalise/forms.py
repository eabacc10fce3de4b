"""
Payloads that differ in their values alone: what they have in common is worked out once.

A form is the text of a payload without its values. Devices send few of them, so the event of a known form is written
from the payload's own digits, without numbers, objects or rules in between:

    {"P_In":1.036,"Date":"2025-11-18","Time":"14:34:00"}     the payload
    {"P_In" · ,"Date" · ,"Time" · }                          its form, and three values
    ,"measurements":{"active_power_import_kw": · }}          what is written

Forms are learned from what the normaliser makes of them (`form_lesson`). Whatever is not surely the same in every
payload of the form goes through the normaliser itself: it is the specification, this is only faster.
"""

import re
from collections.abc import Callable, Sequence
from datetime import datetime

from forwarder.normalise.device import device_in_text, device_in_topic
from forwarder.normalise.draft import seconds_of_hours
from forwarder.normalise.form_lesson import Form, learn
from forwarder.normalise.normaliser import Normaliser
from forwarder.normalise.times import instant_of_text, instant_of_timestamp, is_far_ahead
from forwarder.reading import Device, Message, Reading, TimeSource, Written, rfc3339

MOST_FORMS = 64
LONGEST = 4096
"""Bytes of a payload that has a form, so that the forms stay small; a full report has 2,000."""
FIRST_LESSONS = 16
LESSON_COST = 1000
"""Messages without a form for each further lesson. One takes milliseconds: nobody can make it a burden."""

# What means "absent" is no value here but part of the form: other members are written without it.
_VALUE = re.compile(r': ?(-?[0-9.eE+-]++|"(?!null"|\$\{)[^"\\\x00-\x1f]++")')

# Numbers that Python writes as they came, at a glance: 15 digits at most and no zeros at the end. -0 and what is below
# 0.0001 look like that too and are not.
_NUMBER = r"-?(?:[1-9][0-9]{0,8}|0)(?:\.[0-9]{1,6}+(?<!0))?+"
# A line end, because that stands in no value; a comma may.
_NUMBERS = re.compile(f"{_NUMBER}(?:\n{_NUMBER})*+")
# The same, of which some may have to be written anew.
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")
_ORDINARY = rf"(?:-?(?:0|[1-9][0-9]*)\.[0-9]+|{_INTEGER.pattern})"
_ORDINARIES = re.compile(f"{_ORDINARY}(?:\n{_ORDINARY})*+")
_LONGEST_DECIMAL = 16
"""Characters of a decimal that is read as a float, whatever its digits."""

_TARIFFS = {"0": "", **{digit: f',"tariff":{digit}' for digit in "1234"}}


class Forms:
    """The forms that were met, and how a payload of each is written."""

    def __init__(self, normaliser: Normaliser, *, write: Callable[[Reading], Written]) -> None:
        template = normaliser.template
        self._is_possible = template is None or template.is_plain_json
        self._longest = min(LONGEST, normaliser.max_message_bytes)
        self._normaliser = normaliser
        self._write = write
        self._forms: dict[tuple[str, ...], Form] = {}
        self._credit = FIRST_LESSONS * LESSON_COST
        self._arrival: datetime | None = None
        self._arrival_text = ""

    @property
    def known(self) -> int:
        """How many forms are remembered."""
        return len(self._forms)

    def read(self, message: Message) -> Written | None:
        """What the normaliser's reading would be written as; None when only the normaliser can tell."""
        payload = message.payload
        if len(payload) > self._longest or not self._is_possible:
            return None
        try:
            pieces = _VALUE.split(payload.decode())
        except UnicodeDecodeError:
            return None
        form = self._forms.get(tuple(pieces[::2]))
        if form is None:
            self._consider(pieces)
            return None
        return self._written(form, pieces[1::2], message)

    def _consider(self, pieces: Sequence[str]) -> None:
        self._credit += 1
        if self._credit < LESSON_COST:
            return
        self._credit -= LESSON_COST
        literals = tuple(pieces[::2])
        form = learn(literals, pieces[1::2], read=self._normaliser.read, write=self._write)
        if form is None:
            return
        if len(self._forms) == MOST_FORMS:
            del self._forms[next(iter(self._forms))]
        self._forms[literals] = form

    def _written(self, form: Form, values: list[str], message: Message) -> Written | None:
        if not _is_of(form, values) or not _unquote(form, values) or not _even(form, values):
            return None
        device = _device(form, values, message.topic)
        time = self._time(form, values, message)
        if device is None or time is None:
            return None
        if form.tariff is not None:
            tariff = _TARIFFS.get(values[form.tariff])
            if tariff is None:
                return None
            values[form.tariff] = tariff
        for place in form.hours:
            seconds = seconds_of_hours(values[place])
            if seconds is None:
                return None
            values[place] = str(seconds)
        body = form.body.copy()
        body[1::2] = form.in_order(values)
        received_at = self._written_arrival(message.received_at)
        measured_at, source = time
        return Written(device, measured_at or received_at, source, received_at, "".join(body))

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
        for places, kind in form.times if found is None else ():
            text = "T".join([values[place][1:-1] for place in places])
            found = instant_of_text(text, kind, zone=zone, received_at=received_at)
            if found is not None:
                break
            if len(places) > 1:
                return None
        if found is None:
            return "", "received"
        instant, source = found
        return (
            None if is_far_ahead(instant, received_at=received_at) else (rfc3339(instant), source)
        )


def _by_timestamp(form: Form, values: Sequence[str]) -> tuple[datetime, TimeSource] | None:
    if form.timestamp is None or not _INTEGER.fullmatch(values[form.timestamp]):
        return None
    instant = instant_of_timestamp(int(values[form.timestamp]))
    return (instant, "timestamp") if instant else None


def _is_of(form: Form, values: Sequence[str]) -> bool:
    """Whether the values are of their kinds, save for the numbers."""
    for place, value in form.constants:
        if values[place] != value:
            return False
    for place, other in form.twins:
        if values[place] != values[other]:
            return False
    for place in form.texts:
        text = values[place]
        if text[0] != '"' or text[1:-1].isspace():
            return False
    return True


def _unquote(form: Form, values: list[str]) -> bool:
    for place in form.quoted:
        value = values[place]
        if value[0] != '"':
            return False
        values[place] = value[1:-1]
    return True


def _even(form: Form, values: list[str]) -> bool:
    """Write each number as Python does; False when one is not as short as numbers of devices are."""
    numbers = "\n".join(form.numbers(values))
    if _NUMBERS.fullmatch(numbers) and "-0" not in numbers and "0.0000" not in numbers:
        return True
    if not _ORDINARIES.fullmatch(numbers):
        return False
    for place in form.number_places:
        value = values[place]
        if "." in value:
            if len(value) > _LONGEST_DECIMAL:
                return False
            if value[-1] == "0" or "0.0000" in value:
                values[place] = repr(float(value))
    return True


def _device(form: Form, values: Sequence[str], topic: str) -> Device | None:
    named = device_in_topic(topic)
    if form.device is None:
        return named.device if named else None
    device = device_in_text(values[form.device][1:-1].strip())
    if named is not None and named.is_mac and named.device != device:
        return None
    return device
