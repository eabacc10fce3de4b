"""Which devices are silent, and what of it is told: by hand-set time, and over a simulated fleet."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.properties import examples
from support.readings import endpoint

from forwarder.notice import DeviceResumed, DeviceSilent, DevicesSilent, Notice
from forwarder.notices.silence import (
    FIRST_NAMES,
    GATHERED_SECONDS,
    JUDGED_EVERY_SECONDS,
    LEAST_SECONDS,
    LOOK_SECONDS,
    SUBJECT,
    TOLD_SINGLY,
    Dismissed,
    Remembered,
    Silence,
    Silences,
    Transition,
    limits_of,
)
from forwarder.outbox import DeviceRecord, Devices, NewReading, Recipient
from forwarder.outbox.intervals import KEPT_INTERVALS, with_interval
from forwarder.reading import Device, WebhookId, rfc3339
from forwarder.routes import (
    AfterIntervals,
    AfterSeconds,
    Endpoint,
    EndpointName,
    Routes,
    SilentAfter,
)

START = 1763460000.0
ONE, TWO = Device("ECC9FF5C0001"), Device("ECC9FF5C0002")
ACME = (Recipient("acme"),)
LATE_SECONDS = 5.0
"""How long after `silent_after` a silence is told at the latest."""


def routes(*endpoints: Endpoint, devices: Sequence[Device] = ()) -> Routes:
    """All endpoints get these devices; none named: every device."""
    names = tuple(one.name for one in endpoints)
    return Routes(
        {one.name: one for one in endpoints},
        every_device=() if devices else names,
        by_device=dict.fromkeys(devices, names),
        groups={},
    )


def after(silent_after: SilentAfter | None, name: str = "acme") -> Endpoint:
    return endpoint(name, silent_after=silent_after)


@cache
def text(unix: float) -> str:
    return rfc3339(datetime.fromtimestamp(unix, UTC))


def reading(device: Device, at: float) -> NewReading:
    """Measured to the second, as devices do."""
    return NewReading(WebhookId("msg_"), device, text(float(int(at))), at, b"", ACME)


@dataclass
class Watched:
    """Devices, and what is told of them; time passes in looks of half a second."""

    devices: Devices
    routes: Routes = field(default_factory=lambda: routes(after(AfterIntervals(3.0))))
    elapsed: float = 0.0
    is_flowing: bool = True
    transitions: list[tuple[float, Transition]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.silence = Silence(self.devices, tell=self._take)
        self.silence.use(self.routes)

    def _take(self, transitions: Sequence[Transition]) -> None:
        self.transitions += [(self.elapsed, one) for one in transitions]

    def hear(self, *devices: Device) -> None:
        self.devices.see([reading(one, START + self.elapsed) for one in devices])

    def look(self) -> None:
        self.elapsed += LOOK_SECONDS
        rows: dict[int, DeviceRecord | None] = {}
        self.devices.keep(rows, now=1000.0 + self.elapsed)
        for _ in range(4):  # a tenth of a second later, where there is more
            if self.devices.has_more:
                self.devices.keep(rows, now=1000.0 + self.elapsed)
        self.silence.look(is_flowing=self.is_flowing, now=1000.0 + self.elapsed)

    def wait(self, seconds: float) -> None:
        until = self.elapsed + seconds
        while self.elapsed < until:
            self.look()

    def report(self, device: Device, *, every: float, times: int) -> None:
        for _ in range(times):
            self.hear(device)
            self.wait(every)

    @property
    def told(self) -> list[tuple[str, str]]:
        """Without what is told again each minute."""
        found = dict.fromkeys(
            (type(one).__name__, one.device, one.since)
            for _, one in self.transitions
            if not isinstance(one, Dismissed)
        )
        return [(kind, device) for kind, device, _ in found]


@pytest.fixture
def watched() -> Watched:
    return Watched(Devices(1000))


def test_a_device_falls_silent_after_its_own_intervals(watched: Watched) -> None:
    """Three of them after its last reading, and told with since when."""
    watched.report(ONE, every=60, times=6)
    last_at = watched.elapsed - 60
    watched.wait(180 - 60 - 1)
    assert watched.told == []
    watched.wait(1 + LATE_SECONDS)
    (_, told), *_ = watched.transitions
    assert told == DeviceSilent(ONE, START + last_at, 180.0)
    assert watched.devices.silent_count == 1


def test_ninety_seconds_are_the_least(watched: Watched) -> None:
    """A device that reports each second is not silent after three."""
    watched.report(ONE, every=1, times=20)
    watched.wait(LEAST_SECONDS - 2)
    assert watched.told == []
    watched.wait(LATE_SECONDS + 2)
    assert watched.told == [("DeviceSilent", ONE)]


def test_a_device_that_reports_again_is_told_once(watched: Watched) -> None:
    """With since when it had been silent."""
    watched.report(ONE, every=10, times=6)
    watched.wait(300)
    watched.report(ONE, every=10, times=3)
    assert watched.told == [("DeviceSilent", ONE), ("DeviceResumed", ONE)]
    since = [one.since for _, one in watched.transitions if not isinstance(one, Dismissed)]
    assert since[0] == since[-1]
    assert watched.devices.silent_count == 0


@pytest.mark.parametrize(("times", "is_told"), [(4, False), (6, True)])
def test_hardly_seen_devices_are_never_silent(
    watched: Watched, times: int, *, is_told: bool
) -> None:
    """Fewer than five sightings make no usual interval."""
    watched.report(ONE, every=10, times=times)
    watched.wait(1000)
    assert bool(watched.told) is is_told


def test_a_fixed_time_needs_one_reading_alone() -> None:
    """It is not learnt."""
    watched = Watched(Devices(10), routes(after(AfterSeconds(120.0))))
    watched.report(ONE, every=1, times=1)
    watched.wait(117)
    assert watched.told == []
    watched.wait(2 + LATE_SECONDS)
    assert watched.told == [("DeviceSilent", ONE)]


def test_unrouted_devices_are_never_silent() -> None:
    """Nor those of an endpoint that asks for none."""
    watched = Watched(Devices(10), routes(after(AfterSeconds(90.0)), devices=[TWO]))
    watched.report(ONE, every=10, times=6)
    watched.wait(1000)
    off = Watched(Devices(10), routes(after(None)))
    off.report(ONE, every=10, times=6)
    off.wait(1000)
    assert watched.told == off.told == []


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        ([AfterSeconds(600.0), AfterSeconds(300.0)], 300.0),
        ([AfterSeconds(600.0), None], 600.0),
        ([AfterIntervals(5.0), AfterIntervals(4.0)], 240.0),
        ([AfterIntervals(3.0), AfterSeconds(100.0)], 100.0),
        ([AfterIntervals(3.0), AfterSeconds(600.0)], 180.0),
        ([None, None], None),
    ],
)
def test_the_shortest_counts(asked: list[SilentAfter | None], seconds: float | None) -> None:
    """Of several endpoints, for a device that reports each minute."""
    endpoints = [after(one, f"e{number}") for number, one in enumerate(asked)]
    devices = Devices(10)
    record = DeviceRecord(ONE, START, START, text(START), 9, with_interval(b"", 60.0), None, None)
    devices.restore([(0, record)])
    known = devices.find(ONE)
    assert known is not None
    names = [EndpointName(one.name) for one in endpoints]
    assert limits_of(routes(*endpoints), names).seconds_for(known) == seconds


def test_while_nothing_can_come_nobody_is_silent(watched: Watched) -> None:
    """And when it can again, each device has its whole time once more."""
    watched.report(ONE, every=10, times=6)
    watched.is_flowing = False
    watched.wait(3600)
    watched.is_flowing = True
    watched.wait(LEAST_SECONDS - 1)
    assert watched.told == []
    watched.wait(1 + LATE_SECONDS)
    assert watched.told == [("DeviceSilent", ONE)]


def test_a_clock_that_is_set_makes_nobody_silent(watched: Watched) -> None:
    """What has passed is measured by the clock that never steps."""
    watched.report(ONE, every=10, times=6)
    known = watched.devices.find(ONE)
    assert known is not None
    assert known.last_at is not None
    known.last_at -= 86_400.0
    watched.wait(60)
    assert watched.told == []


def test_an_edit_counts_at_once() -> None:
    """A shorter time is judged by within seconds; who is silent and nobody's any more is it no more, without a word."""
    watched = Watched(Devices(10), routes(after(AfterSeconds(3600.0))))
    watched.report(ONE, every=10, times=6)
    watched.wait(300)
    watched.silence.use(routes(after(AfterSeconds(90.0))))
    watched.wait(LATE_SECONDS)
    assert watched.told == [("DeviceSilent", ONE)]
    watched.silence.use(routes(after(None)))
    watched.wait(LATE_SECONDS)
    assert watched.told == [("DeviceSilent", ONE)]
    assert watched.transitions[-1][1] == Dismissed(ONE)
    assert watched.devices.silent_count == 0


