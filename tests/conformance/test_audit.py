"""Records of what people change, on every engine."""

from contextlib import suppress

import pytest
from support.outbox_builder import NOW, OutboxBuilder

from forwarder.operator import Actor, audited
from forwarder.outbox import MOST_AUDITED, Audit, AuditRecord, OutboxAccess, opened
from forwarder.settings import OutboxPlace

ALICE = Actor("command", "alice")


@pytest.fixture
def built(place: OutboxPlace) -> OutboxBuilder:
    built = OutboxBuilder(place)
    built.delivery("acme", "dead")
    return built


def told(outbox: OutboxAccess) -> list[tuple[str, str | None, int]]:
    return [(one.what, one.endpoint, one.count) for one in outbox.audit(limit=100)]


def test_a_change_says_what_it_came_to(built: OutboxBuilder) -> None:
    """The newest stands in front, with who did it, and how many it was in the end."""
    with opened(built.place) as outbox:
        with audited(outbox, ALICE, "replay", meant=3, endpoint="acme", now=NOW) as change:
            change.count = 2
        with audited(outbox, ALICE, "discard", meant=1, now=NOW + 1):
            assert told(outbox)[0] == ("discard", None, 1)
        assert told(outbox) == [("discard", None, 1), ("replay", "acme", 2)]
        newest, oldest = outbox.audit(limit=2)
        assert (newest.via, newest.who, newest.at) == ("command", "alice", NOW + 1)
        assert outbox.audit(limit=9, before=newest.number) == [oldest]


def test_a_change_that_fails_says_how_many_were_meant(built: OutboxBuilder) -> None:
    """The record is there before the change is begun."""
    with opened(built.place) as outbox:
        with suppress(RuntimeError), audited(outbox, ALICE, "discard", meant=7, now=NOW) as change:
            change.count = 1
            raise RuntimeError
        assert told(outbox) == [("discard", None, 7)]


def test_a_change_of_nothing_leaves_no_record(built: OutboxBuilder) -> None:
    """Nobody looks for it."""
    with opened(built.place) as outbox:
        with audited(outbox, ALICE, "replay", meant=0, now=NOW):
            pass
        assert told(outbox) == []


def test_the_oldest_records_go(built: OutboxBuilder) -> None:
    """They are bounded in number, and one that is kept twice is there once."""
    with built.store() as store:
        store.connection.executemany(
            "INSERT INTO audit (id, at, via, who, what, count) VALUES (?, 0.0, 'api', 'token', 'replay', ?)",
            [(str(number), number) for number in range(MOST_AUDITED)],
        )
    last = AuditRecord("last", NOW, "api", "token", "discard", None, 5)
    with opened(built.place) as outbox:
        outbox.operate(Audit(last))
        outbox.operate(Audit(last))
        counts = [one.count for one in outbox.audit(limit=2 * MOST_AUDITED)]
    assert counts == [5, *range(MOST_AUDITED - 1, 0, -1)]
