"""The builder makes a reading: rules put values into it, each by the kind of its variable."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from decimal import Decimal
from typing import TypeAlias

from forwarder.normalise.device import device_in_text
from forwarder.normalise.times import TextKind, instant_of_text, instant_of_timestamp, is_instant
from forwarder.normalise.values import ABSENT, UNFIT, Verdict, carried, number_of, text_of
from forwarder.reading import Device, JsonValue, Number, Reading, TimeSource
from forwarder.variables import Kind, Use

_TIME_KEYS: Mapping[TextKind, str] = {
    "utc": "date_time_utc",
    "offset": "date_time_local",
    "local": "date_time",
}
"""The keys of time texts in a section, the surest first."""
_MOST_HOURS = 10**9
_MOST_TARIFFS = 4


@dataclass(frozen=True, slots=True)
class Part:
    """The place of one value in the payload, and the variable that it was read as."""

    place: str
    use: Use
    sent: JsonValue
    is_absent: bool
    is_understood: bool
    """False when the value does not belong in its place, or another was there before. `extra` then holds it."""


class ReadingBuilder:
    """The values found so far. The first value of a variable stays."""

    __slots__ = (
        "clock",
        "date",
        "device",
        "factor",
        "heeds_device",
        "measurements",
        "misfits",
        "other_device",
        "sections",
        "seen",
        "tariff",
        "timestamp",
        "trace",
        "unheeded",
        "unset_clock",
        "volumes",
    )

    def __init__(self, trace: list[Part] | None = None) -> None:
        self.heeds_device = True
        """Whether the device that the payload names counts."""
        self.measurements: dict[str, Number] = {}
        self.sections: dict[str, dict[str, JsonValue]] = {
            "meter": {},
            "system": {},
            "network": {},
            "report": {},
        }
        self.volumes: dict[int, dict[str, JsonValue]] = {}
        self.tariff: int | None = None
        self.factor: Number | None = None
        self.device: Device | None = None
        self.other_device: Device | None = None
        """A second device that the payload names."""
        self.unheeded: Device | None = None
        """A device that the payload names and that does not count. `extra` keeps it."""
        self.timestamp: datetime | None = None
        self.date: str | None = None
        self.clock: str | None = None
        self.unset_clock = False
        """Whether there was a timestamp of a clock that is not set."""
        self.seen = 0
        """Places of variables that the payload has, whatever they hold."""
        self.misfits = 0
        """Values in numeric places that are no numbers."""
        self.trace = trace

    @property
    def has_values(self) -> bool:
        """Whether anything was read beyond the device, the times and the settings of reports."""
        if self.measurements or self.volumes or self.sections["network"] or self.tariff is not None:
            return True
        texts = self.sections["meter"].keys() | self.sections["system"].keys()
        return bool(texts - set(_TIME_KEYS.values()))

    def measured_at(
        self, *, zone: tzinfo, received_at: datetime
    ) -> tuple[datetime, TimeSource] | None:
        """
        The instant of the reading from the surest of its times; None when the payload tells none.

        The times of the report come before those of the device, because the latter are times of publishing.
        """
        if self.timestamp is not None:
            return self.timestamp, "timestamp"
        for text, kind in self.time_texts():
            found = instant_of_text(text, kind, zone=zone, received_at=received_at)
            if found is not None:
                return found
            self.unset_clock |= is_instant(text)
        return None

    def reading(
        self,
        *,
        device: Device,
        measured_at: datetime,
        time_source: TimeSource,
        received_at: datetime,
        extra: dict[str, JsonValue],
    ) -> Reading:
        """The reading of the values found."""
        sections = self.sections
        return Reading(
            device=device,
            measured_at=measured_at,
            time_source=time_source,
            received_at=received_at,
            measurements=self.measurements,
            tariff=self.tariff,
            conversion_factor=self.factor,
            meter=sections["meter"],
            system=sections["system"],
            network=sections["network"],
            volumes=tuple(self.volumes[index] for index in sorted(self.volumes)),
            report=sections["report"],
            extra=extra,
        )

    def leftover_clock(self) -> dict[str, JsonValue]:
        """`Date` and `Time` of the live shape when they do not make an instant together."""
        if self.date is None and self.clock is None:
            return {}
        sent: dict[str, str | None] = {"Date": self.date, "Time": self.clock}
        if self.date and self.clock and is_instant(f"{self.date}T{self.clock}"):
            return {}
        return {key: text for key, text in sent.items() if text is not None}

    def time_texts(self) -> Iterator[tuple[str, TextKind]]:
        """The texts that may tell the instant, the surest first."""
        yield from _texts_of(self.sections["meter"])
        if self.date and self.clock:
            yield f"{self.date}T{self.clock}", "local"
        yield from _texts_of(self.sections["system"])


def _texts_of(section: Mapping[str, JsonValue]) -> Iterator[tuple[str, TextKind]]:
    for kind, key in _TIME_KEYS.items():
        if key in section:
            yield str(section[key]), kind


Put: TypeAlias = Callable[[ReadingBuilder, Use, JsonValue], JsonValue]
"""Puts one value into the builder. Returns the part that `extra` keeps, None when nothing is left."""


def _put_measurement(builder: ReadingBuilder, use: Use, value: JsonValue) -> JsonValue:
    number = number_of(value)
    if isinstance(number, Verdict):
        return _reject(builder, number, value)
    held = builder.measurements.setdefault(use.variable.key, number)
    return None if held == number else carried(value)


def _put_tariff(builder: ReadingBuilder, _: Use, value: JsonValue) -> JsonValue:
    number = number_of(value)
    if isinstance(number, Verdict):
        return _reject(builder, number, value)
    tariff = int(number)
    if tariff != number or not 0 <= tariff <= _MOST_TARIFFS:
        return _reject(builder, UNFIT, value)
    builder.tariff = builder.tariff or tariff or None
    return None if tariff in (0, builder.tariff) else carried(value)


def _put_factor(builder: ReadingBuilder, _: Use, value: JsonValue) -> JsonValue:
    number = number_of(value)
    if isinstance(number, Verdict):
        return _reject(builder, number, value)
    if builder.factor is None:
        builder.factor = number
    return None if builder.factor == number else carried(value)


def _put_timestamp(builder: ReadingBuilder, _: Use, value: JsonValue) -> JsonValue:
    number = number_of(value)
    if isinstance(number, Verdict):
        return _reject(builder, number, value)
    instant = instant_of_timestamp(number)
    if instant is None:
        builder.unset_clock = True
        return carried(value)
    builder.timestamp = builder.timestamp or instant
    return None if builder.timestamp == instant else carried(value)


def _put_number(builder: ReadingBuilder, use: Use, value: JsonValue) -> JsonValue:
    number = number_of(value)
    if isinstance(number, Verdict):
        return _reject(builder, number, value)
    return _hold(builder, use, number, value)


def _put_hours(builder: ReadingBuilder, use: Use, value: JsonValue) -> JsonValue:
    number = number_of(value)
    if isinstance(number, Verdict):
        return _reject(builder, number, value)
    seconds = seconds_of_hours(str(number))
    return carried(value) if seconds is None else _hold(builder, use, seconds, value)


def seconds_of_hours(hours: str) -> Number | None:
    """The seconds in hours that are given as digits; None for more than any device runs."""
    number = Decimal(hours)
    if not -_MOST_HOURS < number < _MOST_HOURS:
        return None
    seconds = number * 3600
    whole = int(seconds)
    return whole if seconds == whole else float(seconds)


def _put_text(builder: ReadingBuilder, use: Use, value: JsonValue) -> JsonValue:
    text = text_of(value)
    if isinstance(text, Verdict):
        return carried(value)
    return _hold(builder, use, text, value)


def _put_device(builder: ReadingBuilder, _: Use, value: JsonValue) -> JsonValue:
    text = text_of(value)
    device = None if isinstance(text, Verdict) else device_in_text(text.strip())
    if device is None:
        return carried(value)
    if not builder.heeds_device:
        builder.unheeded = device
        return carried(value)
    builder.device = builder.device or device
    if builder.device != device:
        builder.other_device = device
    return None


def _put_date(builder: ReadingBuilder, _: Use, value: JsonValue) -> JsonValue:
    text = text_of(value)
    if isinstance(text, Verdict):
        return carried(value)
    builder.date = builder.date or text
    return None if builder.date == text else carried(value)


def _put_clock(builder: ReadingBuilder, _: Use, value: JsonValue) -> JsonValue:
    text = text_of(value)
    if isinstance(text, Verdict):
        return carried(value)
    builder.clock = builder.clock or text
    return None if builder.clock == text else carried(value)


def _hold(builder: ReadingBuilder, use: Use, read: Number | str, value: JsonValue) -> JsonValue:
    variable = use.variable
    if variable.section == "volumes":
        section = builder.volumes.setdefault(use.index, {})
    else:
        section = builder.sections[variable.section]
    return None if section.setdefault(variable.key, read) == read else carried(value)


def _reject(builder: ReadingBuilder, verdict: Verdict, value: JsonValue) -> JsonValue:
    if verdict is ABSENT:
        return None
    builder.misfits += 1
    return carried(value)


PUT: Mapping[Kind, Put] = {
    "measurement": _put_measurement,
    "tariff": _put_tariff,
    "factor": _put_factor,
    "number": _put_number,
    "hours": _put_hours,
    "text": _put_text,
    "device": _put_device,
    "timestamp": _put_timestamp,
    "utc": _put_text,
    "offset": _put_text,
    "local": _put_text,
    "date": _put_date,
    "clock": _put_clock,
}
