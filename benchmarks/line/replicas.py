"""
Forwarders on one PostgreSQL, all on this machine: what a reading costs there, and how long things take.

The database is Debian's with its own settings but for `shared_buffers`: it fsyncs each commit. Nobody but the database
joins the replicas, so that CPU by reading tells what they cost where each has a machine.
"""

import signal
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import stock
from capacity import FORMS, Form
from extent import WARM_UP_SECONDS, Extent, Row
from parts import ROOT, Forwarder, shared_out, wait_until
from run import Line, a_line

sys.path.append(str(ROOT / "tests"))

COUNTS = (1, 2, 4)
ENDPOINTS = 8
PACES = {"singly": 1_000.0, "100 per POST": 3_000.0}
"""Readings per second over all replicas at which costs are compared."""
LATENCY_PACE = 200.0
MOST_SECONDS = 8.0
"""Of a run: these figures settle early, and a long extent would make the family an hour's."""
LEAST_ROUNDS = 3
"""Of what hangs on the disk's mood: the median counts."""
INGESTED_EACH_SECOND = 10_000
"""So many readings for each second of a run are published as fast as the broker takes them."""


@dataclass(frozen=True)
class Place:
    """A line and a database, for replicas to join."""

    line: Line
    url: str
    connection: Any
    server_cpu_seconds: Callable[[], float]

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(statement).fetchall()

    def replica(self, name: str, endpoints: Mapping[str, Any]) -> Forwarder:
        return self.line.forwarder(endpoints, name=name, outbox_url=self.url)

    def until_members(self, count: int) -> None:
        wait_until(
            lambda: self.ask("SELECT count(*) FROM member") == [(count,)], what="the joining"
        )


@contextmanager
def a_place(*, max_inflight: int = 1000) -> Iterator[Place]:
    import psycopg  # others need not have the driver, nor what stands on it
    from support.postgres import PostgresServer

    with (
        PostgresServer(fsync="on", shared_buffers="256MB") as server,
        a_line(max_inflight=max_inflight) as line,
    ):
        url = server.database().url
        with psycopg.connect(url, autocommit=True) as connection:
            yield Place(line, url, connection, server.cpu_seconds)


