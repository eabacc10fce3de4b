"""
The service calls FORWARDER_HEARTBEAT_URL each minute while it is ready; the receiver notices when calls end.

healthchecks.io, Uptime Kuma's push monitors and others work this way. The line a minute in the log is another thing,
and is for people (heartbeat.py).
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
"""How soon the next look comes while the service is not ready."""
TIMEOUT_SECONDS = 10.0


def caller(url: str, *, guard: Guard, proxy_url: str | None) -> httpx.AsyncClient:
    """
    A client for that URL alone, under the guard and the limits of deliveries; it has to be made on the loop.

    Private addresses are allowed, because the operator names the URL and many watch from their own network.
    """
    endpoint = Endpoint(
        EndpointName("heartbeat"), url, keys=(), timeout_seconds=TIMEOUT_SECONDS, allow_private=True
    )
    return client_for(endpoint, transport_for=pooled_transports(proxy_url=proxy_url, guard=guard))


class ReadyCall:
    """
    Calls while there are no `problems`, which keep the service from its job.

    The first of the calls that fail is logged, and the next call comes after a minute all the same.
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
        """Call if the service is ready; return the seconds until the next turn."""
        started = self._clock.monotonic()
        try:
            if self._problems():
                return LOOK_SECONDS
            self._note(await self._call())
        except Exception as error:  # noqa: BLE001 - it only tells
            self._log.error("telling.broke", what="the heartbeat's call", exc_info=error)
        return max(CALL_SECONDS - (self._clock.monotonic() - started), LOOK_SECONDS)

    async def _call(self) -> str | None:
        """The problem of the call as a clause, None after a good answer. It never names the URL, which is a secret."""
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
