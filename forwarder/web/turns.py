"""Requests begin one after the other, with time in between, so that most of the loop's time stays the line's."""

from collections.abc import Callable

from forwarder.clock import Clock


class Turns:
    """
    Calls callers back in the order in which they asked, `seconds` apart or more.

    A caller has one place in the queue, so the number of callers bounds the queue.
    """

    def __init__(self, clock: Clock, *, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._waiting: dict[Callable[[], None], None] = {}
        self._is_resting = False

    def ask(self, begin: Callable[[], None]) -> None:
        """Call `begin` when its turn comes, which is now unless another has just had one."""
        self._waiting[begin] = None
        if not self._is_resting:
            self._next()

    def forget(self, begin: Callable[[], None]) -> None:
        """Give up the turn of `begin`, if it waits for one."""
        self._waiting.pop(begin, None)

    def _next(self) -> None:
        self._is_resting = bool(self._waiting)
        if self._is_resting:
            self._clock.call_later(self._seconds, self._next)
            begin = next(iter(self._waiting))
            del self._waiting[begin]
            begin()
