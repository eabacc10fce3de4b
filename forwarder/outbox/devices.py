"""
Each device's record: when the device last reported, and how often it usually does. In memory; rows follow.

    see     with each group   one dictionary notes the group's devices, and when their readings were measured
    fold    twice a second    sightings go into the devices' records, some hundred in a turn of the loop
    rows    twice a second    some changed records join the next commit, each device every ten seconds at most

The loop alone uses the records. A reading takes a tenth of a microsecond, because `see` only notes.

Publishers choose the names of devices, so records are bounded in number. A newcomer has few readings, or no endpoint
wants them. A device leaves where no record is free: the newcomer that was silent longest, or an established device
if there is no newcomer. A new device takes over the place on disk, because neighbours there are written together.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, islice, repeat
from typing import Literal, TypeAlias

from forwarder.outbox.intake import NewReading, Put, Unrouted
from forwarder.outbox.intervals import usual_interval, with_interval
from forwarder.outbox.records import DeviceRecord
from forwarder.reading import Device

MOST_DEVICES = 100_000
"""Records that are kept at most."""
DEVICES_PART = 50
"""Records take no more than a fiftieth of the outbox."""
RECORD_BYTES = 200
"""About the bytes of one record. A name of 128 letters makes a record twice as large, and rare letters four times."""

ESTABLISHED_SIGHTINGS = 5
"""Sightings that make a device established, if an endpoint wants its readings."""
FOLDED_AT_ONCE = 500
"""Sightings that one turn of the loop folds, in about half a millisecond; a twentieth of a round where that is more."""
WRITTEN_EVERY_SECONDS = 10.0
WRITTEN_AT_ONCE = 200
"""Rows that one commit takes along, in about half a millisecond; 20,000 devices take turns of 50 seconds."""
_LOOKED_THROUGH = 2000
_CANDIDATES = 16
"""Established devices that are compared; the one that was silent longest leaves."""

Kind: TypeAlias = Literal["routed", "unrouted", "unreadable"]
Sighting: TypeAlias = tuple[Device, str, Kind]
"""A device, when its last reading was measured, and its kind; an unreadable message has no time."""
Rows: TypeAlias = dict[int, DeviceRecord | None]
"""Records to be written, by place; None for an empty place."""


def most_devices(max_bytes: int) -> int:
    """How many records an outbox of this size keeps."""
    return min(MOST_DEVICES, max(1, max_bytes // DEVICES_PART // RECORD_BYTES))


@dataclass(slots=True, eq=False)
class KnownDevice:
    """One device's record in memory. Instants are UNIX seconds."""

    place: int
    """The place of the device's row; the same as long as the device is known."""
    device: Device
    first_at: float
    last_at: float | None = None
    measured_at: str | None = None
    sightings: int = 0
    intervals: bytes = b""
    unreadable_at: float | None = None
    silent_since: float | None = None
    """The instant of a silent device's last reading; only `mark` takes the instant back, whatever comes."""
    is_routed: bool = False
    """Whether an endpoint wanted the last reading."""
    is_changed: bool = False
    """Whether the row is behind."""
    written_at: float = 0.0
    """Monotonic seconds at which a commit last took the row along."""
    heard_at: float = 0.0
    """Monotonic seconds of the last reading that this process has seen."""
    quiet_until: float = 0.0
    """Monotonic seconds up to which nobody need judge the device; the judge sets them."""

    @property
    def is_established(self) -> bool:
        return self.is_routed and self.sightings >= ESTABLISHED_SIGHTINGS

    @property
    def usual_interval(self) -> float | None:
        return usual_interval(self.intervals)

    @property
    def has_resumed(self) -> bool:
        """Whether the device was silent, and has sent a reading since."""
        return self.silent_since is not None and (self.last_at or 0.0) > self.silent_since

    def record(self) -> DeviceRecord:
        return DeviceRecord(
            self.device, self.first_at, self.last_at, self.measured_at, self.sightings, self.intervals,
            self.unreadable_at, self.silent_since,
        )  # fmt: skip

    def report(self, measured_at: str, *, at: float, now: float, is_routed: bool) -> None:
        """Note a reading, or several at once, at `at` in UNIX and `now` in monotonic seconds."""
        if self.last_at is not None and self.measured_at is not None:
            elapsed = at - self.last_at
            measured = _seconds_between(self.measured_at, measured_at)
            if (interval := interval_of(measured, elapsed)) is not None:
                self.intervals = with_interval(self.intervals, interval)
        self.last_at, self.measured_at, self.heard_at = at, measured_at, now
        self.sightings += 1
        self.is_routed = is_routed
        self.is_changed = True