def test_a_restart_forgets_no_silent_device(watched: Watched) -> None:
    """It stays silent, is told again to whoever may not know, and its return is noticed."""
    watched.report(ONE, every=10, times=6)
    watched.wait(300)
    known = watched.devices.find(ONE)
    assert known is not None
    record = known.record()
    again = Watched(Devices(10), elapsed=watched.elapsed + 60)
    again.devices.restore([(0, record)])
    assert again.devices.silent_count == 1
    again.wait(LATE_SECONDS)
    assert again.transitions[0][1] == watched.transitions[0][1]
    again.report(ONE, every=10, times=1)
    assert again.told == [("DeviceSilent", ONE), ("DeviceResumed", ONE)]


def test_who_stays_silent_is_told_again_each_minute(watched: Watched) -> None:
    """Whoever is told may be new; no more often."""
    watched.report(ONE, every=10, times=6)
    watched.wait(LEAST_SECONDS + LATE_SECONDS + 10 * JUDGED_EVERY_SECONDS)
    assert 9 <= len(watched.transitions) <= 11
    assert len({one for _, one in watched.transitions}) == 1


# What is told of them.


def silent(number: int, since: float = START) -> DeviceSilent:
    return DeviceSilent(f"{number:012X}", since, 90.0)


def resumed(number: int, since: float = START) -> DeviceResumed:
    return DeviceResumed(f"{number:012X}", since, since + 100)


