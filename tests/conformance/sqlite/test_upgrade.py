"""
An outbox from before: opened by today's program, and delivered from.

outbox-v1.db was written by the program when its schema was version 1: one reading delivered to acme, one a dead letter,
two pending of ECC9FF5C7F14 (the first tried once), one of ECC9FF5C7AD4 pending for acme and home, and one message in
quarantine.
"""

import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from support.clock import HandClock
from support.outbox import claim, flush, ids, must_claim, settle, totals
from support.outbox_harness import OutboxHarness
from support.readings import new_reading

from forwarder.errors import OutboxError
from forwarder.operator import delivery_file
from forwarder.outbox import Outbox, Selection, inspect, opened
from forwarder.outbox.sqlite import file as outbox_file
from forwarder.outbox.sqlite.migrations import STEPS
from forwarder.reading import WebhookId

WRITTEN = Path(__file__).parents[2] / "fixtures" / "outbox-v1.db"


DIES_IN_THE_SECOND_STEP = """
import os, pathlib, signal, sys
from forwarder.outbox.sqlite import file as outbox_file

def widen(connection):
    connection.execute("ALTER TABLE reading ADD COLUMN tariff TEXT")

def die(connection):
    connection.execute("UPDATE reading SET tariff = 'low'")
    os.kill(os.getpid(), signal.SIGKILL)

outbox_file.create(pathlib.Path(sys.argv[1]), steps=[widen, die])
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An outbox of the first release."""
    return Path(shutil.copy(WRITTEN, tmp_path / "outbox.db"))


@pytest.fixture
async def outbox(harness: OutboxHarness, clock: HandClock) -> Outbox:
    shutil.copy(WRITTEN, harness.path)
    clock.advance(60)
    return harness.open()


def test_the_fixture_is_the_first_schemas() -> None:
    """It was never opened by a later program."""
    assert int.from_bytes(WRITTEN.read_bytes()[60:64]) == 1


async def test_what_was_pending_is_delivered_in_order(outbox: Outbox) -> None:
    """The one that was tried goes first in its lane; nothing settled comes again."""
    offered = []
    while (claimed := await claim(outbox)) is not None:
        offered += ids(claimed)
        settle(outbox, claimed)
    assert sorted(offered) == ["other", "second", "tried"]
    assert offered.index("tried") < offered.index("second")
    accounts = await totals(outbox)
    assert (accounts.enqueued, accounts.delivered, accounts.dead, accounts.pending) == (5, 4, 1, 0)
    assert ids(await must_claim(outbox, "home")) == ["other"]


async def test_it_is_sound_and_of_todays_schema(outbox: Outbox, harness: OutboxHarness) -> None:
    """Rows, accounts and quarantine have come along."""
    found = inspect(harness.path)
    assert (found.faults, found.schema_version) == ((), outbox_file.SCHEMA_VERSION)
    assert (found.deliveries, found.quarantined) == ({"dead": 1, "delivered": 1, "pending": 4}, 1)


async def test_attempts_of_before_do_not_know_where_they_went(
    outbox: Outbox, harness: OutboxHarness
) -> None:
    """Addresses are kept from this version on; what was attempted before has none."""
    settle(outbox, await must_claim(outbox), address="192.0.2.7")
    await flush(outbox)
    with opened(harness.path) as file:
        chosen = file.choose_deliveries(Selection())
        keys = [key for chunk in chosen.chunks() for key in chunk]
        kept = {one.address for key in keys for one in delivery_file(file, key).attempts}
    assert kept == {None, "192.0.2.7"}


async def test_a_message_of_before_is_known_when_it_comes_again(
    path: Path, harness: OutboxHarness, clock: HandClock
) -> None:
    """What was put by the release before is a duplicate, and no number of its readings is given again."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT id, device, measured_at FROM reading ORDER BY number")
        key, device, measured_at = rows.fetchall()[0]
        connection.execute("UPDATE sqlite_sequence SET seq = 99 WHERE name = 'reading'")
        connection.commit()
    shutil.copy(path, harness.path)
    outbox = harness.open()
    again = replace(
        new_reading(device, "again"),
        webhook_id=WebhookId(f"msg_{key.hex()}"),
        measured_at=measured_at,
    )
    assert await outbox.put([again, new_reading(device, "new")]) == ["duplicate", "accepted"]
    with closing(sqlite3.connect(harness.path)) as connection:
        assert connection.execute("SELECT max(number) FROM reading").fetchone()[0] > 99


def widen(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE reading ADD COLUMN tariff TEXT")


def fill(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE reading SET tariff = 'low'")


def fail(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE reading SET missing = 1")


def content(path: Path) -> list[str]:
    """Version, tables and rows, as SQL."""
    with closing(sqlite3.connect(path)) as connection:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        return [f"version {version}", *connection.iterdump()]


def tables(path: Path) -> set[tuple[str, str]]:
    """Names and definitions, without comments and spaces."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT name, coalesce(sql, '') FROM sqlite_schema").fetchall()
    return {(name, re.sub(r"--.*|\s+", "", sql)) for name, sql in rows}


