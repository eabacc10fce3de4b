"""
Which devices are silent, and what of it is told. Pure: the caller has the clock, and says whether messages flow.

    reports ─▶ heard ─▶ nothing for silent_after, while messages flowed ─▶ silent ─▶ reports ─▶ resumed

A device is silent by the shortest `silent_after` of the endpoints that get it. While the broker is away, or the outbox
takes nothing, nobody is silent; when messages flow again every device has its whole time once more.

The first 20 that fall silent within a minute are told singly, the others of it at its end, as one notice. Only who was
told singly is told as resumed.
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
"""However often a device reports."""
LEAST_SIGHTINGS = 5
"""Who was seen less often has no usual interval yet."""
LOOK_SECONDS = 0.5
LOOKS_A_ROUND = 4
"""Every device is looked at within so many looks."""
JUDGED_EVERY_SECONDS = 60.0
"""Every device is judged so often at least: less than LEAST_SECONDS, so that no change of its interval comes late."""

MOST_JUDGED = 2000
"""Devices in one look, some milliseconds: all are due at a start, after an edit, and when a whole fleet goes."""

TOLD_SINGLY = 20
GATHERED_SECONDS = 60.0
FIRST_NAMES = 10
SUBJECT = "silent:"
"""Under which it is remembered that a device was told as silent."""


class Dismissed(NamedTuple):
    """A silent device that nobody asks for any more: nothing is told of it, and its return will not be."""

    device: str


Transition: TypeAlias = DeviceSilent | DeviceResumed | Dismissed
Remembered: TypeAlias = dict[str, Kept | None]


class Limits(NamedTuple):
    """What the endpoints of a device ask for together: the shortest of each kind; None: nobody asks for that kind."""

    seconds: float | None
    intervals: float | None

    def seconds_for(self, known: KnownDevice) -> float | None:
        """After which it is silent; None: never."""
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
    Judges devices, some at each look; `tell` is told who fell silent and who reports again.

    Who stays silent is told again each minute, because whoever is told may be new, or may have forgotten.
    """

    def __init__(self, devices: Devices, *, tell: Callable[[Sequence[Transition]], None]) -> None:
        self._devices = devices
        self._tell = tell
        self._routes: Routes | None = None
        self._limits: dict[tuple[EndpointName, ...], Limits] = {}
        self._flowing_since: float | None = None

    def use(self, routes: Routes) -> None:
        """Judge by this table."""
        self._routes, self._limits = routes, {}
        for known in self._devices:
            known.quiet_until = 0.0

    def look(self, *, is_flowing: bool, now: float) -> None:
        """Whether messages can come at all, at `now` in monotonic seconds; to be called every LOOK_SECONDS."""
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
        """Of one that was silent: it reports, nobody asks for it any more, or it is told again to who may not know."""
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
    """In which devices fall silent."""

    began: float
    """Monotonic seconds."""
    since: float
    """The same in UNIX seconds."""
    singly: int = 0
    others: dict[Device, float] = field(default_factory=dict)


class Silences:
    """What the operator knows of silent devices, and what is to be told of the others; see the module's head."""

    def __init__(self, told: Mapping[str, Kept]) -> None:
        self._told: dict[Device, tuple[float, bool]] = {}
        """Since when, and whether singly."""
        for subject, kept in told.items():
            since = kept.get("since")
            if subject.startswith(SUBJECT) and isinstance(since, int | float):
                device = Device(subject.removeprefix(SUBJECT))
                self._told[device] = (float(since), kept.get("singly") is True)
        self._minute: _Minute | None = None

    @property
    def told_singly(self) -> Mapping[Device, float]:
        """Whose return is waited for, and since when they are silent."""
        return {device: since for device, (since, is_singly) in self._told.items() if is_singly}

    def take(
        self, transitions: Iterable[Transition], remembered: Remembered, *, unix: float, now: float
    ) -> Iterator[Notice]:
        """What is told of them at once; the others are with `due`. `now` is monotonic."""
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
        """Whether it was told singly."""
        device = Device(name)
        if self._minute is not None:
            self._minute.others.pop(device, None)
        _, was_told_singly = self._told.pop(device, (None, False))
        remembered[SUBJECT + device] = None
        return was_told_singly

    def due(self, remembered: Remembered, *, now: float) -> Iterator[Notice]:
        """The others, once their minute is over."""
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
