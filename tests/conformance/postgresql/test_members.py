"""Which replica leads: one at a time, the next one once the last has left or has not been heard of."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.postgres import PostgresServer

from forwarder.clock import SharedClock
from forwarder.errors import OutboxError, OutboxLocked, OutboxUnavailable
from forwarder.outbox import opened, remarks, take_seat
from forwarder.outbox.postgresql import members
from forwarder.outbox.postgresql.connection import opened_connection
from forwarder.outbox.postgresql.members import SURE_SECONDS, DatabaseSeat, Observation
from forwarder.outbox.postgresql.schema import STEPS, prepare
from forwarder.outbox.seat import HomesView
from forwarder.settings import Database

PATIENCE_SECONDS = 20.0
OURS = "integration at mqtt://broker, topics ext/#"


@pytest.fixture
def join(
    place: Database, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], DatabaseSeat]]:
    """Has a replica join; all leave at the end."""
    monkeypatch.setattr(members, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(members, "DEAD_SECONDS", 0.5)
    with ExitStack() as stack:

        def joined(name: str) -> DatabaseSeat:
            seat = DatabaseSeat(place, name=name, deployment=OURS)
            stack.callback(seat.release)
            return seat

        yield joined


def until(look: Callable[[], object]) -> None:
    """Return once it is true; beats are another thread's."""
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while not look():
        assert time.monotonic() < give_up_at
        time.sleep(0.01)


def beats_again(seat: DatabaseSeat) -> None:
    before = seat._sure_since
    until(lambda: seat._sure_since != before)


@contextmanager
def lost_session(seat: DatabaseSeat, place: Database) -> Iterator[None]:
    """The server has ended its session, and it does not get another one."""
    mine, network = f"forwarder {seat.member}", threading.Event()
    with pytest.MonkeyPatch.context() as patch, opened_connection(place) as connection:
        patch.setattr(seat, "_beat", network.wait)
        connection.execute(members._END_SESSIONS, ([mine],))
        count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = ?"
        until(lambda: connection.execute(count, (mine,)).fetchone() == (0,))
        yield
    network.set()


class TestObservation:
    """Death is what one replica has seen, on its own clock: whose beat stood still for 6 s over at least 4 looks."""

    def test_beat_that_moves_is_alive(self) -> None:
        seen = Observation()
        assert [seen.dead({"a": beat}, now=10.0 * beat) for beat in range(9)] == [[]] * 9

    def test_beat_that_stands_still_is_dead_after_six_seconds(self) -> None:
        seen = Observation()
        looks = [seen.dead({"a": 1, "b": second}, now=float(second)) for second in range(8)]
        assert looks == [[], [], [], [], [], [], ["a"], ["a"]]

    def test_few_looks_are_not_enough(self) -> None:
        """The database may have stood still meanwhile, or we have."""
        seen = Observation()
        assert [seen.dead({"a": 1}, now=now) for now in (0.0, 100.0, 200.0, 201.0)][2:] == [
            [],
            ["a"],
        ]

    @given(
        beats=st.lists(st.tuples(st.floats(0.0, 1.5), st.floats(0.0, 0.9)), min_size=1, max_size=9),
        looks=st.lists(st.floats(0.0, 3.0), max_size=40),
        rates=st.tuples(st.floats(0.85, 1.15), st.floats(0.85, 1.15)),
    )
    def test_nobody_is_dead_who_is_sure(
        self,
        beats: list[tuple[float, float]],
        looks: list[float],
        rates: tuple[float, float],
    ) -> None:
        """One beats for a while, is seen now and then, and is sure no more before it is dead, if clocks run unlike."""
        sent = [*accumulate(after for after, _ in beats)]
        committed = [at + took for at, (_, took) in zip(sent, beats, strict=True)]
        seen, now = Observation(), 0.0
        for after in [*looks, *[1.0] * 20]:
            now += after
            beat = sum(at <= now for at in committed)
            if seen.dead({"a": beat}, now=now * rates[1]):
                sure_since = sent[beat - 1] if beat else 0.0
                assert now - sure_since > SURE_SECONDS / rates[0]
                return
        raise AssertionError("it is never dead")

    def test_looks_in_a_burst_count_as_one(self) -> None:
        """After a stall of ours the bell has us look many times at once; the others get their time to beat."""
        seen = Observation()
        assert seen.dead({"a": 1}, now=0.0) == []
        assert [seen.dead({"a": 1}, now=10.0 + number / 1000) for number in range(9)] == [[]] * 9
        assert [seen.dead({"a": 1}, now=now) for now in (11.0, 12.0)] == [[], ["a"]]

    def test_beat_that_moves_is_seen_between_looks_that_count(self) -> None:
        seen = Observation()
        assert seen.dead({"a": 1}, now=0.0) == []
        looks = [seen.dead({"a": beat}, now=now) for beat, now in ((2, 9.5), (3, 9.9), (3, 12.0))]
        assert looks == [[], [], []]

    def test_one_that_comes_again_is_seen_anew(self) -> None:
        seen = Observation()
        for now in range(6):
            seen.dead({"a": 1}, now=float(now))
        seen.dead({}, now=6.0)
        assert seen.dead({"a": 1}, now=7.0) == []


