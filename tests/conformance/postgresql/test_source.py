"""An outbox as the source of a copy: with what commands under way have changed, and for its own deployment alone."""

import asyncio
import threading
from pathlib import Path

import pytest
from support.readings import STARTED_AT
from support.replicas import until_somebody_waits

from forwarder.errors import OperationError
from forwarder.outbox import Audit, AuditRecord, copy_outbox, exists, opened
from forwarder.outbox.postgresql import copying
from forwarder.outbox.postgresql.access import PostgresAccess
from forwarder.outbox.postgresql.members import DatabaseSeat
from forwarder.outbox.postgresql.schema import prepare
from forwarder.settings import Database


async def test_copy_holds_what_a_command_under_way_commits(place: Database) -> None:
    """It waits for the command, and is of after that, also where the command changes no home."""
    prepare(place)
    with opened(place) as access:
        assert isinstance(access, PostgresAccess)
        access.connection.execute("INSERT INTO home (endpoint) VALUES (1)")
        commit, is_done, may_commit = access.connection.commit, threading.Event(), threading.Event()

        def commit_later() -> None:
            is_done.set()
            assert may_commit.wait(10)
            commit()

        access.connection.commit = commit_later  # type: ignore[method-assign]  # the instant is the test's matter
        record = AuditRecord("one", STARTED_AT, "command", "alice", "replay", "acme", 1)
        command = asyncio.create_task(asyncio.to_thread(access.operate, Audit(record)))
        await asyncio.to_thread(is_done.wait, 10)
        copy = asyncio.create_task(asyncio.to_thread(_audited, place))
        await until_somebody_waits(place, "%home%")
        may_commit.set()
        await command
        assert await copy == ["one"]


def _audited(place: Database) -> list[object]:
    with copying.held(place) as contents:
        return [identity for (identity,) in contents.rows("audit", ("id",))]


def test_outbox_of_another_deployment_is_not_copied(place: Database, tmp_path: Path) -> None:
    """The last leader leaves what it subscribed to; a copy for nobody in particular is anybody's."""
    DatabaseSeat(place, name="one", deployment="theirs").release()
    copy = tmp_path / "outbox.db"
    with pytest.raises(OperationError, match="is the outbox of another deployment: theirs"):
        copy_outbox(place, copy, deployment="ours")
    assert not exists(copy)
    copy_outbox(place, copy)
    assert exists(copy)
