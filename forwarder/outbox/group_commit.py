"""
Changes on its way to the commit thread.

The thread takes all that has been handed over and makes one transaction of it, from the first statement to the disk; a
piece of work belongs to the loop or to the thread. What comes meanwhile is for the next transaction. That begins some
turns of the loop later: while the loop is busy they make it larger, for a transaction has its price whatever it holds;
while it is not they take no time. One that is large already begins at once, for then it is the thread that the line
waits for.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial, reduce

from forwarder.outbox.changes import Changes
from forwarder.outbox.commit import Commit
from forwarder.outbox.sqlite.writer import Writer

TURNS = 4
"""Of the loop between two transactions. Without them one held 90 single readings at full load, with them 130."""
LARGE = 512
"""Messages that are enough for a transaction: it begins at once."""


class GroupCommit:
    """
    Hands work to the thread in order, and tells on the loop what became of it.

    After a transaction that failed all that was handed over comes back: nothing that came later is ever committed
    before it.
    """

    def __init__(
        self,
        writer: Writer,
        *,
        commit_of: Callable[[Changes], Commit],
        on_committed: Callable[[Commit], None],
        on_failed: Callable[[Changes, BaseException], None],
        on_rest: Callable[[], None],
    ) -> None:
        self._writer = writer
        self._commit_of = commit_of
        self._on_committed = on_committed
        self._on_failed = on_failed
        self._on_rest = on_rest
        self._given: deque[Changes] = deque()
        self.is_running = False
        """Whether the thread has the writer, or is about to."""

    def give(self, work: Changes) -> None:
        """Have it committed after all that was given before; it is the thread's from now on."""
        self._given.append(work)
        if not self.is_running:
            self.is_running = True
            self._start()

    def _start(self) -> None:
        self._writer.start(partial(self._commit_given, asyncio.get_running_loop()))

    def _commit_given(self, loop: asyncio.AbstractEventLoop) -> None:
        """In the thread."""
        commit = self._commit_of(self._take())
        try:
            # What a power cut takes of deliveries is sent again, under the same ids. The next message of each of these
            # lanes comes with a commit that waits for the disk, and by then all before it is there.
            self._writer.commit_whole(
                commit.apply_rows, waits_for_disk=not commit.work.is_of_deliveries_alone
            )
        except BaseException as error:  # noqa: BLE001 - it is raised on the loop
            _tell(loop, partial(self._stop, commit, error))
        else:
            _tell(loop, partial(self._conclude, commit))

    def _take(self) -> Changes:
        """All that has been given, as one."""
        return reduce(Changes.followed_by, [self._given.popleft() for _ in range(len(self._given))])

    def _conclude(self, commit: Commit) -> None:
        is_large = self._given_messages >= LARGE
        if is_large:
            # While the loop hears of this one; it was busy, or there would not be so many.
            self._start()
        self._on_committed(commit)
        if not is_large:
            self._go_on_after(TURNS)

    def _go_on_after(self, turns: int) -> None:
        if not self._given:
            self.is_running = False
            self._on_rest()
        elif turns and self._given_messages < LARGE:
            asyncio.get_running_loop().call_soon(self._go_on_after, turns - 1)
        else:
            self._start()

    @property
    def _given_messages(self) -> int:
        return sum(work.message_count for work in self._given)

    def _stop(self, commit: Commit, error: BaseException) -> None:
        """It begins anew when it is given something."""
        self.is_running = False
        work = reduce(Changes.followed_by, [commit.work, *self._given])
        self._given.clear()
        self._on_failed(work, error)
        self._on_rest()


def _tell(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # the loop was closed meanwhile
        loop.call_soon_threadsafe(callback)
