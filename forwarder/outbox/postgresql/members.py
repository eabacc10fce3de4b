"""
The replicas on one database, and which of them leads.

    join ─▶ follows ──────────────────────────────▶ leads ─▶ leaves
               ▲   the line is free, or its owner      │
               └──────── is no member any more         │ its beats do not commit: it stops by itself
                                                       ▼ (the service sends nothing until one does)
                                                     declared dead, by a member that saw its beat stand still

A beat is a commit, made by a thread of its own over a session of its own. Replicas observe a death, and compare no
clocks, neither the machines' nor the database's. A database that stands still stops looks as well as beats, so nobody
is declared dead for it. A replica that was declared dead never works again, because others have taken what it had.

With each beat a replica sees the members, the owners of homes, and the homes that should be its own (sharing_out.py).
Between beats a bell tells it at once that others have committed something for it. The bell is a message on a channel,
and nothing depends on it.
"""

import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from secrets import token_hex

from forwarder import __version__
from forwarder.errors import OutboxError, OutboxLocked
from forwarder.outbox.postgresql import schema
from forwarder.outbox.postgresql.connection import (
    PostgresConnection,
    connect,
    opened_connection,
    translated,
)
from forwarder.outbox.postgresql.sharing_out import share
from forwarder.outbox.postgresql.statements import CHANNEL, HOMES_CHANGED
from forwarder.outbox.records import Replica
from forwarder.outbox.seat import HomesView, Seat
from forwarder.settings import Database

BEAT_SECONDS = 1.0
BELL_SECONDS = 1.0
"""The bell waits this long for a message before it looks whether to end, and this long after it lost its session."""
SURE_SECONDS = 4.0
"""A replica may believe that it leads for this long after it has sent its last beat that committed."""
DEAD_SECONDS = 6.0
"""A replica whose beat stands still for this long is dead, and unsure before, even if clock rates differ by a third."""
LEAST_LOOKS = 4
"""This many looks have to find a beat standing still, because the observer may have stood still itself."""
CLOCK_SECONDS = 1.0
"""Clocks that differ by less count as alike, because a busy machine measures no better."""
DIFFERING_SECONDS = 5.0
"""Another replica's routes have to differ for this long to be worth a warning."""

_JOIN = """
    INSERT INTO member (id, name, version, state) VALUES (?, ?, ?, jsonb_build_object('deployment', ?::text))
    ON CONFLICT (id) DO NOTHING"""
_BEAT = """
    UPDATE member SET beat = beat + 1, state = state || jsonb_build_object(
        'routes', ?::text, 'session', ?::text, 'leaves', ?::boolean)
    WHERE id = ? RETURNING extract(epoch FROM clock_timestamp())::float8"""
_MEMBERS = """
    SELECT id, name, beat, state ->> 'routes', state ->> 'session', coalesce((state ->> 'leaves')::boolean, false)
    FROM member
    ORDER BY id"""
_HOMES = "SELECT name, owner FROM home JOIN endpoint_row ON id = endpoint WHERE shard = 0"
_WITHOUT_SESSION = """
    SELECT id FROM member WHERE id = ANY(?) AND NOT EXISTS (
        SELECT 1 FROM pg_stat_activity WHERE application_name = 'forwarder ' || id)"""
_STRANGERS = """
    SELECT name, state ->> 'deployment' FROM member
    WHERE id <> ? AND state ->> 'deployment' <> ? AND EXISTS (
        SELECT 1 FROM pg_stat_activity WHERE application_name = 'forwarder ' || id)
    ORDER BY id LIMIT 1"""
