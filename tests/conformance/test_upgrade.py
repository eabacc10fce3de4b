"""
An outbox from before: opened by today's program, and delivered from.

outbox-v1.db was written by the program when its schema was version 1: one reading delivered to acme, one a dead letter,
two pending of ECC9FF5C7F14 (the first tried once), one of ECC9FF5C7AD4 pending for acme and home, and one message in
quarantine.
"""

import shutil
from pathlib import Path

import pytest
from support.clock import HandClock
from support.outbox import claim, ids, must_claim, settle, totals
from support.workshop import Workshop

from forwarder.dead_letters import inspect
from forwarder.outbox import Outbox, sqlite

WRITTEN = Path(__file__).parents[1] / "fixtures" / "outbox-v1.db"


@pytest.fixture
async def outbox(workshop: Workshop, clock: HandClock) -> Outbox:
    shutil.copy(WRITTEN, workshop.path)
    clock.advance(60)
    return workshop.open()


def test_the_fixture_is_the_first_schemas() -> None:
    """It was never opened by a later program."""
    assert int.from_bytes(WRITTEN.read_bytes()[60:64]) == 1


async def test_what_was_pending_is_delivered_in_order(outbox: Outbox) -> None:
    """The one that was tried goes first in its lane; nothing settled comes again."""
    offered = []
    while (claimed := claim(outbox)) is not None:
        offered += ids(claimed)
        settle(outbox, claimed)
    assert sorted(offered) == ["other", "second", "tried"]
    assert offered.index("tried") < offered.index("second")
    accounts = await totals(outbox)
    assert (accounts.enqueued, accounts.delivered, accounts.dead, accounts.pending) == (5, 4, 1, 0)
    assert ids(must_claim(outbox, "home")) == ["other"]


async def test_it_is_sound_and_of_todays_schema(outbox: Outbox, workshop: Workshop) -> None:
    """Rows, accounts and quarantine have come along."""
    found = inspect(workshop.path)
    assert (found.faults, found.schema_version) == ((), sqlite.SCHEMA_VERSION)
    assert (found.deliveries, found.quarantined) == ({"dead": 1, "delivered": 1, "pending": 4}, 1)
