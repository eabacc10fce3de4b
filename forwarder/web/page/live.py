"""
The live stream tells open pages that something has changed. A view then asks for itself anew.

`state` is told within a second of a change of an endpoint or the broker, `numbers` every few seconds while somebody
looks. All readers are told at the same instant, so that one answer serves them all. They are told the less often the
more their questions cost: readers take a hundredth of a core, whatever they look at.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Literal

LOOK_SECONDS = 0.5
NUMBERS_SECONDS = 2.0
NUMBERS_PART = 0.01
"""The part of a core for readers' questions after `numbers`."""
STATE_PART = 0.2
"""The part of a core for readers' questions after `state`, because endpoints may go up and down all the time."""
QUIET_SECONDS = 15.0
"""The longest time without a word. A comment then goes out, which shows whether the reader is still there."""
LONGEST_SECONDS = 600.0
"""The longest stream. The browser opens it anew, so that a reader who may not look any more finds out."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """Facts of the running service that are cheap to know, because they are asked twice a second by open pages."""

    state: object
    """A value that differs when the state of an endpoint, the broker or the routes differs."""
    last_message_at: float | None
    """UNIX seconds."""
    used_bytes: int
    """The size of the outbox."""
    max_bytes: int
    routes_changed_at: float
    """UNIX seconds at which the routes were last taken over."""


def word_due(
    has_changed: bool,  # noqa: FBT001 - it is asked twice a second, by one
    *,
    rested: float,
    cost: float,
    often: float,
) -> Literal["state", "numbers"] | None:
    """The word that is due `rested` seconds after the last one, which has cost `cost` seconds of CPU; pure."""
    if has_changed and rested >= cost / STATE_PART:
        return "state"
    return "numbers" if rested >= max(often, cost / NUMBERS_PART) else None


class Live:
    """Looks at the pulse once for all open streams, and not at all while nobody reads."""

    def __init__(
        self,
        pulse: Callable[[], Pulse],
        *,
        look_seconds: float = LOOK_SECONDS,
        numbers_seconds: float = NUMBERS_SECONDS,
        spent_seconds: Callable[[], float] = lambda: 0.0,
        on_told: Callable[[], None] = lambda: None,
    ) -> None:
        """spent_seconds: the CPU that open pages have taken so far, without being asked to"""
        self._pulse, self._spent_seconds, self._on_told = pulse, spent_seconds, on_told
        self._look_seconds, self._numbers_seconds = look_seconds, numbers_seconds
        self._readers: set[asyncio.Queue[str]] = set()
        self._looking: asyncio.Task[None] | None = None
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._readers)

    def close(self) -> None:
        """End every stream."""
        self._is_closed = True
        if self._looking is not None:
            self._looking.cancel()
        for reader in self._readers:
            reader.put_nowait("")

    async def stream(self) -> AsyncIterator[str]:
        """Server-sent events (HTML Living Standard §9.2), until the reader goes or its time is over."""
        reader: asyncio.Queue[str] = asyncio.Queue()
        self._readers.add(reader)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        ends_at = asyncio.get_running_loop().time() + LONGEST_SECONDS
        try:
            yield "retry: 2000\n\n"
            while not self._is_closed and asyncio.get_running_loop().time() < ends_at:
                yield await self._next(reader)
        finally:
            self._readers.discard(reader)

    async def _next(self, reader: "asyncio.Queue[str]") -> str:
        try:
            async with asyncio.timeout(QUIET_SECONDS):
                said = await reader.get()
        except TimeoutError:
            return ":\n\n"
        return f"event: {said}\ndata: {said}\n\n" if said else ":\n\n"

    async def _look(self) -> None:
        state, rested, spent = self._pulse().state, 0.0, self._spent_seconds()
        while self._readers:
            await asyncio.sleep(self._look_seconds)
            rested += self._look_seconds
            now, cost = self._pulse().state, self._spent_seconds() - spent
            word = word_due(now != state, rested=rested, cost=cost, often=self._numbers_seconds)
            if word is not None:
                self._tell(word)
                state, rested, spent = now, 0.0, self._spent_seconds()

    def _tell(self, what: str) -> None:
        self._on_told()
        for reader in self._readers:
            # A reader that does not keep up loses nothing, because the waiting word makes it ask for everything.
            if reader.empty():
                reader.put_nowait(what)
