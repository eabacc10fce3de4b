"""
Starts the forwarder with a trap in it: at a named point the process kills itself as `kill -9` does.

The program has no such points. This wraps its methods from outside, as the environment says:

    CHAOS_POINT        a point and how often it is passed before the trap springs, such as before-puback:20
    CHAOS_SIGNAL       STOP: the process stands still there instead, as one whose machine is paused
    CHAOS_HITS         the file that notes each trap that sprang
    CHAOS_FENCES       OFF: a replica that others took over from goes on, for the control that must lose readings
    CHAOS_SYNCHRONOUS  OFF: SQLite without fsync, for the control that must lose readings
    CHAOS_CHECKPOINT   pages after which SQLite carries its write-ahead log over; few make it busy with that
"""

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Any

# A script's own folder comes first in sys.path; chaos/ would shadow nothing, but it is not meant to be there.
sys.path[0] = str(Path(__file__).parents[1])

from forwarder.cli.main import main
from forwarder.delivery import Accepted
from forwarder.dispatcher import Dispatcher
from forwarder.errors import OutboxTaken
from forwarder.ingest import Ingest
from forwarder.outbox import Outbox
from forwarder.outbox.postgresql import engine as postgres_engine
from forwarder.outbox.postgresql import members, schema
from forwarder.outbox.postgresql import statements as postgres_statements
from forwarder.outbox.sql import bringing_in, operations
from forwarder.outbox.sqlite import disk_space
from forwarder.outbox.sqlite import file as outbox_file
from forwarder.outbox.sqlite import statements as sqlite_statements
from forwarder.sender import Sender
from forwarder.sender import transport as sender_transport
from forwarder.subscriber import Subscriber
from forwarder.subscriber import connection as subscriber_connection


class Trap:
    """Kills the process, or has it stand still, when it is stepped on for the `countdown`th time."""

    def __init__(self, point: str, countdown: int) -> None:
        self._point = point
        self._countdown = countdown
        self._signal = signal.Signals["SIG" + os.environ.get("CHAOS_SIGNAL", "KILL")]

    def step(self) -> None:
        self._countdown -= 1
        if self._countdown == 0:
            with Path(os.environ["CHAOS_HITS"]).open("a") as hits:
                hits.write(self._point + "\n")
            os.kill(os.getpid(), self._signal)


def before(owner: Any, name: str) -> Callable[[Trap], None]:
    """Step on the trap before each call."""

    def install(trap: Trap) -> None:
        original = getattr(owner, name)

        @wraps(original)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            trap.step()
            return original(*args, **kwargs)

        setattr(owner, name, wrapped)

    return install


def after(
    owner: Any, name: str, *, where: Callable[..., object] = lambda *_, **__: True
) -> Callable[[Trap], None]:
    """Step on the trap when a call has returned, and `where` holds of its arguments."""

    def install(trap: Trap) -> None:
        original = getattr(owner, name)

        @wraps(original)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            result = original(*args, **kwargs)
            if where(*args, **kwargs):
                trap.step()
            return result

        setattr(owner, name, wrapped)

    return install


def after_success(trap: Trap) -> None:
    """Step on the trap when a receiver has answered 2xx, before anything is made of it."""
    original = Sender.post

    @wraps(original)
    async def wrapped(*args: Any, **kwargs: Any) -> Any:
        result = await original(*args, **kwargs)
        if isinstance(result, Accepted):
            trap.step()
        return result

    Sender.post = wrapped  # type: ignore[method-assign]  # the trap


def each(*installs: Callable[[Trap], None]) -> Callable[[Trap], None]:
    """The same trap at several places, of which the process passes one."""

    def install(trap: Trap) -> None:
        for one in installs:
            one(trap)

    return install


POINTS: dict[str, Callable[[Trap], None]] = {
    "after-receive": after(Ingest, "receive"),
    "before-commit": after(bringing_in, "put_all"),
    "before-puback": before(Subscriber, "acknowledge"),
    "after-puback": after(Subscriber, "acknowledge"),
    "after-claim": before(Sender, "post"),
    "before-settle": after_success,
    "in-settle": each(
        after(sqlite_statements.Store, "settle"), after(postgres_statements.Store, "settle")
    ),
    "in-reload": before(Dispatcher, "apply"),
    "in-replay": after(operations, "_revive"),
    "in-creation": each(before(outbox_file, "_lay_out"), before(schema, "make")),
    "in-start": before(Outbox, "__init__"),
    "before-connect": after(subscriber_connection.Connection, "_look"),
    "before-request": after(sender_transport.PooledTransport, "_require_leave"),
    "in-join": after(members.DatabaseSeat, "__init__"),
    "in-election": after(members.DatabaseSeat, "_try_to_lead", where=lambda seat, *_: seat.leads),
    "in-lead": after(postgres_engine.PostgresEngine, "_begin_to_lead"),
    "in-take": after(postgres_statements.Store, "take_homes", where=lambda _, names: names),
    "in-release": after(postgres_statements.Store, "release_homes", where=lambda _, names: names),
    "in-burial": after(members, "_bury", where=lambda _, dead: dead),
}
"""Each named point, and how its trap is laid."""


def lay_trap(wanted: str) -> None:
    point, _, countdown = wanted.partition(":")
    POINTS[point](Trap(point, int(countdown or 1)))


_TAKE_LINE_ANYWAY = """
    UPDATE line SET epoch = epoch + (owner IS NOT DISTINCT FROM me.id)::int FROM (SELECT ?::text AS id) AS me
    WHERE owner = me.id OR NOT EXISTS (SELECT 1 FROM member WHERE member.id = me.id) RETURNING epoch"""


def take_fences_out() -> None:
    """
    Whoever was taken over from is not told, and what it stores is not refused.

    The epochs are not looked at, nor who has the line, nor the lease and its end. All else stays: locks, numbers,
    accounts, and that a delivery ends once.
    """
    postgres_engine._TAKE_LINE = _TAKE_LINE_ANYWAY  # noqa: SLF001 - the fence of the line
    store, engine, seat = (
        postgres_statements.Store,
        postgres_engine.PostgresEngine,
        members.DatabaseSeat,
    )
    reserve, lock_homes = store.reserve, engine._lock_homes  # noqa: SLF001 - those of puts and settlements

    def reserve_anyway(self: Any, count: int, *, epoch: int | None) -> bool | None:  # noqa: ARG001
        return reserve(self, count, epoch=None)

    def lock_anyway(*args: Any) -> None:
        with suppress(OutboxTaken):
            lock_homes(*args)

    setattr(store, "reserve", reserve_anyway)  # noqa: B010 - mypy would have it be a method
    setattr(engine, "_lock_homes", lock_anyway)  # noqa: B010
    setattr(seat, "is_sure", True)  # noqa: B010 - the lease
    setattr(seat, "is_dead", property(lambda _: False, lambda *_: None))  # noqa: B010 - its end


def prepare() -> None:
    if wanted := os.environ.get("CHAOS_POINT"):
        lay_trap(wanted)
    if os.environ.get("CHAOS_FENCES") == "OFF":
        take_fences_out()
    if mode := os.environ.get("CHAOS_SYNCHRONOUS"):
        outbox_file.SYNCHRONOUS = mode
    if pages := os.environ.get("CHAOS_CHECKPOINT"):
        disk_space.MOST_PAGES = int(pages)


if __name__ == "__main__":
    prepare()
    main()