@dataclass(frozen=True)
class Team:
    """Replicas at their place; the first one leads."""

    place: Place
    endpoints: Mapping[str, Any]
    replicas: list[Forwarder] = field(default_factory=list)

    def grow(self, count: int) -> None:
        """Have replicas join until there are so many."""
        for number in range(len(self.replicas), count):
            self.replicas.append(self.place.replica(f"replica-{number}", self.endpoints))
            self.leader.wait_subscribed()
        self.place.until_members(count)

    @property
    def leader(self) -> Forwarder:
        return self.replicas[0]

    @contextmanager
    def counting(self) -> Iterator[dict[str, float]]:
        """Fills in the CPU µs of leader, all replicas and database that the block takes."""
        found: dict[str, float] = {}
        before = self._cpu_seconds()
        yield found
        *own, server = (
            1e6 * (late - early) for early, late in zip(before, self._cpu_seconds(), strict=True)
        )
        found |= {"leader": own[0], "replicas": sum(own), "database": server}

    def _cpu_seconds(self) -> list[float]:
        return [*(one.cpu_seconds for one in self.replicas), self.place.server_cpu_seconds()]

    def measured(self, **load: float) -> Mapping[str, Any]:
        """One load's figures, costs included: µs a reading."""
        with self.counting() as spent:
            figures = self.place.line.load(self.leader, **load)
        costs = {f"{part}_us": value / max(1, figures.arrived) for part, value in spent.items()}
        return figures.raw() | costs | {"replicas": len(self.replicas)}

    def share_out(self) -> None:
        """Return once every endpoint has had a reading, and each replica has its part of them."""
        self.place.line.load(self.leader, rate=1_000, seconds=WARM_UP_SECONDS)
        owned = "SELECT count(*) FROM home GROUP BY owner"
        even = [(ENDPOINTS // len(self.replicas),)] * len(self.replicas)
        wait_until(lambda: self.place.ask(owned) == even, what="the sharing out of endpoints")


@contextmanager
def a_team(
    count: int, *, endpoints: int = ENDPOINTS, form: Form = FORMS[0], max_inflight: int = 1000
) -> Iterator[Team]:
    with a_place(max_inflight=max_inflight) as place:
        team = Team(place, shared_out(place.line.receiver.port, endpoints, form.settings))
        team.grow(count)
        yield team


def seconds_of(extent: Extent) -> float:
    return min(extent.seconds, MOST_SECONDS)


def ingest(extent: Extent) -> Iterator[Row]:
    """What one leader stores and acknowledges while its endpoint is paused, of a flood that the broker holds."""
    count = int(INGESTED_EACH_SECOND * seconds_of(extent))
    for max_inflight in extent.inflights:
        with a_team(1, endpoints=1, max_inflight=max_inflight) as team:
            team.leader.command("endpoints", "pause", "all")
            run = _ingested(team, count) | {"max_inflight": max_inflight}
        yield Row(
            f"readings stored and acknowledged, endpoint paused, inflight {max_inflight}",
            f"{run['rate']:,.0f}/s, {run['leader_us']:.0f} µs of the leader and {run['database_us']:.0f} µs of the"
            " database a reading",
            is_void=not run["is_complete"],
            runs=[run],
        )


def _ingested(team: Team, count: int) -> dict[str, Any]:
    place, accepted = team.place, 'forwarder_messages_total{outcome="accepted"}'
    started = time.monotonic()
    with team.counting() as spent:
        place.line.publishing(ahead=10**9, count=count).finish()
        # A scrape of all metrics costs more than a look at one row.
        stored = f"SELECT last >= {count} FROM line"
        wait_until(lambda: place.ask(stored) == [(True,)], what="the last reading", every=0.02)
        wait_until(lambda: team.leader.counted(accepted) >= count, what="the last acknowledgement")
        seconds = time.monotonic() - started
    costs = {f"{part}_us": value / count for part, value in spent.items()}
    pending = place.ask("SELECT count(*) FROM delivery WHERE state = 'pending'")
    return costs | {
        "rate": count / seconds,
        "seconds": seconds,
        "is_complete": pending == [(count,)],
    }


def full(extent: Extent) -> Iterator[Row]:
    """One replica and the database, as fast as they can."""
    for form in FORMS:
        runs = []
        for _ in range(extent.rounds):
            with a_team(1, endpoints=1, form=form) as team:
                team.place.line.load(team.leader, ahead=form.ahead, seconds=WARM_UP_SECONDS)
                runs.append(
                    team.measured(ahead=form.ahead, seconds=seconds_of(extent))
                    | {"form": form.name}
                )
        yield _row(f"one replica, {form.name}", runs)


def costs(extent: Extent) -> Iterator[Row]:
    """The same readings per second over one replica, then two, then four."""
    runs: defaultdict[tuple[str, int], list[Mapping[str, Any]]] = defaultdict(list)
    for _, form in product(range(max(LEAST_ROUNDS, extent.rounds)), FORMS):
        load = {"rate": PACES[form.name], "seconds": seconds_of(extent) / 2}
        told = {"form": form.name, "rate_asked": PACES[form.name]}
        with a_team(1, form=form) as team:
            for count in COUNTS:
                team.grow(count)
                team.share_out()
                runs[form.name, count].append(team.measured(**load) | told)
    for (form, count), some in runs.items():
        yield _row(f"replicas: {count}, {form}", some)


def latency(extent: Extent) -> Iterator[Row]:
    """One replica, and two of which one reads back what the other has put."""
    runs: defaultdict[int, list[Mapping[str, Any]]] = defaultdict(list)
    for _ in range(max(LEAST_ROUNDS, extent.rounds)):
        with a_team(1) as team:
            for count in COUNTS[:2]:
                team.grow(count)
                team.share_out()
                run = team.measured(rate=LATENCY_PACE, seconds=seconds_of(extent))
                runs[count].append(run)
    for count, some in runs.items():
        yield _row(f"replicas: {count}, publish to 2xx at {LATENCY_PACE:.0f}/s", some)


def _row(figure: str, runs: Sequence[Mapping[str, Any]]) -> Row:
    middle = {
        key: statistics.median(run[key] for run in runs)
        for key in runs[0]
        if key.endswith(("rate", "_us", "_ms"))
    }
    return Row(
        figure,
        f"{middle['rate']:,.0f}/s, p50 {middle['p50_ms']:.1f}, p99 {middle['p99_ms']:.1f} ms; µs a reading:"
        f" replicas {middle['replicas_us']:.0f}, the leader's part {middle['leader_us']:.0f},"
        f" database {middle['database_us']:.0f}",
        is_void=not all(run["is_complete"] for run in runs),
        runs=runs,
    )


def takeover(extent: Extent) -> Iterator[Row]:
    """The home of a backlog goes from a replica that is told to stop to another one."""
    with a_place() as place:
        routes = shared_out(place.line.receiver.port, 1, {})
        first = place.replica("first", routes)
        first.wait_subscribed()
        first.stop()
        stock.fill_database(
            place.connection,
            endpoint="all",
            count=extent.pending,
            devices=min(20_000, extent.pending),
        )
        seconds = _taken_over(place, routes)
    yield Row(
        f"a home with {extent.pending:,} pending, from its release to the first attempt elsewhere",
        f"{seconds:.2f} s",
        runs=[{"takeover_seconds": seconds, "pending": extent.pending}],
    )


def _taken_over(place: Place, routes: Mapping[str, Any]) -> float:
    """Seconds until the second replica's first attempt, since the first one's home was seen to be its own no more."""
    arrived = place.line.arrived
    first = place.replica("first", routes)
    wait_until(lambda: arrived.requests, what="the first attempt")
    place.replica("second", routes)
    place.until_members(2)
    owner = place.ask("SELECT owner FROM home")
    first.process.send_signal(signal.SIGTERM)
    wait_until(lambda: place.ask("SELECT owner FROM home") != owner, what="the release")
    released_at, requests = time.monotonic(), arrived.requests
    wait_until(lambda: arrived.requests > requests, what="the first attempt elsewhere")
    return time.monotonic() - released_at


REPLICAS: Mapping[str, Callable[[Extent], Iterator[Row]]] = {
    "replicas-ingest": ingest,
    "replicas-full": full,
    "replicas-costs": costs,
    "replicas-latency": latency,
    "replicas-takeover": takeover,
}
