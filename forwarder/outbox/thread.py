"""The threads of the outbox, which wait for the disk in place of the loop."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


class Worker:
    """
    A thread that makes one call after the other, and tells the loop how each call ended.

    An executor takes twice the CPU (on the loop 50 instead of 26 µs a call). The thread is a daemon, so a process that
    ends without `close` ends as if it were killed, which the engine stands.
    """

    def __init__(self, name: str) -> None:
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            call()

    def start(
        self,
        call: Callable[[], T],
        *,
        done: Callable[[T], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        """Make the call after all earlier ones; the running loop then runs `done` or `failed`, unless it is closed."""
        self._calls.put(partial(_make, call, done, failed, asyncio.get_running_loop()))

    def close(self) -> None:
        """Block until all calls are made; no call may follow."""
        self._calls.put(None)
        self._thread.join()


def _make(
    call: Callable[[], T],
    done: Callable[[T], None],
    failed: Callable[[BaseException], None],
    loop: asyncio.AbstractEventLoop,
) -> None:
    try:
        conclusion = partial(done, call())
    except BaseException as error:  # noqa: BLE001 - the loop deals with it
        conclusion = partial(failed, error)
    # Conclusions run on the loop in the order of the calls, so whatever they change needs no lock.
    with suppress(RuntimeError):  # the loop was closed meanwhile
        loop.call_soon_threadsafe(conclusion)
