"""The wait before the next connection; pure save for its dice."""

import random
from collections.abc import Callable


class Backoff:
    """
    Delays whose ceiling doubles from `initial_seconds` to `max_seconds`, each drawn evenly below its ceiling.

    The spread applies at the cap too. A broker that comes back is then not met by every client at once. Two clients
    that throw each other out do not stay in step. `floor_seconds` keeps low draws from making a busy loop.
    """

    def __init__(
        self,
        *,
        initial_seconds: float,
        max_seconds: float,
        floor_seconds: float = 0.1,
        draw: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._initial_seconds = initial_seconds
        self._max_seconds = max_seconds
        self._floor_seconds = min(floor_seconds, initial_seconds)
        self._draw = draw
        self._ceiling = initial_seconds

    def next_delay(self) -> float:
        ceiling = self._ceiling
        self._ceiling = min(self._max_seconds, ceiling * 2)
        return max(self._floor_seconds, self._draw(0.0, ceiling))

    def reset(self) -> None:
        """Start over at `initial_seconds`. Call it when a session has lasted, not when it merely began."""
        self._ceiling = self._initial_seconds