def test_first_leads_and_the_second_knows_whom_it_waits_for(
    join: Callable[[str], DatabaseSeat],
) -> None:
    first, second = join("one"), join("two")
    assert (first.leads, second.leads, second.leader) == (True, False, "one")


def test_the_next_leads_at_once_when_the_leader_leaves(join: Callable[[str], DatabaseSeat]) -> None:
    """It need not be declared dead for that."""
    first, second = join("one"), join("two")
    first.release()
    until(lambda: second.leads)
    assert second.leader == "two"


def test_only_one_of_many_follows_it(join: Callable[[str], DatabaseSeat]) -> None:
    first, others = join("one"), [join(f"other-{number}") for number in range(4)]
    first.release()
    until(lambda: any(other.leads for other in others))
    time.sleep(0.3)  # some beats more: nobody else may come to lead in them
    assert sum(other.leads for other in others) == 1


def test_leader_hands_over_before_it_leaves(join: Callable[[str], DatabaseSeat]) -> None:
    """The next one leads; the first is a member still, and never leads again."""
    first, second = join("one"), join("two")
    first.leave()
    first.hand_over()
    until(lambda: second.leads)
    until(lambda: not first.leads)
    beats_again(first)
    assert (first.leads, first.is_sure, second.leader) == (False, True, "two")


def test_one_that_leaves_does_not_come_to_lead(join: Callable[[str], DatabaseSeat]) -> None:
    """It would have the line do nothing until its own attempts have ended."""
    first, second = join("one"), join("two")
    second.leave()
    first.release()
    for _ in range(2):  # the first of these beats may have begun before
        beats_again(second)
    assert not second.leads
    third = join("three")
    until(lambda: third.leads)


