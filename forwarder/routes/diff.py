"""The changes that an edit of the routing file makes, in words that a person can check and a log can keep."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields

from forwarder.reading import Device, JsonValue
from forwarder.routes.model import (
    AfterIntervals,
    AfterSeconds,
    BatchLimits,
    Endpoint,
    EndpointName,
    FirstOf,
    LastOf,
    RateLimit,
    RetrySchedule,
    Routes,
    Selection,
)
from forwarder.statuses import status_words
from forwarder.units import count_of, format_duration

MOST_DEVICES_IN_A_LINE = 10

_SETTINGS = {
    "keys": "secret",
    "max_age_seconds": "max_age",
    "timeout_seconds": "timeout",
}
_NEVER_SHOWN = frozenset({"url", "secret", "headers", "auth", "tls", "template"})


@dataclass(frozen=True, slots=True)
class DeviceSet:
    """Devices that an endpoint gains or loses."""

    devices: frozenset[Device] = frozenset()
    every: bool = False
    """Whether it is every device. `devices` are then the exceptions: they were named before and still are."""

    def __bool__(self) -> bool:
        return self.every or bool(self.devices)

    def words(self) -> str:
        if not self.every:
            noun = "device" if len(self.devices) == 1 else "devices"
            return f"{len(self.devices)} {noun}: {_listed(self.devices)}"
        return f"every device but {_listed(self.devices)}" if self.devices else "every device"

    def to_json(self) -> JsonValue:
        devices: list[JsonValue] = [*sorted(self.devices)]
        if not self.every:
            return devices
        return {"every_device_but": devices} if devices else "*"


@dataclass(frozen=True, slots=True)
class SettingChange:
    """One setting that differs. Its values are told only if the setting holds no secret."""

    setting: str
    before: str | None = None
    after: str | None = None

    def words(self) -> str:
        if self.before is None:
            return f"{self.setting} changed"
        return f"{self.setting} {self.before} → {self.after}"


@dataclass(frozen=True, slots=True)
class EndpointChange:
    """The differences of one endpoint that both files know."""

    name: EndpointName
    settings: tuple[SettingChange, ...]
    gained: DeviceSet
    lost: DeviceSet

    def __bool__(self) -> bool:
        return bool(self.settings or self.gained or self.lost)

    def lines(self) -> Iterator[str]:
        if self.settings:
            yield f"~ {self.name}: {', '.join(change.words() for change in self.settings)}"
        if self.gained:
            yield f"~ {self.name} gains {self.gained.words()}"
        if self.lost:
            yield f"~ {self.name} loses {self.lost.words()}"

    def to_json(self) -> dict[str, JsonValue]:
        return {
            "endpoint": self.name,
            "settings": [change.setting for change in self.settings],
            "gained": self.gained.to_json(),
            "lost": self.lost.to_json(),
        }


@dataclass(frozen=True, slots=True)
class RoutesDiff:
    """The way from one table to the next. It never holds a value that may be secret."""

    added: Mapping[EndpointName, DeviceSet]
    removed: Mapping[EndpointName, DeviceSet]
    changed: tuple[EndpointChange, ...]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)

    def lines(self) -> list[str]:
        """One line a change, for people; empty when nothing differs."""
        added = [f"+ {name} is added, gets {_or_none(given)}" for name, given in self.added.items()]
        removed = [
            f"- {name} is removed, got {_or_none(had)}" for name, had in self.removed.items()
        ]
        return [*added, *removed, *(line for change in self.changed for line in change.lines())]

    def to_json(self) -> dict[str, JsonValue]:
        """All changes in full, for programs."""
        return {
            "added": [_entry(name, given) for name, given in self.added.items()],
            "removed": [_entry(name, had) for name, had in self.removed.items()],
            "changed": [change.to_json() for change in self.changed],
        }


def diff(old: Routes | None, new: Routes) -> RoutesDiff:
    """The differences of two tables. From None, everything is added. The order of endpoints does not count."""
    before = old.endpoints if old else {}
    changes = (_compare(old, new, name) for name in new.endpoints if old and name in before)
    return RoutesDiff(
        added={name: _wanted(new, name) for name in new.endpoints if name not in before},
        removed={name: _wanted(old, name) for name in before if name not in new.endpoints}
        if old
        else {},
        changed=tuple(change for change in changes if change),
    )


def _compare(old: Routes, new: Routes, name: EndpointName) -> EndpointChange:
    settings = _changed_settings(old.endpoints[name], new.endpoints[name])
    gained, lost = _moves(old, new, name)
    return EndpointChange(name, settings, gained, lost)


def _moves(old: Routes, new: Routes, name: EndpointName) -> tuple[DeviceSet, DeviceSet]:
    had_every = old.selections.get(name, Selection()).wants_every_device
    gets_every = new.selections.get(name, Selection()).wants_every_device
    if had_every and gets_every:
        return DeviceSet(), DeviceSet()
    before, after = old.devices_of(name), new.devices_of(name)
    if gets_every:
        return DeviceSet(before, every=True), DeviceSet()
    if had_every:
        return DeviceSet(), DeviceSet(after, every=True)
    return DeviceSet(after - before), DeviceSet(before - after)


def _wanted(routes: Routes, name: EndpointName) -> DeviceSet:
    if routes.selections.get(name, Selection()).wants_every_device:
        return DeviceSet(every=True)
    return DeviceSet(routes.devices_of(name))


def _changed_settings(before: Endpoint, after: Endpoint) -> tuple[SettingChange, ...]:
    if before == after:
        return ()
    return tuple(
        _setting_change(field.name, getattr(before, field.name), getattr(after, field.name))
        for field in fields(Endpoint)
        if getattr(before, field.name) != getattr(after, field.name)
    )


def _setting_change(field: str, before: object, after: object) -> SettingChange:
    setting = _SETTINGS.get(field, field)
    if setting in _NEVER_SHOWN:
        return SettingChange(setting)
    words = _WORDS.get(field, _plain_words)
    return SettingChange(setting, words(before), words(after))


def _plain_words(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _duration_words(value: object) -> str:
    return format_duration(value) if isinstance(value, float) else str(value)


def _interval_words(value: object) -> str:
    match value:
        case FirstOf(seconds):
            return format_duration(seconds)
        case LastOf(seconds):
            return f"{{every: {format_duration(seconds)}, keep: last}}"
        case _:
            return "off"


def _fields_words(value: object) -> str:
    return f"[{', '.join(value)}]" if isinstance(value, tuple) else "all"


def _batch_words(value: object) -> str:
    if not isinstance(value, BatchLimits):
        return "off"
    return f"{value.max_events} in {format_duration(value.max_wait_seconds)}"


def _rate_words(value: object) -> str:
    if not isinstance(value, RateLimit):
        return "off"
    return f"{value.attempts} in {format_duration(value.per_seconds)}"


def _retry_words(value: object) -> str:
    if not isinstance(value, RetrySchedule):
        return "default"
    waits = f"{format_duration(value.initial_seconds)} to {format_duration(value.max_seconds)}"
    most = value.max_attempts
    return f"{waits}, at most {count_of(most, 'attempt')}" if most else waits


def _statuses_words(value: object) -> str:
    return f"[{status_words(value)}]" if isinstance(value, frozenset) else "default"


def _silent_words(value: object) -> str:
    match value:
        case AfterIntervals(count):
            return f"{count:g}x"
        case AfterSeconds(seconds):
            return format_duration(seconds)
        case _:
            return "off"


_WORDS: Mapping[str, Callable[[object], str]] = {
    "silent_after": _silent_words,
    "max_age_seconds": _duration_words,
    "timeout_seconds": _duration_words,
    "min_interval": _interval_words,
    "fields": _fields_words,
    "batch": _batch_words,
    "rate_limit": _rate_words,
    "retry": _retry_words,
    "success": _statuses_words,
    "refused": _statuses_words,
}


def _listed(devices: frozenset[Device]) -> str:
    first = sorted(devices)[:MOST_DEVICES_IN_A_LINE]
    left = len(devices) - len(first)
    return ", ".join(first) + (f" and {left} more" if left else "")


def _or_none(devices: DeviceSet) -> str:
    return devices.words() if devices else "no device"


def _entry(name: EndpointName, devices: DeviceSet) -> JsonValue:
    return {"endpoint": name, "devices": devices.to_json()}