_BURY = "DELETE FROM member WHERE id = ANY(?)"
_END_SESSIONS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE application_name = ANY(?) AND usename = current_user"""
# Of two replicas that try at once, the second waits for the line's row, and then finds the first to be its owner.
_LEAD = """
    UPDATE line SET owner = ?, deployment = ? WHERE owner IS NULL OR owner = ?
        OR NOT EXISTS (SELECT 1 FROM member WHERE id = owner) RETURNING owner"""
_LEADER = "SELECT name FROM member JOIN line ON owner = id"
_REPLICAS = """
    SELECT name, version, id IS NOT DISTINCT FROM (SELECT owner FROM line), beat, coalesce(state ->> 'routes', ''),
        ARRAY(SELECT r.name FROM home h JOIN endpoint_row r ON r.id = h.endpoint
            WHERE h.owner = member.id AND h.shard = 0 ORDER BY r.name)
    FROM member
    WHERE EXISTS (SELECT 1 FROM pg_stat_activity WHERE application_name = 'forwarder ' || id) ORDER BY name, id"""
_LEAVE = "UPDATE line SET owner = NULL WHERE owner = ?"
_OWNER_IS_THERE = """
    SELECT EXISTS (SELECT 1 FROM pg_stat_activity JOIN line ON application_name = 'forwarder ' || owner)"""


@dataclass(slots=True)
class Observation:
    """The beats of others, as one replica has seen them on its own monotonic clock."""

    _seen: dict[str, tuple[int, float, int]] = field(default_factory=dict)
    """By member, its beat, the instant of the first look that found it, and how many looks have found it."""
    _counted_at: float = float("-inf")
    """The instant of the last look that counted; the bell may cause many at once, between which nobody could beat."""

    def dead(self, beats: Mapping[str, int], *, now: float) -> list[str]:
        """Take in one look that succeeded; returns the members whose beat has stood still too long."""
        counts = now - self._counted_at >= BEAT_SECONDS
        self._counted_at = now if counts else self._counted_at
        seen = {}
        for member, beat in beats.items():
            before, since, looks = self._seen.get(member, (None, now, 0))
            seen[member] = (beat, since, looks + counts) if beat == before else (beat, now, 1)
        self._seen = seen
        return [
            member
            for member, (_, since, looks) in seen.items()
            if now - since >= DEAD_SECONDS and looks >= LEAST_LOOKS
        ]


def clock_ahead(before: float, measured: float) -> float:
    """
    The seconds by which the clock is taken to be ahead, after another measurement of that.

    They change only by CLOCK_SECONDS or more, so a machine that NTP sets keeps its own clock, and no clock jitters.
    """
    if abs(measured - before) < CLOCK_SECONDS:
        return before
    return 0.0 if abs(measured) < CLOCK_SECONDS else measured


def awake_or_not() -> float:
    """Seconds that go on while this machine is suspended, as the other machines' do; monotonic seconds stand still."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


def _own_epoch() -> float:
    return time.time() - time.monotonic()