@dataclass
class Told:
    """Notices, and what is remembered of them, as an outbox would keep both."""

    silences: Silences = field(default_factory=lambda: Silences({}))
    kept: Remembered = field(default_factory=dict)
    notices: list[Notice] = field(default_factory=list)

    def take(self, *transitions: Transition, now: float = 0.0) -> list[Notice]:
        changes: Remembered = {}
        notices = [*self.silences.take(transitions, changes, unix=START + now, now=now)]
        notices += self.silences.due(changes, now=now)
        self.kept |= changes
        self.kept = {subject: one for subject, one in self.kept.items() if one is not None}
        self.notices += notices
        return notices

    def restart(self) -> None:
        self.silences = Silences({s: one for s, one in self.kept.items() if one is not None})


def test_twenty_are_told_singly_and_the_others_together() -> None:
    """The others at the end of their minute, with their number and the first names."""
    told = Told()
    singly = told.take(*map(silent, range(50)))
    assert singly == [*map(silent, range(TOLD_SINGLY))]
    assert told.take(now=GATHERED_SECONDS - 1) == []
    (together,) = told.take(now=GATHERED_SECONDS)
    assert together == DevicesSilent(
        START, 30, tuple(f"{n:012X}" for n in range(TOLD_SINGLY, TOLD_SINGLY + FIRST_NAMES))
    )
    assert told.take(silent(99), now=GATHERED_SECONDS + 1) == [silent(99)]