def interval_of(measured: float, elapsed: float) -> float | None:
    """
    Seconds between two sightings of a device, by its own clock or else by ours; None when they say nothing.

    A backlog says nothing, because readings come in faster than the device measured them. Our clock counts where the
    device's clock stands still, or went back.
    """
    if measured > 0:
        return measured if measured < 1.5 * elapsed + 1 else None
    return elapsed if elapsed > 0 else None


def _seconds_between(earlier: str, later: str) -> float:
    """Seconds between two instants as events write them, in UTC with a Z, which `fromisoformat` reads slowly."""
    return (
        datetime.fromisoformat(later[:-1]) - datetime.fromisoformat(earlier[:-1])
    ).total_seconds()


class Devices:
    """All known devices, at most `most`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: dict[Device, KnownDevice] = {}
        self._newcomers: OrderedDict[Device, None] = OrderedDict()
        """Newcomers, the device that was heard last at the end."""
        self.silent_count = 0
        self._places: list[KnownDevice | None] = []
        self._free: list[int] = []
        self._urgent: dict[int, None] = {}
        """Places whose rows are written first."""
        self._looked_at = 0
        """The place at which the next search for changed rows begins."""
        self._asked_at = 0
        """The place at which the next search for a device to leave begins."""
        self._turn_at = 0
        """The place at which the next turn of `in_turn` begins."""
        self._seen: dict[Device, str] = {}
        """Each device with the measured time of its last reading that an endpoint wanted."""
        self._unrouted: dict[Device, str] = {}
        """Each device with the measured time of its last reading that no endpoint wanted."""
        self._unreadable: dict[Device, str] = {}
        self._seen_at = 0.0
        """UNIX seconds at which the last message of all came in."""
        self._round: Iterator[Sighting] = iter(())
        """Sightings of the round, which `fold` brings into the records."""
        self._round_at = self._seen_at
        """UNIX seconds at which the last message of the round came in."""
        self._round_size = 0
        """Sightings with which the round began."""
        self._is_round_over = True

    def __iter__(self) -> Iterator[KnownDevice]:
        return iter(self._known.values())

    def find(self, device: Device) -> KnownDevice | None:
        return self._known.get(device)

    def restore(self, rows: Iterable[tuple[int, DeviceRecord]]) -> None:
        """Take over the records of the outbox; rows beyond `most` are erased."""
        for place, record in rows:
            if not 0 <= place < self._most:
                self._urgent[place] = None
                continue
            self._places += repeat(None, place + 1 - len(self._places))
            known = KnownDevice(place, *record, is_routed=True)
            self._places[place] = self._known[known.device] = known
        self.silent_count = sum(known.silent_since is not None for known in self)
        self._free = [place for place, known in enumerate(self._places) if known is None]
        newcomers = [known for known in self if not known.is_established]
        newcomers.sort(key=lambda known: known.last_at or known.first_at)
        self._newcomers.update((known.device, None) for known in newcomers)

    def in_turn(self, *, parts: int) -> list[KnownDevice]:
        """One of `parts` parts of all devices; the next part next time."""
        start = 0 if self._turn_at >= len(self._places) else self._turn_at
        self._turn_at = start + len(self._places) // parts + 1
        return [known for known in self._places[start : self._turn_at] if known is not None]

    def mark(self, known: KnownDevice, *, silent_since: float | None) -> None:
        """Note that the device has fallen silent, or is so no more; its row is written first."""
        self.silent_count += (silent_since is not None) - (known.silent_since is not None)
        known.silent_since = silent_since
        self._urgent[known.place] = None

    # On the way of every reading.

    def see(self, messages: Sequence[Put]) -> None:
        """Note whose messages these are; `fold` does the rest."""
        if not messages:
            return
        self._seen_at = messages[-1].received_at
        seen, unreadable = self._seen, self._unreadable
        for one in messages:
            if type(one) is NewReading:  # isinstance takes twice as long
                seen[one.device] = one.measured_at
            else:
                unreadable[one.device] = ""

    def see_unrouted(self, readings: Sequence[Unrouted]) -> None:
        """Note whose readings these are, at least one, that no endpoint wants."""
        self._seen_at = readings[-1].received_at
        self._unrouted.update((one.device, one.measured_at) for one in readings)

    # Off the way of readings.

    @property
    def has_more(self) -> bool:
        """Whether more sightings wait for `keep`."""
        return not self._is_round_over

    def keep(self, rows: Rows, *, now: float) -> None:
        """Fold some sightings, and add to `rows` what the next commit takes along; `now` is monotonic seconds."""
        self.fold(now=now)
        rows |= self.rows(now=now)

    def keep_all(self, rows: Rows, *, now: float) -> None:
        """Fold all sightings, and add every changed record to `rows`; for the end."""
        self._finish_round(now)
        while self.fold(now=now):
            pass
        changed = [known.place for known in self if known.is_changed]
        rows |= self._taken([*self._urgent, *changed], now)

    def _finish_round(self, now: float) -> None:
        while not self._is_round_over:
            self.fold(now=now)

    def fold(self, *, now: float) -> bool:
        """Bring some sightings into the records; returns whether more sightings wait."""
        if self._is_round_over:
            self._begin_round()
        most = max(FOLDED_AT_ONCE, self._round_size // 20)
        taken = 0
        for taken, (device, measured_at, kind) in enumerate(islice(self._round, most), start=1):  # noqa: B007
            self._take(device, measured_at, kind, now)
        self._is_round_over = taken < most
        return not self._is_round_over

    def _begin_round(self) -> None:
        kinds: tuple[tuple[Kind, dict[Device, str]], ...] = (
            ("routed", self._seen),
            ("unrouted", self._unrouted),
            ("unreadable", self._unreadable),
        )
        # `see` gets new dictionaries, because the round goes over the old ones through many turns of the loop.
        self._seen, self._unrouted, self._unreadable = {}, {}, {}
        self._round_at = self._seen_at
        self._round_size = sum(len(seen) for _, seen in kinds)
        self._round = chain.from_iterable(
            zip(seen.keys(), seen.values(), repeat(kind), strict=False) for kind, seen in kinds
        )

    def _take(self, device: Device, measured_at: str, kind: Kind, now: float) -> None:
        known = self._known.get(device) or self._begin(device)
        if kind == "unreadable":
            known.unreadable_at, known.is_changed = self._round_at, True
        else:
            known.report(measured_at, at=self._round_at, now=now, is_routed=kind == "routed")
        if not known.is_established:
            self._newcomers[device] = None
            self._newcomers.move_to_end(device)
        elif device in self._newcomers:
            del self._newcomers[device]

    def _begin(self, device: Device) -> KnownDevice:
        known = KnownDevice(self._free_place(), device, first_at=self._round_at)
        self._places[known.place] = self._known[device] = known
        self._urgent[known.place] = None
        return known

    def _free_place(self) -> int:
        if self._free:
            return self._free.pop()
        if len(self._places) < self._most:
            self._places.append(None)
            return len(self._places) - 1
        if self._newcomers:
            device, _ = self._newcomers.popitem(last=False)
        else:
            device = self._longest_silent()
        return self._leave(device).place

    def _leave(self, device: Device) -> KnownDevice:
        known = self._known.pop(device)
        self.silent_count -= known.silent_since is not None
        return known

    def _longest_silent(self) -> Device:
        """The longest silent of some devices; each call asks the next ones."""
        some = [self._places[(self._asked_at + at) % self._most] for at in range(_CANDIDATES)]
        self._asked_at = (self._asked_at + _CANDIDATES) % self._most
        return min(filter(None, some), key=lambda known: known.last_at or 0.0).device

    def rows(self, *, now: float) -> Rows:
        """The rows that the next commit takes along, at most WRITTEN_AT_ONCE; `now` is monotonic seconds."""
        places = list(islice(self._urgent, WRITTEN_AT_ONCE))
        for place in self._next_places():
            if len(places) >= WRITTEN_AT_ONCE:
                break
            self._looked_at = place + 1
            known = self._places[place]
            if known and known.is_changed and now - known.written_at >= WRITTEN_EVERY_SECONDS:
                places.append(place)
        return self._taken(places, now)

    def _next_places(self) -> Iterable[int]:
        """The next places to look at, so that all have their turn."""
        if self._looked_at >= len(self._places):
            self._looked_at = 0
        return range(self._looked_at, min(self._looked_at + _LOOKED_THROUGH, len(self._places)))

    def _taken(self, places: Iterable[int], now: float) -> Rows:
        rows: Rows = {}
        for place in places:
            self._urgent.pop(place, None)
            known = self._places[place] if place < len(self._places) else None
            rows[place] = known.record() if known else None
            if known:
                known.is_changed, known.written_at = False, now
        return rows

    def forget(self, device: Device, *, now: float) -> None:
        """Forget a device that a command has erased."""
        # A round under way may have sightings of the device, which would make its record anew.
        self._finish_round(now)
        for seen in (self._seen, self._unrouted, self._unreadable):
            seen.pop(device, None)
        if device in self._known:
            known = self._leave(device)
            self._newcomers.pop(device, None)
            self._places[known.place] = None
            self._urgent.pop(known.place, None)
            self._free.append(known.place)
