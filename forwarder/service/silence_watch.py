"""The watch looks for silent devices, as long as messages can come."""

from collections.abc import Callable

from forwarder.clock import Clock
from forwarder.logs import harmless
from forwarder.notices import LOOK_SECONDS, Silence


class SilenceWatch:
    """Makes `silence` look twice a second; an error in it stops nothing, because it only tells."""

    def __init__(self, silence: Silence, *, is_flowing: Callable[[], bool], clock: Clock) -> None:
        self._silence = harmless(silence)
        self._is_flowing = is_flowing
        self._clock = clock

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self._clock.sleep(LOOK_SECONDS)
            self._silence.look(is_flowing=self._is_flowing(), now=self._clock.monotonic())
