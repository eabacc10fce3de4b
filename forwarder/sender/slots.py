"""
The slots of a pool: a counter with a queue, because a semaphore costs every request a coroutine and two looks.

Slots have no lock, because the event loop alone uses them and no method awaits between its look and its change.
"""

import asyncio
from collections import deque


class Slots:
    """Counts the rights to a connection in use; waiters are served in their order, before newcomers."""

    def __init__(self, count: int) -> None:
        self._free = count
        """Free slots; above zero only while nobody waits."""
        self._waiting: deque[asyncio.Future[None]] = deque()

    def take(self) -> bool:
        """Take a free slot; False when there is none."""
        if not self._free:
            return False
        self._free -= 1
        return True

    async def wait(self) -> None:
        """Take the next slot that is given back."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self.give_back()  # the slot came together with the cancellation
            raise

    def give_back(self) -> None:
        # The slot goes straight to the first waiter, because a newcomer could take one that is counted free.
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
