"""
Silence judges which devices are silent, and what of it is told; pure. The caller brings the time, and says whether
messages flow.

    reports ─▶ heard ─▶ nothing for silent_after, while messages flowed ─▶ silent ─▶ reports ─▶ resumed

A device is silent by the shortest `silent_after` of the endpoints that get it. While the broker is away, or the outbox
takes nothing, no device becomes silent. When messages flow again every device has its whole time once more.

The first 20 devices that fall silent within a minute are told singly. The others of that minute are told at its end, as
one notice. Only a device that was told singly is told as resumed.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from forwarder.notice import DeviceResumed, DeviceSilent, DevicesSilent, Notice
from forwarder.notices.told import Kept
from forwarder.outbox import Devices, KnownDevice
from forwarder.reading import Device
from forwarder.routes import AfterIntervals, AfterSeconds, EndpointName, Routes

LEAST_SECONDS = 90.0
"""No device is silent earlier by its interval, however often it reports."""
LEAST_SIGHTINGS = 5
"""A device that was seen less often has no usual interval yet."""
LOOK_SECONDS = 0.5
LOOKS_A_ROUND = 4
"""The number of looks in which every device is looked at once."""
JUDGED_EVERY_SECONDS = 60.0
"""The longest time between two judgements of a device: below LEAST_SECONDS, so that a new interval counts in time."""

MOST_JUDGED = 2000
"""Most devices in one look, some milliseconds. All are due at a start, after an edit, and when a whole fleet goes."""

TOLD_SINGLY = 20
GATHERED_SECONDS = 60.0
FIRST_NAMES = 10
SUBJECT = "silent:"
"""The prefix of keys under which devices are remembered as told."""


class Dismissed(NamedTuple):
    """A silent device that no endpoint asks for any more. Neither this nor its return is told."""

    device: str


Transition: TypeAlias = DeviceSilent | DeviceResumed | Dismissed
Remembered: TypeAlias = dict[str, Kept | None]


class Limits(NamedTuple):
    """The shortest limit of each kind among a device's endpoints; None: no endpoint asks for that kind."""

    seconds: float | None
    intervals: float | None

    def seconds_for(self, known: KnownDevice) -> float | None:
        """The seconds after which the device is silent; None: never."""
        if known.last_at is None:
            return None
        usual = known.usual_interval if self.intervals is not None else None
        if self.intervals is None or usual is None or known.sightings < LEAST_SIGHTINGS:
            return self.seconds
        after = max(LEAST_SECONDS, self.intervals * usual)
        return after if self.seconds is None else min(after, self.seconds)


def limits_of(routes: Routes, names: Iterable[EndpointName]) -> Limits:
    wanted = [routes.endpoints[name].silent_after for name in names]
    seconds = [one.seconds for one in wanted if isinstance(one, AfterSeconds)]
    intervals = [one.count for one in wanted if isinstance(one, AfterIntervals)]
    return Limits(min(seconds, default=None), min(intervals, default=None))


class Silence:
    """
    Judges devices, some at each look, and gives `tell` those that fell silent or report again.

    A device that stays silent is given again each minute, because the receiver may be new, or may have forgotten.
    """

    def __init__(self, devices: Devices, *, tell: Callable[[Sequence[Transition]], None]) -> None:
        self._devices = devices
        self._tell = tell
        self._routes: Routes | None = None
        self._limits: dict[tuple[EndpointName, ...], Limits] = {}
        self._flowing_since: float | None = None

    def use(self, routes: Routes) -> None:
        """Judge by this table from now on."""
        self._routes, self._limits = routes, {}
        for known in self._devices:
            known.quiet_until = 0.0

    def look(self, *, is_flowing: bool, now: float) -> None:
        """
        Judge the next devices. Call it every LOOK_SECONDS.

        `is_flowing` says whether messages can come at all. `now` is monotonic seconds.
        """
        if not is_flowing:
            self._flowing_since = None
        elif self._flowing_since is None:
            self._flowing_since = now
        some = self._devices.in_turn(parts=LOOKS_A_ROUND)
        due = [one for one in some if one.quiet_until <= now or one.has_resumed]
        if transitions := [*self._transitions(due[:MOST_JUDGED], now)]:
            self._tell(transitions)

    def _transitions(self, due: Iterable[KnownDevice], now: float) -> Iterator[Transition]:
        since = self._flowing_since
        for known in due:
            if known.silent_since is not None:
                yield from self._still(known, now)
            elif since is not None and self._is_silent(known, since, now):
                self._devices.mark(known, silent_since=known.last_at)
                known.quiet_until = now + JUDGED_EVERY_SECONDS
                yield self._silent(known)

    def _is_silent(self, known: KnownDevice, flowing_since: float, now: float) -> bool:
        after = self._seconds_for(known)
        due_at = max(known.heard_at, flowing_since) + after if after is not None else float("inf")
        known.quiet_until = min(due_at, now + JUDGED_EVERY_SECONDS)
        return due_at <= now

    def _still(self, known: KnownDevice, now: float) -> Iterator[Transition]:
        """The transition of a silent device: it reports, no endpoint asks for it any more, or it is told again."""
        if known.has_resumed:
            since, last_at = known.silent_since or 0.0, known.last_at or 0.0
            self._devices.mark(known, silent_since=None)
            yield DeviceResumed(known.device, since, last_at)
        elif self._seconds_for(known) is None:
            self._devices.mark(known, silent_since=None)
            yield Dismissed(known.device)
        else:
            known.quiet_until = now + JUDGED_EVERY_SECONDS
            yield self._silent(known)

    def _seconds_for(self, known: KnownDevice) -> float | None:
        if self._routes is None:
            return None
        names = self._routes.match(known.device)
        limits = self._limits.get(names)
        if limits is None:
            limits = self._limits[names] = limits_of(self._routes, names)
        return limits.seconds_for(known)

    def _silent(self, known: KnownDevice) -> DeviceSilent:
        since = known.silent_since or 0.0
        return DeviceSilent(known.device, since, self._seconds_for(known) or LEAST_SECONDS)


