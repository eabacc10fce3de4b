"""The thread that commits: one call after the other, whoever waits for it."""

import asyncio
from collections.abc import Iterator
from threading import Event, get_ident

import pytest

from forwarder.outbox.sqlite.thread import CommitThread


@pytest.fixture
def thread() -> Iterator[CommitThread]:
    thread = CommitThread()
    yield thread
    thread.close()


async def test_call_runs_outside_the_loop(thread: CommitThread) -> None:
    """The loop turns while the disk is waited for."""
    idents = []
    await thread.run(lambda: idents.append(get_ident()))
    assert idents
    assert idents != [get_ident()]


async def test_error_is_raised_where_the_call_came_from(thread: CommitThread) -> None:
    """And the thread goes on."""
    with pytest.raises(ZeroDivisionError):
        await thread.run(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        thread.wait_for(lambda: 1 / 0)
    await thread.run(lambda: None)


async def test_cancelled_call_ends_before_the_next(thread: CommitThread) -> None:
    """A commit that nobody waits for any more is over before a rollback looks at what it has left."""
    may_end, done = Event(), []

    def call() -> None:
        may_end.wait()
        done.append("first")

    first = asyncio.create_task(thread.run(call))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    asyncio.get_running_loop().call_soon(may_end.set)
    await thread.run(lambda: done.append("second"))
    assert done == ["first", "second"]


def test_call_may_outlive_its_loop(thread: CommitThread) -> None:
    """A loop that is closed before its call is done troubles nobody."""
    may_end = Event()

    async def give_up() -> None:
        task = asyncio.create_task(thread.run(may_end.wait))
        await asyncio.sleep(0)
        task.cancel()

    asyncio.run(give_up())
    may_end.set()
    thread.wait_for(lambda: None)
