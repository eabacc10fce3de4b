"""
The replicas on one database, and which of them leads.

    join ─▶ follows ──────────────────────────────▶ leads ─▶ leaves
               ▲   the line is free, or its owner      │
               └──────── is no member any more         │ its beats do not commit: it stops by itself
                                                       ▼ (the service sends nothing until one does)
                                                     declared dead, by a member that saw its beat stand still

A beat is a commit, of a thread and a session of its own. Death is observed: no clock is compared, neither a machine's
nor the database's. A database that stands still stops looks as well as beats, so nobody is declared dead for it.
"""

import threading
import time
from collections.abc import Collection, Mapping
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
from forwarder.outbox.records import Replica
from forwarder.outbox.sql import queries
from forwarder.settings import Database

BEAT_SECONDS = 1.0
SURE_SECONDS = 4.0
"""How long after the sending of the last beat that committed a replica may believe that it leads."""
DEAD_SECONDS = 6.0
"""How long a beat stands still until its replica is dead: clocks may differ in rate by a third."""
LEAST_LOOKS = 4

_BEAT = """
    INSERT INTO member (id, name, version, state) VALUES (?, ?, ?, jsonb_build_object('deployment', ?::text))
    ON CONFLICT (id) DO UPDATE SET beat = member.beat + 1"""
_BEATS = "SELECT id, beat FROM member WHERE id <> ?"
_NAMESAKES = """
    SELECT id FROM member WHERE name = ? AND id <> ? AND NOT EXISTS (
        SELECT 1 FROM pg_stat_activity WHERE application_name = 'forwarder ' || id)"""
_STRANGERS = """
    SELECT name, state ->> 'deployment' FROM member WHERE id <> ? AND state ->> 'deployment' <> ?"""
_BURY = "DELETE FROM member WHERE id = ANY(?)"
_END_SESSIONS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE application_name = ANY(?) AND usename = current_user"""
_LEAD = """
    UPDATE line SET owner = ? WHERE owner IS NULL OR owner = ?
        OR NOT EXISTS (SELECT 1 FROM member WHERE id = owner) RETURNING owner"""
_LEADER = "SELECT name FROM member JOIN line ON owner = id"
_REPLICAS = """
    SELECT name, version, id IS NOT DISTINCT FROM (SELECT owner FROM line) FROM member
    WHERE EXISTS (SELECT 1 FROM pg_stat_activity WHERE application_name = 'forwarder ' || id) ORDER BY name, id"""
_LEAVE = "UPDATE line SET owner = NULL WHERE owner = ?"
_OWNER_IS_THERE = """
    SELECT EXISTS (SELECT 1 FROM pg_stat_activity JOIN line ON application_name = 'forwarder ' || owner)"""


@dataclass(slots=True)
class Observation:
    """Beats of others as one replica has seen them, on its own monotonic clock."""

    _seen: dict[str, tuple[int, float, int]] = field(default_factory=dict)
    """By member: its beat, since when it is that, and how many looks have found it so."""

    def dead(self, beats: Mapping[str, int], *, now: float) -> list[str]:
        """Take in one look that succeeded; whose beat has stood still too long."""
        seen = {}
        for member, beat in beats.items():
            before, since, looks = self._seen.get(member, (None, now, 0))
            seen[member] = (beat, since, looks + 1) if beat == before else (beat, now, 1)
        self._seen = seen
        return [
            member
            for member, (_, since, looks) in seen.items()
            if now - since >= DEAD_SECONDS and looks >= LEAST_LOOKS
        ]


class Seat:
    """
    One replica among those on a database, from now on until `release`.

    `deployment` says what it subscribes to: replicas of one outbox have that in common. Raises OutboxLocked when a
    replica of another deployment is there.
    """

    def __init__(self, database: Database, *, name: str, deployment: str) -> None:
        self.member = token_hex(8)
        self._database = database
        self._name = name
        self._deployment = deployment
        self._observation = Observation()
        self._session: PostgresConnection | None = None
        self._sure_since = time.monotonic()
        self.leads = False
        self.leader = ""
        """The name of the replica that leads, as far as it is known."""
        self.outbox_id = ""
        self.problem: str | None = None
        """Why the last beat did not commit."""
        self._stopping = threading.Event()
        schema.remarks(database)
        schema.prepare(database)
        self._beat()
        with opened_connection(database) as connection:
            self._refuse_strangers(connection)
            self.outbox_id = queries.identity(connection)
        self._thread = threading.Thread(target=self._run, name="beat", daemon=True)
        self._thread.start()

    @property
    def is_sure(self) -> bool:
        """Whether no other replica can have declared this one dead yet."""
        return time.monotonic() - self._sure_since < SURE_SECONDS

    def _run(self) -> None:
        while not self._stopping.wait(BEAT_SECONDS):
            try:
                self._beat()
            except OutboxError as problem:
                self.problem = str(problem)

    def _beat(self) -> None:
        sent_at = time.monotonic()
        with translated(self._database):
            if self._session is None or self._session.is_lost:
                self._session = connect(self._database, member=self.member)
            session = self._session
            session.begin()
            session.execute(_BEAT, (self.member, self._name, __version__, self._deployment))
            session.commit()
            self._sure_since, self.problem = sent_at, None
            if not self.leads:
                self._try_to_lead(session)

    def _try_to_lead(self, session: PostgresConnection) -> None:
        beats = dict(session.execute(_BEATS, (self.member,)).fetchall())
        dead = self._observation.dead(beats, now=time.monotonic())
        # One of our name without a session is this very replica before its restart: nobody waits for that.
        namesakes = session.execute(_NAMESAKES, (self._name, self.member)).fetchall()
        _bury(session, [*dead, *(member for (member,) in namesakes)])
        leads = session.execute(_LEAD, (self.member, self.member)).fetchone() is not None
        row = session.execute(_LEADER).fetchone()
        self.leader = row[0] if row else ""
        self.leads = leads

    def _refuse_strangers(self, connection: PostgresConnection) -> None:
        key = (self.member, self._deployment)
        found = None if self.leads else connection.execute(_STRANGERS, key).fetchone()
        if found is None:
            return
        name, deployment = found
        connection.execute(_BURY, ([self.member],))
        raise OutboxLocked(
            f"another deployment works on {self._database}: replica {name} as {deployment}, this one as"
            f" {self._deployment}; give this one a database or a schema of its own with FORWARDER_OUTBOX_URL"
        )

    def release(self) -> None:
        """Leave: another replica may lead at once."""
        self._stopping.set()
        self._thread.join(SURE_SECONDS)
        if self._session is None or self._session.is_lost or self._thread.is_alive():
            return
        try:
            with translated(self._database):
                self._session.execute(_LEAVE, (self.member,))
                self._session.execute(_BURY, ([self.member],))
        except OutboxError:
            pass  # the others see that its beat stands still
        finally:
            self._session.close()


def _bury(session: PostgresConnection, members: Collection[str]) -> None:
    """Declare replicas dead: their rows go, and then their sessions, so that no lock of theirs is left."""
    if members:
        session.execute(_BURY, (list(members),))
        session.execute(_END_SESSIONS, ([f"forwarder {member}" for member in members],))


def replicas(connection: PostgresConnection) -> tuple[Replica, ...]:
    """Those that have a session."""
    return tuple(Replica(*row) for row in connection.execute(_REPLICAS))


def is_running(database: Database) -> bool:
    """Whether a replica leads; one that starts at this very instant may be missed."""
    with opened_connection(database) as connection:
        if schema.schema_version(connection, database) is None:
            return False
        return bool(connection.execute(_OWNER_IS_THERE).fetchone()[0])