class DatabaseSeat(Seat):
    """
    The seat of one replica among those on a database, until `release`.

    `deployment` names the subscription, which all replicas of an outbox have in common. Raises OutboxLocked while a
    replica of another deployment runs. A killed replica leaves only a row, which keeps nobody out.
    """

    def __init__(self, database: Database, *, name: str, deployment: str) -> None:
        self.member = token_hex(8)
        self._database = database
        self._name = name
        self._deployment = deployment
        self._observation = Observation()
        self._session: PostgresConnection | None = None
        self._sure_since = awake_or_not()
        self.epoch = _own_epoch()
        self.leads = False
        self._earlier: dict[str, int] | None = None
        """Namesakes that were members when this replica joined, and whose beat has not moved since."""
        self._differing_since: dict[str, float] = {}
        self._leaves = self._hands_over = False
        self._ring: Callable[[], None] = lambda: None
        self._stopping, self._waking = threading.Event(), threading.Event()
        schema.remarks(database)
        schema.prepare(database)
        # Strangers are looked for before joining too, because a member is given homes at once.
        refuse_strangers(database, deployment=deployment)
        self._beat()
        self._refuse_one_that_joined_meanwhile()
        self._thread = threading.Thread(target=self._run, name="beat", daemon=True)
        self._thread.start()
        self._bell: threading.Thread | None = None

    @property
    def is_sure(self) -> bool:
        return not self.is_dead and awake_or_not() - self._sure_since < SURE_SECONDS

    def listen(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._bell = threading.Thread(target=self._hear, name="bell", daemon=True)
        self._bell.start()

    def leave(self) -> None:
        self._leaves = True
        self._waking.set()

    def hand_over(self) -> None:
        self._hands_over = True
        self._waking.set()

    def _hear(self) -> None:
        while not self._stopping.is_set():
            try:
                with opened_connection(self._database) as connection:
                    connection.raw.execute(f"LISTEN {CHANNEL}".encode())
                    self._hear_on(connection)
            except OutboxError:
                # The next look sees whatever was not heard.
                self._stopping.wait(BELL_SECONDS)

    def _hear_on(self, connection: PostgresConnection) -> None:
        while not self._stopping.is_set():
            words = {
                word.payload for word in connection.raw.notifies(timeout=BELL_SECONDS, stop_after=1)
            }
            if HOMES_CHANGED in words:
                self._waking.set()
            if words - {self.member}:
                self._ring()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._waking.wait(BEAT_SECONDS)
            self._waking.clear()
            if self._stopping.is_set():
                return
            try:
                self._beat()
            except OutboxError as problem:
                self.problem = str(problem)

    def _beat(self) -> None:
        # Sureness counts from here, because others may see the beat before this replica has its answer.
        sent_at = awake_or_not()
        with translated(self._database):
            if self._session is None:
                self._session = connect(self._database, member=self.member)
                joining = (self.member, self._name, __version__, self._deployment)
                self._session.execute(_JOIN, joining)
            elif self._session.is_lost:
                self._session = connect(self._database, member=self.member)
            session = self._session
            session.begin()
            beat = (self.routes, self.session_word, self._leaves, self.member)
            asked_at, began = time.time(), time.monotonic()
            row = session.execute(_BEAT, beat).fetchone()
            took = time.monotonic() - began
            session.commit()
            if row is None:
                self.is_dead, self.problem = True, "the other replicas have taken this one for dead"
                return
            self._sure_since, self.problem = sent_at, None
            if took < CLOCK_SECONDS:
                self.clock_ahead = clock_ahead(self.clock_ahead, asked_at + took / 2 - row[0])
                # The next beat sees a step that the wall clock has made since the asking.
                self.epoch = asked_at - began - self.clock_ahead
            self._look_around(session)

    def _look_around(self, session: PostgresConnection) -> None:
        members = session.execute(_MEMBERS).fetchall()
        beats = {member: beat for member, _, beat, *_ in members if member != self.member}
        dead = self._observation.dead(beats, now=time.monotonic())
        namesakes = {
            member: beats[member]
            for member, name, *_ in members
            if name == self._name and member in beats
        }
        gone = {*dead, *self._earlier_lives(session, namesakes)}
        self.has_namesake = not namesakes.keys() <= {*gone, *(self._earlier or ())}
        # The dead go first, because the line is free once its owner is no member.
        _bury(session, gone)
        if self.leads and self._hands_over:
            self._free_the_line(session)
        elif not (self.leads or self._leaves):
            self._try_to_lead(session)
        alive = [one for one in members if one[0] not in gone]
        stay = [member for member, *_, leaves in alive if not leaves]
        self._see_homes(session, stay, alive={member for member, *_ in alive})
        self._compare_routes({name: routes for _, name, _, routes, *_ in alive if routes})
        self.session_words = {word for member, *_, word, _ in alive if member != self.member}

    def _earlier_lives(
        self, session: PostgresConnection, namesakes: Mapping[str, int]
    ) -> list[str]:
        """
        Earlier lives of this very replica, whose deaths nobody has to wait for, because they have no session any more.

        A namesake that has beaten since this replica joined is another one. It may be sure for some seconds more, and
        connect again.
        """
        known = namesakes if self._earlier is None else self._earlier
        self._earlier = {one: beat for one, beat in known.items() if namesakes.get(one) == beat}
        if not self._earlier:
            return []
        rows = session.execute(_WITHOUT_SESSION, (list(self._earlier),)).fetchall()
        return [member for (member,) in rows]

    def _compare_routes(self, routes: Mapping[str, str]) -> None:
        """Find the replicas with other routes, once these last, because an edit reaches one replica before another."""
        now, before = time.monotonic(), self._differing_since
        differing = [name for name, digest in routes.items() if self.routes not in ("", digest)]
        self._differing_since = {name: before.get(name, now) for name in differing}
        self.differing = [
            name
            for name, since in self._differing_since.items()
            if now - since >= DIFFERING_SECONDS
        ]

    def _try_to_lead(self, session: PostgresConnection) -> None:
        leads = (
            session.execute(_LEAD, (self.member, self._deployment, self.member)).fetchone()
            is not None
        )
        row = session.execute(_LEADER).fetchone()
        self.leader = row[0] if row else ""
        self.leads = leads

    def _free_the_line(self, session: PostgresConnection) -> None:
        session.execute(_LEAVE, (self.member,))
        session.execute("SELECT pg_notify(?, ?)", (CHANNEL, HOMES_CHANGED))
        self.leads = False

    def _see_homes(
        self, session: PostgresConnection, stay: Collection[str], *, alive: Collection[str]
    ) -> None:
        owners = dict(session.execute(_HOMES).fetchall())
        shares = share(owners, stay)
        elsewhere = {name for name, member in shares.items() if member != self.member}
        free = {name for name in shares.keys() - elsewhere if owners[name] not in alive}
        self.homes = HomesView(frozenset(elsewhere), frozenset(free))

    def _refuse_one_that_joined_meanwhile(self) -> None:
        """Look again after joining: of two deployments that start at once, the one that leads stays."""
        if self.leads:
            return
        try:
            refuse_strangers(self._database, deployment=self._deployment, member=self.member)
        except OutboxLocked:
            if self._session is not None:
                self._session.execute(_BURY, ([self.member],))
                self._session.close()
            raise

    def release(self) -> None:
        self._stopping.set()
        self._waking.set()
        self._thread.join(SURE_SECONDS)
        # A thread that still beats uses the session, which no other thread may touch then.
        if self._session is None or self._session.is_lost or self._thread.is_alive():
            return
        try:
            with translated(self._database):
                # The others are told last, because they look at once for what is free.
                self._session.execute(_LEAVE, (self.member,))
                self._session.execute(_BURY, ([self.member],))
                self._session.execute("SELECT pg_notify(?, ?)", (CHANNEL, HOMES_CHANGED))
        except OutboxError:
            pass  # the others see that its beat stands still
        finally:
            self._session.close()


def refuse_strangers(database: Database, *, deployment: str, member: str = "") -> None:
    """Raises OutboxLocked while a replica of another deployment runs; `member` is the caller's id, once it has one."""
    with opened_connection(database) as connection:
        if schema.schema_version(connection, database) is None:
            return
        found = connection.execute(_STRANGERS, (member, deployment)).fetchone()
    if found is not None:
        name, theirs = found
        raise OutboxLocked(
            f"another deployment works on {database}: replica {name} as {theirs}, this one as {deployment}; give this"
            " one a database or a schema of its own with FORWARDER_OUTBOX_URL, or stop all the others first"
        )


def _bury(session: PostgresConnection, members: Collection[str]) -> None:
    """Declare replicas dead: delete their rows, and then end their sessions, so that no lock of theirs is left."""
    # The rows go first, because a replica that has lost only its session connects again and beats on.
    if members:
        session.execute(_BURY, (list(members),))
        session.execute(_END_SESSIONS, ([f"forwarder {member}" for member in members],))


def replicas(connection: PostgresConnection) -> tuple[Replica, ...]:
    """The replicas that have a session."""
    rows = connection.execute(_REPLICAS)
    return tuple(
        Replica(name, version, leads, beat, routes, tuple(endpoints))
        for name, version, leads, beat, routes, endpoints in rows
    )


def is_running(database: Database) -> bool:
    """Whether a replica leads; one that starts at this very instant may be missed."""
    with opened_connection(database) as connection:
        if schema.schema_version(connection, database) is None:
            return False
        return bool(connection.execute(_OWNER_IS_THERE).fetchone()[0])
