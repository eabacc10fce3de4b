"""
The file descriptors that connections to receivers may take, over all endpoints.

    take      a place at once, while there are free ones
    wait      close the longest idle connection of any endpoint; waiters are served in the order of coming
    run_out   the system had none left all the same: for a moment no more are opened than are open

An endpoint's first connection always comes before another's second one, so that no endpoint starves. A dial takes a
place, and the close of its connection gives the place back; requests take none. There is no lock, because all pools
live on one event loop.
"""

import asyncio
import os
from collections import deque
from collections.abc import Callable
from heapq import nsmallest
from typing import Protocol

from forwarder.logs import logger

UNLIMITED = 1 << 30
PAUSE_SECONDS = 1.0
"""How long a refusal by the system holds."""
TURN_SECONDS = 1.0
"""How long a busy connection is kept while an endpoint without any waits for its descriptor."""
LONG_TURN_SECONDS = 10.0
"""How long a busy one is kept while others wait only for a further one, because its close costs both a handshake."""
QUIET_SECONDS = 30.0
"""Trouble is over when none was met for so long."""

_NEVER = float("inf")
_FULL = "all {} descriptors for connections to receivers are in use: deliveries wait for their turn"
_REFUSED = "the system has no file descriptor left (EMFILE or ENFILE): deliveries wait"


class Holder(Protocol):
    """A pool of connections, as far as its descriptors go."""

    held: int
    """The places that the pool has; `Place` counts them."""

    @property
    def idle_since(self) -> float:
        """When the longest idle connection was used last, by the loop's clock; infinite when none is idle."""

    def close_longest_idle(self) -> None:
        """Close it; its place is given back when the socket is closed."""


class Place:
    """The right to one descriptor; giving it back twice changes nothing."""

    __slots__ = ("_give_back", "_holder", "taken_at")

    def __init__(self, holder: Holder | None, *, now: float, give_back: Callable[[], None]) -> None:
        self._holder = holder
        self._give_back: Callable[[], None] | None = give_back
        self.taken_at = now
        """The loop's time at which the place was taken."""
        if holder is not None:
            holder.held += 1

    def give_back(self) -> None:
        if self._give_back is None:
            return
        give_back, self._give_back = self._give_back, None
        if self._holder is not None:
            self._holder.held -= 1
        give_back()