def test_only_who_was_told_singly_is_told_as_resumed() -> None:
    """Each of twenty, and none of the thousands beside them."""
    told = Told()
    told.take(*map(silent, range(50)))
    told.take(now=GATHERED_SECONDS)
    assert told.take(*map(resumed, range(50)), now=100) == [*map(resumed, range(TOLD_SINGLY))]
    assert told.kept == {}


def test_whom_nobody_asks_for_any_more_is_forgotten_without_a_word() -> None:
    """So nothing is told of its return, however late that is."""
    told = Told()
    told.take(*map(silent, range(21)))
    told.take(Dismissed(silent(0).device), Dismissed(silent(20).device), now=30)
    assert told.take(resumed(0), now=GATHERED_SECONDS) == []
    assert f"{SUBJECT}{0:012X}" not in told.kept


def test_who_resumes_within_the_minute_is_not_counted() -> None:
    """There is nothing to be told of it any more."""
    told = Told()
    told.take(*map(silent, range(21)))
    told.take(resumed(20), now=30)
    assert told.take(now=GATHERED_SECONDS) == []


def test_what_was_told_is_not_told_again() -> None:
    """Neither in the same process nor in the next; a new silence is."""
    told = Told()
    told.take(silent(1))
    assert told.take(silent(1), now=60) == []
    told.restart()
    assert told.take(silent(1), now=120) == []
    assert told.take(resumed(1), silent(1, START + 500), now=600) == [
        resumed(1),
        silent(1, START + 500),
    ]


def test_what_was_not_told_before_a_crash_is_told_after_it() -> None:
    """The others of a minute that was not over are silent still, and so told to the next process again."""
    told = Told()
    told.take(*map(silent, range(25)))
    told.restart()
    assert told.take(*map(silent, range(25)), now=0.0) == [*map(silent, range(20, 25))]


def test_remembered_nonsense_is_ignored() -> None:
    """Rows that nobody can read are as if never told."""
    told = Told(
        Silences({SUBJECT + "A": {}, SUBJECT + "B": {"since": "x"}, "stream": {"since": 1}})
    )
    assert told.take(silent(1)) == [silent(1)]


@settings(max_examples=examples(60), deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["silent", "resumed", "restart", "time"]), st.integers(0, 60)),
        max_size=150,
    )
)
def test_each_silence_is_told_once_whatever_happens(steps: list[tuple[str, int]]) -> None:
    """Singly, or counted among the others; told as resumed only after that; restarts change nothing of it."""
    told, now = Told(), 0.0
    since: dict[int, float] = {}
    ended: set[tuple[int, float]] = set()
    for step, number in steps:
        now += 1
        match step:
            case "silent" if number not in since:
                since[number] = START + now
                told.take(silent(number, START + now), now=now)
            case "resumed" if number in since:
                ended.add((number, since[number]))
                told.take(resumed(number, since.pop(number)), now=now)
            case "restart":
                told.restart()
                told.take(*(silent(n, at) for n, at in since.items()), now=now)
            case "time":
                now += number
                told.take(*(silent(n, at) for n, at in since.items()), now=now)
    now += GATHERED_SECONDS
    told.take(*(silent(n, at) for n, at in since.items()), now=now)
    told.take(now=now + GATHERED_SECONDS)
    singly = Counter(one for one in told.notices if isinstance(one, DeviceSilent))
    back = Counter(one for one in told.notices if isinstance(one, DeviceResumed))
    assert set(singly.values()) | set(back.values()) <= {1}
    assert {(one.device, one.since) for one in back} <= {(one.device, one.since) for one in singly}
    assert {f"{SUBJECT}{number:012X}" for number in since} == set(told.kept)


# A fleet.


