"""
FORWARDER_HEARTBEAT_URL, called each minute while the service is ready: whoever is called notices when that ends.

It is healthchecks.io's way, and that of Uptime Kuma's push monitors and others. Not to be taken for the line a minute
in the log, which is for people who read along (heartbeat.py).
"""

from collections.abc import Callable, Sequence

import httpx

from forwarder.clock import Clock
from forwarder.logs import logger
from forwarder.routes import Endpoint, EndpointName
from forwarder.sender import Guard, client_for, pooled_transports
from forwarder.sender.failure import NoDescriptor, TransportFailure

CALL_SECONDS = 60.0
LOOK_SECONDS = 5.0
"""How soon it is looked again when the service is not ready."""
TIMEOUT_SECONDS = 10.0


def caller(url: str, *, guard: Guard, proxy_url: str | None) -> httpx.AsyncClient:
    """
    A client for that URL alone, under the guard and the limits of deliveries; to be made on the loop.

    Private addresses are allowed, because the operator names the URL, and many watch from their own network.
    """
    endpoint = Endpoint(
        EndpointName("heartbeat"), url, keys=(), timeout_seconds=TIMEOUT_SECONDS, allow_private=True
    )
    return client_for(endpoint, transport_for=pooled_transports(proxy_url=proxy_url, guard=guard))


class ReadyCall:
    """
    Calls while nothing keeps the service from its job; `problems` are what does.

    A call that fails is told once, and the next one comes after a minute all the same.
    """

    def __init__(
        self,
        url: str,
        *,
        client: Callable[[], httpx.AsyncClient],
        problems: Callable[[], Sequence[str]],
        clock: Clock,
    ) -> None:
        self._url = url
        self._client = client
        self._problems = problems
        self._clock = clock
        self._log = logger("heartbeat")
        self._is_failing = False

    async def run(self) -> None:
        """Call until cancelled."""
        while True:
            await self._clock.sleep(await self._turn())

    async def _turn(self) -> float:
        """Call if that is right, and say how long to wait."""
        started = self._clock.monotonic()
        try:
            if self._problems():
                return LOOK_SECONDS
            self._note(await self._call())
        except Exception as error:  # noqa: BLE001 - it only tells
            self._log.error("telling.broke", what="the heartbeat's call", exc_info=error)
        return max(CALL_SECONDS - (self._clock.monotonic() - started), LOOK_SECONDS)

    async def _call(self) -> str | None:
        """What was in the way, as a clause; None when it was answered well. The URL is a secret."""
        try:
            async with self._client() as client:
                response = await client.get(self._url)
        except TransportFailure as failure:
            return failure.detail or failure.word
        except NoDescriptor:
            return "no file descriptor is free"
        return None if response.is_success else f"it was answered {response.status_code}"

    def _note(self, problem: str | None) -> None:
        if problem is not None and not self._is_failing:
            self._log.warning("heartbeat.failed", problem=problem)
        elif problem is None and self._is_failing:
            self._log.info("heartbeat.recovered")
        self._is_failing = problem is not None