class Descriptors:
    """`count` places for all pools of one event loop."""

    def __init__(self, count: int = UNLIMITED) -> None:
        self._count = self._most = count
        self._used = 0
        self._closing = 0
        """Connections that are being closed for waiters."""
        self._holders: set[Holder] = set()
        self.waiting: deque[tuple[Holder, asyncio.Future[Place]]] = deque()
        """The waiters in the order of coming; an attribute, because each request looks at it."""
        self._trouble = _Trouble()
        self._pause: asyncio.TimerHandle | None = None
        self._looks_soon = False

    @property
    def problem(self) -> str | None:
        """A sentence for operators while there is trouble, else None."""
        return self._trouble.problem

    def join(self, holder: Holder) -> None:
        self._holders.add(holder)

    def leave(self, holder: Holder) -> None:
        self._holders.discard(holder)
        self._serve()

    def take(self, holder: Holder) -> Place | None:
        """A place that is free now, or None. It passes no waiter, because no waiter may have a place that is free."""
        return self._place(holder) if self._may_have(holder) else None

    def spare(self) -> Place | None:
        """One more place for a dial that tries several addresses; None while anybody waits."""
        is_free = not self.waiting and self._used < self._most
        return self._place(None) if is_free else None

    async def wait(self, holder: Holder, *, seconds: float) -> Place | None:
        """A place as soon as it is this pool's turn; None when its turn does not come within so many seconds."""
        turn: asyncio.Future[Place] = asyncio.get_running_loop().create_future()
        waiter = (holder, turn)
        self.waiting.append(waiter)
        self._serve()
        if not turn.done() and not self._reclaim():
            self._trouble.met(_FULL.format(self._most))
        try:
            await asyncio.wait((turn,), timeout=seconds)
        except asyncio.CancelledError:
            if turn.done():
                turn.result().give_back()  # the place came together with the cancellation
            raise
        finally:
            if turn.cancel():
                self.waiting.remove(waiter)
        return None if turn.cancelled() else turn.result()

    def end_waits(self) -> None:
        """End every wait without a place, because the service stops."""
        for _, turn in self.waiting:
            turn.cancel()
        self.waiting.clear()

    def wants_from(self, holder: Holder, place: Place) -> bool:
        """Whether a connection that has just been used is to be closed for a waiter."""
        self._look_soon()
        turn = TURN_SECONDS if self._first_waits() else LONG_TURN_SECONDS
        had_its_turn = asyncio.get_running_loop().time() - place.taken_at >= turn
        if not had_its_turn or len(self.waiting) <= self._closing:
            return False
        is_wanted = holder.held > 1 or self._only_ones_may_go()
        self._closing += is_wanted
        return is_wanted

    def run_out(self) -> None:
        """Open no more than are open for a moment, because the system refused a descriptor."""
        self._trouble.met(_REFUSED)
        self._most = min(self._most, max(self._used - 1, 0))
        if self._pause is None:
            self._pause = asyncio.get_running_loop().call_later(PAUSE_SECONDS, self._resume)

    def _resume(self) -> None:
        self._pause = None
        self._most = self._count
        self._serve()

    def _place(self, holder: Holder | None) -> Place:
        self._used += 1
        now = asyncio.get_running_loop().time()
        return Place(holder, now=now, give_back=self._take_back)

    def _take_back(self) -> None:
        self._used -= 1
        self._closing = max(self._closing - 1, 0)
        self._serve()
        if self.waiting:
            self._look_soon()

    def _may_have(self, holder: Holder) -> bool:
        free = self._most - self._used
        if not holder.held or free > self._most // 2:
            return free > 0
        return free > self._kept_for_firsts()

    def _kept_for_firsts(self) -> int:
        """Free places that are kept for endpoints without a connection, at most half of all."""
        return min(self._without(), self._most // 2)

    def _without(self) -> int:
        return sum(1 for holder in self._holders if not holder.held)

    def _serve(self) -> None:
        """Give free places to the waiters that may have them, first come, first served."""
        passed: list[tuple[Holder, asyncio.Future[Place]]] = []
        while self.waiting and self._used < self._most:
            holder, turn = self.waiting.popleft()
            if turn.done():
                continue
            if self._may_have(holder):
                turn.set_result(self._place(holder))
            else:
                passed.append((holder, turn))
        self.waiting.extendleft(reversed(passed))

    def _look_soon(self) -> None:
        """Reclaim in the next turn of the loop, because work that follows at once may use the connection again."""
        if not self._looks_soon:
            self._looks_soon = True
            asyncio.get_running_loop().call_soon(self._look)

    def _look(self) -> None:
        self._looks_soon = False
        self._reclaim()

    def _reclaim(self) -> bool:
        """Close the longest idle connections, one for each waiter; return whether a place is on its way."""
        missing = len(self.waiting) - self._closing
        if missing > 0:
            own = {holder for holder, _ in self.waiting}
            idle = self._idle(own)
            # A waiter's own connection goes first, because the waiter loses nothing by it and others keep theirs.
            for holder in nsmallest(
                missing, idle, key=lambda one: (one not in own, one.idle_since)
            ):
                self._closing += 1
                holder.close_longest_idle()
        return self._closing > 0

    def _idle(self, own: set[Holder]) -> list[Holder]:
        """The pools with an idle connection whose place may go to a waiter."""
        all_may_go = self._only_ones_may_go()
        idle = (holder for holder in self._holders if holder.idle_since < _NEVER)
        return [one for one in idle if all_may_go or one.held > 1 or one in own]

    def _first_waits(self) -> bool:
        """Whether an endpoint without a connection waits."""
        return any(not holder.held for holder, _ in self.waiting)

    def _only_ones_may_go(self) -> bool:
        """
        Whether an endpoint may lose its only connection to one that waits.

        An endpoint without any may have it once there are more endpoints than half of the places. A further connection
        may have it only while at least so many endpoints are without any.
        """
        if self._first_waits():
            return len(self._holders) > self._most // 2
        return self._without() >= self._most // 2


class _Trouble:
    """Trouble is logged once when it begins, and once when it is over."""

    def __init__(self) -> None:
        self.problem: str | None = None
        self._log = logger("descriptors")
        self._timer: asyncio.TimerHandle | None = None

    def met(self, problem: str) -> None:
        if self.problem is None:
            hint = "raise the limit of open files (LimitNOFILE=, ulimit -n)"
            self._log.warning("descriptors.exhausted", problem=problem, hint=hint)
        self.problem = problem
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(QUIET_SECONDS, self._is_over)

    def _is_over(self) -> None:
        self.problem = None
        self._log.info("descriptors.recovered")


def probe_descriptor() -> None:
    """
    Raises OSError when the process can open no file now.

    Some libraries hide that: glibc calls a name unknown when it cannot open its files, and OpenSSL finds no CAs.
    """
    os.close(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
