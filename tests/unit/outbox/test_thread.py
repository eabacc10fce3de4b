"""The threads that wait for the disk: one call after the other."""

import asyncio
from functools import partial
from threading import Event, get_ident
from typing import NoReturn

import pytest

from forwarder.outbox.thread import Worker


async def test_call_runs_outside_the_loop() -> None:
    """The loop turns while the disk is waited for."""
    thread, may_end = Worker("test"), Event()
    ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def call() -> int:
        assert may_end.wait(10)
        return get_ident()

    thread.start(call, done=ended.set_result, failed=ended.set_exception)
    asyncio.get_running_loop().call_soon(may_end.set)
    assert await asyncio.wait_for(ended, timeout=10) != get_ident()
    thread.close()


async def test_calls_end_in_their_order() -> None:
    """A transaction is over before the next one begins, and both are before the thread is closed."""
    thread, made, told = Worker("test"), list[str](), list[object]()
    for name in ("first", "second"):
        thread.start(partial(made.append, name), done=told.append, failed=told.append)
    thread.close()
    assert made == ["first", "second"]
    await asyncio.sleep(0)
    assert told == [None, None]


async def test_call_that_fails_is_told_on_the_loop() -> None:
    """The thread goes on after it."""
    thread = Worker("test")
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def call() -> NoReturn:
        raise ZeroDivisionError

    thread.start(call, done=ended.set_result, failed=ended.set_exception)
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(ended, timeout=10)
    thread.close()


def test_loop_that_was_closed_is_told_nothing() -> None:
    """A process that ends does not break on what its thread still had to do."""
    told, may_end = list[object](), Event()

    async def start() -> Worker:
        thread = Worker("test")
        thread.start(lambda: may_end.wait(10), done=told.append, failed=told.append)
        return thread

    thread = asyncio.run(start())
    may_end.set()
    thread.close()
    assert told == []
