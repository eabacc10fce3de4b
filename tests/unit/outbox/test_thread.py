"""The thread that commits: one call after the other."""

import asyncio
from threading import Event, get_ident

from forwarder.outbox.thread import Worker


async def test_call_runs_outside_the_loop() -> None:
    """The loop turns while the disk is waited for."""
    thread, may_end, idents = Worker("test"), Event(), list[int]()

    def call() -> None:
        may_end.wait(10)
        idents.append(get_ident())

    thread.start(call)
    asyncio.get_running_loop().call_soon(may_end.set)
    await asyncio.to_thread(thread.close)
    assert idents
    assert idents != [get_ident()]


def test_calls_end_in_their_order() -> None:
    """A transaction is over before the next one begins, and both are before the thread is closed."""
    thread, done = Worker("test"), list[str]()
    thread.start(lambda: done.append("first"))
    thread.start(lambda: done.append("second"))
    thread.close()
    assert done == ["first", "second"]