def test_one_that_has_no_routes_yet_differs_from_nobody(
    join: Callable[[str], DatabaseSeat], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its start may take longer than an edit takes to reach everybody; once it has some, they are compared."""
    monkeypatch.setattr(members, "DIFFERING_SECONDS", 0.0)
    first, second = join("one"), join("two")
    first.routes = "a"
    for seat in (first, second, second):
        beats_again(seat)
    assert list(second.differing) == []
    second.routes = "b"
    until(lambda: list(second.differing) == ["one"])


HOUR = 3600.0


class TestClock:
    """Replicas go by the database's clock; small differences are left alone."""

    @pytest.mark.parametrize(
        ("before", "measured", "after"),
        [
            pytest.param(0.0, 0.9, 0.0, id="as good as alike"),
            pytest.param(0.0, HOUR, HOUR, id="an hour ahead"),
            pytest.param(0.0, -HOUR, -HOUR, id="an hour behind"),
            pytest.param(HOUR, HOUR + 0.9, HOUR, id="a measurement that is no better"),
            pytest.param(HOUR, HOUR + 1.0, HOUR + 1.0, id="it was set meanwhile"),
            pytest.param(HOUR, 0.3, 0.0, id="it was set right"),
        ],
    )
    def test_it_is_corrected_in_steps(self, before: float, measured: float, after: float) -> None:
        assert members.clock_ahead(before, measured) == after

    def test_machine_an_hour_ahead_knows_it_when_it_joins_and_when_it_was_set_right(
        self, join: Callable[[str], DatabaseSeat], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        unix = time.time
        monkeypatch.setattr(time, "time", lambda: unix() + HOUR)
        seat = join("one")
        assert seat.clock_ahead == pytest.approx(HOUR, abs=1.0)
        assert SharedClock(lambda: seat.epoch).unix() == pytest.approx(unix(), abs=1.0)
        monkeypatch.setattr(time, "time", unix)
        until(lambda: not seat.clock_ahead)

    def test_step_of_the_machines_clock_never_shows(
        self, join: Callable[[str], DatabaseSeat], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Not before the next beat either, nor where the database cannot be asked."""
        unix, seat = time.time, join("one")
        clock = SharedClock(lambda: seat.epoch)
        monkeypatch.setattr(time, "time", lambda: unix() - HOUR)
        assert clock.unix() == pytest.approx(unix(), abs=1.0)
        until(lambda: bool(seat.clock_ahead))
        assert clock.unix() == pytest.approx(unix(), abs=1.0)

    def test_step_while_the_database_answers_does_not_show(
        self, join: Callable[[str], DatabaseSeat], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The answer is timed by a clock that does not step; half of such a step would be taken for a difference."""
        unix, seat = time.time, join("one")
        seat._stopping.set()
        until(lambda: not seat._thread.is_alive())
        steps = iter([0.0])
        monkeypatch.setattr(time, "time", lambda: unix() + next(steps, HOUR))
        seat._beat()
        assert seat.clock_ahead == 0.0
        assert SharedClock(lambda: seat.epoch).unix() == pytest.approx(unix(), abs=1.0)
        seat._beat()
        assert seat.clock_ahead == pytest.approx(HOUR, abs=1.0)
        assert SharedClock(lambda: seat.epoch).unix() == pytest.approx(unix(), abs=1.0)

    def test_commands_go_by_it(self, place: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        """What a shell replays whose machine is behind would be too old at once."""
        unix = time.time
        prepare(place)
        monkeypatch.setattr(time, "time", lambda: unix() - HOUR)
        with opened(place) as outbox:
            assert outbox.now() == pytest.approx(unix(), abs=1.0)

    def test_machine_that_ntp_sets_keeps_its_own_clock(
        self, join: Callable[[str], DatabaseSeat]
    ) -> None:
        seat = join("one")
        beats_again(seat)
        assert seat.clock_ahead == 0.0


def test_replicas_hear_what_others_say_of_their_sessions(
    join: Callable[[str], DatabaseSeat],
) -> None:
    """Never their own word, and no longer than somebody says it."""
    first, second = join("one"), join("two")
    first.session_word = "missing"
    until(lambda: "missing" in second.session_words)
    assert "missing" not in first.session_words
    first.session_word = ""
    until(lambda: "missing" not in second.session_words)


def test_homes_are_seen_with_those_that_should_be_elsewhere(
    join: Callable[[str], DatabaseSeat], place: Database
) -> None:
    """One that is nobody's is free for whoever should have it; of one that is unknown yet nothing is said."""
    one = join("one")
    until(lambda: one.homes is not None)
    assert one.homes == HomesView(frozenset(), frozenset())
    two = join("two")
    with opened_connection(place) as connection:
        for number, owner in enumerate([one.member, one.member, None, None]):
            row = "INSERT INTO endpoint_row (name) VALUES (?) RETURNING id"
            (made,) = connection.execute(row, (f"endpoint-{number}",)).fetchone()
            connection.execute("INSERT INTO home (endpoint, owner) VALUES (?, ?)", (made, owner))
    first, last = frozenset({"endpoint-0", "endpoint-1"}), frozenset({"endpoint-2", "endpoint-3"})
    until(lambda: one.homes == HomesView(elsewhere=last, free=frozenset()))
    until(lambda: two.homes == HomesView(elsewhere=first, free=last))


def test_leader_that_is_not_heard_of_is_declared_dead(
    join: Callable[[str], DatabaseSeat], place: Database
) -> None:
    """Also where its session stays open, as that of a stopped process does: it is ended then."""
    first, second = join("one"), join("two")
    first._stopping.set()
    until(lambda: second.leads)
    with opened_connection(place) as connection:
        sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = ?"
        until(
            lambda: connection.execute(sessions, (f"forwarder {first.member}",)).fetchone() == (0,)
        )


def test_restarted_replica_does_not_wait_for_its_own_death(
    place: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that was killed has no session any more; the next one of its name takes its seat."""
    before = DatabaseSeat(place, name="one", deployment=OURS)
    before._stopping.set()
    before._thread.join()
    assert before._session is not None
    before._session.close()
    after = None
    for _ in range(100):  # until the server has seen that the session is gone
        after = DatabaseSeat(place, name="one", deployment=OURS)
        if after.leads:
            break
        after.release()
    assert after is not None
    assert after.leads
    after.release()


def test_living_namesake_whose_session_is_lost_is_not_buried_at_once(
    join: Callable[[str], DatabaseSeat], place: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be sure still: whoever reconnects first waits as long for it as for any other."""
    monkeypatch.setattr(members, "DEAD_SECONDS", 60.0)
    first, second = join("one"), join("one")
    until(lambda: first.has_namesake and second.has_namesake)
    for lost, other in ((first, second), (second, first)):
        with lost_session(lost, place):
            beats_again(other)
            beats_again(other)
            assert other.has_namesake
        beats_again(lost)
        assert not lost.is_dead
    assert (first.leads, second.leads) == (True, False)


def test_namesake_that_has_left_is_none(join: Callable[[str], DatabaseSeat]) -> None:
    first, second = join("one"), join("one")
    until(lambda: first.has_namesake)
    second.release()
    until(lambda: not first.has_namesake)
    assert not join("two").has_namesake


def test_another_deployment_is_refused(
    join: Callable[[str], DatabaseSeat], place: Database
) -> None:
    """In one sentence that says who is there; it leaves nothing behind."""
    join("one")
    with pytest.raises(
        OutboxLocked, match=r"another deployment works on .*: replica one as integr"
    ):
        take_seat(place, name="two", deployment="other at mqtt://broker, topics ext/#")
    with opened_connection(place) as connection:
        assert connection.execute("SELECT count(*) FROM member").fetchone() == (1,)


def test_changed_deployment_takes_over_where_nobody_is(place: Database) -> None:
    """An operator may give the outbox another broker or topic, once all replicas are stopped."""
    DatabaseSeat(place, name="one", deployment=OURS).release()
    seat = DatabaseSeat(place, name="one", deployment="another")
    assert seat.leads
    seat.release()


def test_changed_deployment_takes_over_after_all_were_killed(
    join: Callable[[str], DatabaseSeat], place: Database
) -> None:
    """Rows without a session keep nobody out, however soon each start would end."""
    prepare(place)
    with opened_connection(place) as connection:
        connection.execute(
            "INSERT INTO member (id, name, version, state) VALUES ('killed', 'pod-1', '', ?::jsonb)",
            ('{"deployment": "another"}',),
        )
        connection.execute("UPDATE line SET owner = 'killed'")
    seat = join("pod-2")
    until(lambda: seat.leads)


def test_refused_deployment_never_joins(
    join: Callable[[str], DatabaseSeat], place: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A member that is about to go would be given homes."""
    join("one")
    monkeypatch.setattr(members, "_JOIN", "")
    with pytest.raises(OutboxLocked):
        DatabaseSeat(place, name="two", deployment="another")


def test_of_two_deployments_that_start_at_once_one_stays(
    join: Callable[[str], DatabaseSeat], place: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither could see the other before it joined."""
    refuse, before = members.refuse_strangers, [True]

    def sees_nobody_before(database: Database, *, deployment: str, member: str = "") -> None:
        if not before.pop():
            refuse(database, deployment=deployment, member=member)

    join("one")
    monkeypatch.setattr(members, "refuse_strangers", sees_nobody_before)
    before[:] = [False, True]
    with pytest.raises(OutboxLocked):
        DatabaseSeat(place, name="two", deployment="another")
    with opened_connection(place) as connection:
        assert connection.execute("SELECT name FROM member").fetchall() == [("one",)]


def test_replica_that_cannot_beat_is_not_sure_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """It stops before others may begin, and goes on once the database confirms it again."""
    monkeypatch.setattr(members, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(members, "SURE_SECONDS", 0.5)
    with PostgresServer() as server:
        seat = DatabaseSeat(server.database(), name="one", deployment=OURS)
        assert seat.is_sure
        server.stop()
        until(lambda: not seat.is_sure and seat.problem)
        server.start()
        until(lambda: seat.is_sure)
        assert seat.leads
        seat.release()


def test_replica_whose_machine_was_suspended_is_not_sure_when_it_wakes(
    join: Callable[[str], DatabaseSeat], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The monotonic clock stood still meanwhile, those of the others did not."""
    seat = join("one")
    seat._stopping.set()
    until(lambda: not seat._thread.is_alive())
    assert seat.is_sure
    since_boot = time.clock_gettime
    monkeypatch.setattr(time, "clock_gettime", lambda clock: since_boot(clock) + HOUR)
    sure = [seat.is_sure]
    seat._beat()
    assert [*sure, seat.is_sure] == [False, True]


def test_older_replica_that_meets_a_newer_schema_is_refused(place: Database) -> None:
    prepare(place, steps=[*STEPS, lambda _: None])
    with pytest.raises(OutboxError, match="written by a newer forwarder"):
        prepare(place)
    with pytest.raises(OutboxError, match="written by a newer forwarder"):
        remarks(place)


def test_database_of_another_program_is_refused(place: Database) -> None:
    with opened_connection(place) as connection:
        connection.execute("CREATE TABLE invoice (id int)")
    for begin in (remarks, prepare):
        with pytest.raises(OutboxError, match="holds the tables of another program"):
            begin(place)


def test_missing_standby_is_told(place: Database) -> None:
    """It keeps nobody from working; what a failover would lose is said."""
    assert [one.partition("(")[2][:26] for one in remarks(place)] == ["synchronous_standby_names "]


def test_database_out_of_reach_is_unavailable() -> None:
    with pytest.raises(OutboxUnavailable, match="takes no writes"):
        take_seat(Database("postgresql://u:p@127.0.0.1:1/x"), name="one", deployment=OURS)


def test_pooler_in_transaction_mode_is_refused(postgres: PostgresServer, place: Database) -> None:
    """It keeps no session: settings, prepared statements and the names of sessions would be others'."""
    prepare(place)
    with postgres.pooled(place, mode="transaction") as pooled:
        with pytest.raises(OutboxError, match="through a pooler in transaction mode"):
            remarks(pooled)
        with pytest.raises(OutboxError, match="through a pooler in transaction mode"):
            DatabaseSeat(pooled, name="one", deployment=OURS)


def test_pooler_in_session_mode_is_fine(postgres: PostgresServer, place: Database) -> None:
    prepare(place)
    with postgres.pooled(place, mode="session") as pooled:
        seat = DatabaseSeat(pooled, name="one", deployment=OURS)
        assert seat.leads
        seat.release()
