"""Requests begin one after the other, with time in between: however many come, most of the loop is the line's."""

from collections.abc import Callable

from forwarder.clock import Clock


class Turns:
    """
    Calls whoever asks, in the order in which they asked, `seconds` apart or more.

    One asker has one place, so what waits is bounded by who may ask.
    """

    def __init__(self, clock: Clock, *, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._waiting: dict[Callable[[], None], None] = {}
        self._is_resting = False

    def ask(self, begin: Callable[[], None]) -> None:
        """Call `begin` when its turn comes, which is now where nobody has just had one."""
        self._waiting[begin] = None
        if not self._is_resting:
            self._next()

    def forget(self, begin: Callable[[], None]) -> None:
        """It does not want its turn any more, if it was waiting for one."""
        self._waiting.pop(begin, None)

    def _next(self) -> None:
        self._is_resting = bool(self._waiting)
        if self._is_resting:
            self._clock.call_later(self._seconds, self._next)
            begin = next(iter(self._waiting))
            del self._waiting[begin]
            begin()