def test_an_old_file_gets_the_tables_of_a_new_one(path: Path, tmp_path: Path) -> None:
    """Whoever changes schema.sql writes the step that brings older files there."""
    outbox_file.create(path, steps=STEPS)
    outbox_file.create(tmp_path / "new.db")
    assert tables(path) == tables(tmp_path / "new.db")


def identity_of(path: Path) -> str:
    with opened(path, is_read_only=True) as outbox:
        return outbox.overview().identity


def test_every_outbox_has_an_id_of_its_own(path: Path, tmp_path: Path) -> None:
    """One of before gets it once, a new one is born with it; nothing but a copy shares it."""
    outbox_file.create(path)
    first = identity_of(path)
    outbox_file.create(path)
    new = [tmp_path / "new.db", tmp_path / "other.db"]
    for one in new:
        outbox_file.create(one)
    assert identity_of(path) == first
    assert len({first, *map(identity_of, new)}) == 3
    assert re.fullmatch("[0-9a-f]{16}", first)


async def test_devices_of_before_are_known_once_they_report(
    outbox: Outbox, harness: OutboxHarness
) -> None:
    """An outbox of before has no records; they come with the readings."""
    with opened(harness.path, is_read_only=True) as file:
        assert file.devices() == []
    await outbox.put([new_reading("ECC9FF5C7F14", "new")])
    outbox.keep_devices()
    await flush(outbox)
    with opened(harness.path, is_read_only=True) as file:
        assert [one.device for one in file.devices()] == ["ECC9FF5C7F14"]


def test_steps_are_taken_in_order_and_once(path: Path) -> None:
    """From the file's version on, each step once; the next start takes none."""
    outbox_file.create(path, steps=[widen, fill])
    outbox_file.create(path, steps=[widen, fill])
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT DISTINCT tariff FROM reading").fetchall() == [("low",)]
        assert connection.execute("PRAGMA user_version").fetchone() == (3,)


def test_only_the_steps_that_are_missing_are_taken(path: Path) -> None:
    """A file that has had the first step gets the second alone."""
    outbox_file.create(path, steps=[widen])
    outbox_file.create(path, steps=[fail, fill])
    assert content(path)[0] == "version 3"


def test_a_step_that_fails_leaves_the_old_version_whole(path: Path) -> None:
    """Nothing of the steps before it stays, and the next start takes them all."""
    before = content(path)
    with pytest.raises(OutboxError, match="no such column: missing"):
        outbox_file.create(path, steps=[widen, fail])
    assert content(path) == before
    outbox_file.create(path, steps=[widen, fill])


def test_a_crash_in_the_middle_leaves_the_old_version_whole(path: Path) -> None:
    """kill -9 in the second step: it is as if the first had never been taken either."""
    before = content(path)
    died = subprocess.run([sys.executable, "-c", DIES_IN_THE_SECOND_STEP, path], check=False)
    assert died.returncode == -9
    assert content(path) == before
    outbox_file.create(path, steps=[widen, fill])


def test_steps_and_version_are_one_transaction(path: Path) -> None:
    """A crash right after the tables have changed finds the new version with them."""
    done: list[str] = []

    def watch(connection: sqlite3.Connection) -> None:
        connection.set_trace_callback(done.append)

    outbox_file.create(path, steps=[watch, widen])
    assert [one.split()[0] for one in done][-2:] == ["PRAGMA", "COMMIT"]


def test_a_newer_file_is_refused(path: Path) -> None:
    """An older program says so in one sentence, and changes nothing."""
    outbox_file.create(path, steps=[widen])
    before = content(path)
    with pytest.raises(OutboxError, match=r"newer forwarder \(schema 2, this one knows 1\)"):
        outbox_file.create(path, steps=[])
    assert content(path) == before