@dataclass
class Fleet:
    """Devices that report at jittered intervals; some stop for good."""

    random: Random
    size: int
    intervals: list[float]
    stops_at: dict[int, float]
    due: defaultdict[int, list[int]] = field(default_factory=lambda: defaultdict(list))

    @staticmethod
    def of(size: int, *, silent: int, until: float, random: Random) -> "Fleet":
        intervals = [random.uniform(20, 120) for _ in range(size)]
        stopping = random.sample(range(size), silent)
        stops_at = {number: random.uniform(1, until) for number in stopping}
        fleet = Fleet(random, size, intervals, stops_at)
        for number in range(size):
            fleet.due[1 + int(random.uniform(0, intervals[number]) / LOOK_SECONDS)].append(number)
        return fleet

    def records(self) -> list[tuple[int, DeviceRecord]]:
        """As an outbox knows them from before."""
        return [
            (number, DeviceRecord(
                name(number), START, START, text(START), 9, KEPT_INTERVALS * with_interval(b"", every), None, None
            ))
            for number, every in enumerate(self.intervals)
        ]  # fmt: skip

    def report(self, tick: int) -> list[NewReading]:
        """Who reports now; each reports again after its interval, a quarter earlier or later."""
        at = tick * LOOK_SECONDS
        found = []
        for number in self.due.pop(tick, ()):
            if at >= self.stops_at.get(number, float("inf")):
                continue
            found.append(reading(name(number), START + at))
            wait = self.intervals[number] * self.random.uniform(0.75, 1.25)
            self.due[tick + max(1, round(wait / LOOK_SECONDS))].append(number)
        return found


@cache
def name(number: int) -> Device:
    return Device(f"{number:012X}")


def test_a_fleet_with_a_broker_outage() -> None:
    """
    20,000 devices (in short a tenth), of which 1 % stop, before, during and after an outage of the broker of 2 minutes.

    No other is told as silent, and each of these is, within its time and five seconds, which count from the end of the
    outage where its last reading lies before that.
    """
    fleet = Fleet.of(examples(20_000), silent=examples(200), until=500.0, random=Random(20251118))
    watched = Watched(Devices(100_000))
    watched.devices.restore(fleet.records())
    away = range(600, 840)
    backlog: list[NewReading] = []
    arrived: dict[str, float] = {}
    for tick in range(1, int(900 / LOOK_SECONDS)):
        watched.is_flowing = tick not in away
        backlog += fleet.report(tick)
        if watched.is_flowing:
            watched.devices.see(backlog[:5000])
            arrived.update((one.device, watched.elapsed) for one in backlog[:5000])
            del backlog[:5000]
        watched.look()
    told = {
        one.device: (at, one) for at, one in reversed(watched.transitions)
        if isinstance(one, DeviceSilent)
    }  # fmt: skip
    assert set(told) == {name(number) for number in fleet.stops_at}
    assert not any(isinstance(one, DeviceResumed) for _, one in watched.transitions)
    for at, one in told.values():
        begin = arrived.get(one.device, 0.0)
        latest = begin + one.silent_after_seconds + LATE_SECONDS
        if (
            begin < away.stop * LOOK_SECONDS
            and latest > away.start * LOOK_SECONDS
            and at >= away.start * LOOK_SECONDS
        ):
            begin = away.stop * LOOK_SECONDS
        assert 0 <= at - begin - one.silent_after_seconds <= LATE_SECONDS


class Asked(Routes):
    """A table that counts who is looked up in it."""

    def __init__(self, *endpoints: Endpoint) -> None:
        table = routes(*endpoints)
        super().__init__(table.endpoints, every_device=(), by_device={}, groups={})
        self._names = tuple(table.endpoints)
        self.count = 0

    def match(self, device: Device) -> tuple[EndpointName, ...]:
        self.count += 1
        return self._names


def test_a_fleet_costs_little() -> None:
    """Each of 20,000 devices is judged about once a minute, however often it reports; an edit has all judged anew."""
    fleet = Fleet.of(examples(20_000), silent=0, until=1.0, random=Random(20251118))
    table = Asked(after(AfterIntervals(3.0)))
    watched = Watched(Devices(100_000), table)
    watched.devices.restore(fleet.records())
    for tick in range(1, int(240 / LOOK_SECONDS)):
        watched.devices.see(fleet.report(tick))
        watched.look()
    minutes = 240 / JUDGED_EVERY_SECONDS
    assert table.count <= fleet.size * (minutes + 1)
    assert table.count >= fleet.size * (minutes - 1)