@dataclass(slots=True)
class _Minute:
    """A minute in which devices fall silent."""

    began: float
    """Monotonic seconds."""
    since: float
    """The same instant in UNIX seconds."""
    singly: int = 0
    others: dict[Device, float] = field(default_factory=dict)


class Silences:
    """The operator's knowledge of silent devices, and the notices of others; see the module's head."""

    def __init__(self, told: Mapping[str, Kept]) -> None:
        self._told: dict[Device, tuple[float, bool]] = {}
        """The UNIX seconds since which a device is silent, and whether it was told singly."""
        for subject, kept in told.items():
            since = kept.get("since")
            if subject.startswith(SUBJECT) and isinstance(since, int | float):
                device = Device(subject.removeprefix(SUBJECT))
                self._told[device] = (float(since), kept.get("singly") is True)
        self._minute: _Minute | None = None

    @property
    def told_singly(self) -> Mapping[Device, float]:
        """The devices whose return is awaited, each with the UNIX seconds since which it is silent."""
        return {device: since for device, (since, is_singly) in self._told.items() if is_singly}

    def take(
        self, transitions: Iterable[Transition], remembered: Remembered, *, unix: float, now: float
    ) -> Iterator[Notice]:
        """The notices to tell at once. `due` has the others. `now` is monotonic."""
        for one in transitions:
            match one:
                case DeviceSilent():
                    yield from self._silent(one, remembered, unix, now)
                case DeviceResumed():
                    if self._forget(one.device, remembered):
                        yield one
                case Dismissed():
                    self._forget(one.device, remembered)

    def _silent(
        self, one: DeviceSilent, remembered: Remembered, unix: float, now: float
    ) -> Iterator[Notice]:
        device = Device(one.device)
        if self._told.get(device, (None, False))[0] == one.since:
            return
        if self._minute is None:
            self._minute = _Minute(now, unix)
        if self._minute.singly < TOLD_SINGLY:
            self._minute.singly += 1
            self._remember(device, one.since, remembered, singly=True)
            yield one
        else:
            self._minute.others[device] = one.since

    def _forget(self, name: str, remembered: Remembered) -> bool:
        """Forget a device. Returns whether it was told singly."""
        device = Device(name)
        if self._minute is not None:
            self._minute.others.pop(device, None)
        _, was_told_singly = self._told.pop(device, (None, False))
        remembered[SUBJECT + device] = None
        return was_told_singly

    def due(self, remembered: Remembered, *, now: float) -> Iterator[Notice]:
        """The notice of a minute's other devices, once the minute is over."""
        minute = self._minute
        if minute is None or now - minute.began < GATHERED_SECONDS:
            return
        self._minute = None
        if minute.others:
            for device, since in minute.others.items():
                self._remember(device, since, remembered, singly=False)
            names = tuple(sorted(minute.others))[:FIRST_NAMES]
            yield DevicesSilent(minute.since, len(minute.others), names)

    def _remember(
        self, device: Device, since: float, remembered: Remembered, *, singly: bool
    ) -> None:
        self._told[device] = (since, singly)
        remembered[SUBJECT + device] = {"since": since, "singly": singly}
