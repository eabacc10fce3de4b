"""
Starts the forwarder with a trap in it: at a named point the process kills itself as `kill -9` does.

The program has no such points. This wraps its methods from outside, as the environment says:

    CHAOS_POINT        a point and how often it is passed before the trap springs, such as before-puback:20
    CHAOS_HITS         the file that notes each trap that sprang
    CHAOS_SYNCHRONOUS  OFF: SQLite without fsync, for the control that must lose readings
    CHAOS_CHECKPOINT   pages after which SQLite carries its write-ahead log over; few make it busy with that
"""

import os
import signal
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

# A script's own folder comes first in sys.path; chaos/ would shadow nothing, but it is not meant to be there.
sys.path[0] = str(Path(__file__).parents[1])

from forwarder.cli.main import main
from forwarder.delivery import Accepted
from forwarder.dispatcher import Dispatcher
from forwarder.ingest import Ingest
from forwarder.outbox import Outbox
from forwarder.outbox.postgresql import schema
from forwarder.outbox.postgresql import statements as postgres_statements
from forwarder.outbox.sql import bringing_in, operations
from forwarder.outbox.sqlite import disk_space
from forwarder.outbox.sqlite import file as outbox_file
from forwarder.outbox.sqlite import statements as sqlite_statements
from forwarder.sender import Sender
from forwarder.subscriber import Subscriber


class Trap:
    """Kills the process when it is stepped on for the `countdown`th time."""

    def __init__(self, point: str, countdown: int) -> None:
        self._point = point
        self._countdown = countdown

    def step(self) -> None:
        self._countdown -= 1
        if self._countdown == 0:
            with Path(os.environ["CHAOS_HITS"]).open("a") as hits:
                hits.write(self._point + "\n")
            os.kill(os.getpid(), signal.SIGKILL)


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


def after(owner: Any, name: str) -> Callable[[Trap], None]:
    """Step on the trap when a call has returned."""

    def install(trap: Trap) -> None:
        original = getattr(owner, name)

        @wraps(original)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            result = original(*args, **kwargs)
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
}
"""Each named point, and how its trap is laid."""


def lay_trap(wanted: str) -> None:
    point, _, countdown = wanted.partition(":")
    POINTS[point](Trap(point, int(countdown or 1)))


def prepare() -> None:
    if wanted := os.environ.get("CHAOS_POINT"):
        lay_trap(wanted)
    if mode := os.environ.get("CHAOS_SYNCHRONOUS"):
        outbox_file.SYNCHRONOUS = mode
    if pages := os.environ.get("CHAOS_CHECKPOINT"):
        disk_space.MOST_PAGES = int(pages)


if __name__ == "__main__":
    prepare()
    main()
