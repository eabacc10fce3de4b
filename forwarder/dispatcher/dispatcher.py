"""All endpoints, each dispatched by itself."""

import asyncio
import random
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial

from forwarder.clock import Clock
from forwarder.dispatcher.endpoint import EndpointDispatcher
from forwarder.dispatcher.watch import Watch
from forwarder.endpoint_health import EndpointHealth
from forwarder.logs import harmless
from forwarder.outbox import Outbox, ReleaseHomes, TakeHomes
from forwarder.routes import Endpoint, Routes
from forwarder.sender import Sender


def _spread() -> float:
    return random.uniform(-1.0, 1.0)  # noqa: S311 - spreads retries, hides nothing


class Dispatcher:
    """Keeps an `EndpointDispatcher` for each endpoint, and tells each one when something has changed."""

    def __init__(
        self,
        *,
        outbox: Outbox,
        sender: Sender,
        clock: Clock,
        watch: Watch,
        spread: Callable[[], float] = _spread,
    ) -> None:
        self._outbox = outbox
        self._sender = sender
        self._clock = clock
        self._watch = harmless(watch)
        self._spread = spread
        self._endpoints: dict[str, EndpointDispatcher] = {}
        self._routes: Routes | None = None
        self._leaving: dict[str, asyncio.Task[None]] = {}
        self._taking: asyncio.Future[None] | None = None
        self._is_draining = False

    def apply(self, routes: Routes) -> None:
        """
        Take over a routing table, unless draining: new endpoints start, edited ones go on, others stop.

        Endpoints whose home is another replica do not start here.
        """
        if self._is_draining:
            return
        self._routes = routes
        for name, endpoint in routes.endpoints.items():
            known = self._endpoints.get(name)
            if known is not None:
                known.configure(endpoint)
        self._start_homes(routes)
        for dispatcher in self._endpoints.values():
            if dispatcher.endpoint.name not in routes.endpoints:
                dispatcher.remove()

    def _start_homes(self, routes: Routes) -> None:
        stored = self._outbox.health
        for name, endpoint in routes.endpoints.items():
            if name not in self._endpoints and name in self._outbox.homes:
                self._start(endpoint, stored.get(name, EndpointHealth()))

    def look_for_homes(self) -> None:
        """Start the endpoints that have their home here now, and forget those that lost it."""
        for name in [name for name in self._endpoints if name not in self._outbox.homes]:
            del self._endpoints[name]
        if self._routes is not None and not self._is_draining:
            self._start_homes(self._routes)

    def follow_homes(self, elsewhere: Collection[str], free: Collection[str]) -> None:
        """Take the homes of the endpoints in `free`, and leave those in `elsewhere` to other replicas."""
        homes = self._outbox.homes.here
        if homes is None or self._is_draining:
            return
        missing = sorted(name for name in free if name not in homes)
        # One request at a time, because the one under way may bring the homes that are missing.
        if missing and (self._taking is None or self._taking.done()):
            self._taking = asyncio.ensure_future(self._outbox.operate(TakeHomes(missing)))
        for name in homes:
            if name in elsewhere and name not in self._leaving:
                leaving = asyncio.ensure_future(self._leave(name))
                self._leaving[name] = leaving
                leaving.add_done_callback(partial(self._left, name))

    async def _leave(self, name: str) -> None:
        """Let the endpoint's attempts end, then release its home: two replicas must not send at once."""
        endpoint = self._endpoints.get(name)
        if endpoint is not None:
            await endpoint.leave()
        await self._outbox.operate(ReleaseHomes([name]))

    def _left(self, name: str, leaving: "asyncio.Task[None]") -> None:
        del self._leaving[name]
        if not leaving.cancelled():
            leaving.exception()  # heard here, because the next look leaves the endpoint again

    def _start(self, endpoint: Endpoint, health: EndpointHealth) -> None:
        dispatcher = EndpointDispatcher(
            endpoint,
            health,
            outbox=self._outbox,
            sender=self._sender,
            clock=self._clock,
            watch=self._watch,
            spread=self._spread,
        )
        self._endpoints[endpoint.name] = dispatcher
        dispatcher.configure(endpoint)

    def start_due(self, names: Iterable[str]) -> None:
        """Start what may be claimed at these endpoints."""
        for name in names:
            endpoint = self._endpoints.get(name)
            if endpoint is not None:
                endpoint.start_due()

    def look_for_pauses(self) -> None:
        """Take over what `endpoints pause` and `endpoints resume` have changed in the outbox."""
        for name, health in self._outbox.health.items():
            endpoint = self._endpoints.get(name)
            if endpoint is None or endpoint.health.paused_by == health.paused_by:
                continue
            if health.paused_by is None:
                endpoint.resume()
            else:
                endpoint.pause(health)

    def settle_outdated(self) -> Iterator[Endpoint]:
        """
        Settle outdated readings of kept batches, endpoint by endpoint as the caller goes on.

        Yields each endpoint that routes.yaml names and that has its home here.
        """
        for dispatcher in list(self._endpoints.values()):
            if not dispatcher.is_removed:
                dispatcher.settle_outdated()
                yield dispatcher.endpoint

    @property
    def routed(self) -> Collection[str]:
        """The endpoints that routes.yaml names, wherever their home is."""
        return () if self._routes is None else self._routes.endpoints

    def healths(self) -> dict[str, EndpointHealth]:
        """The health of each endpoint that the routes name and that has its home here."""
        return {name: one.health for name, one in self._endpoints.items() if not one.is_removed}

    def health_of(self, name: str) -> EndpointHealth | None:
        """The health of one endpoint; None when the routes do not name it or its home is elsewhere."""
        endpoint = self._endpoints.get(name)
        return None if endpoint is None or endpoint.is_removed else endpoint.health

    @property
    def in_flight(self) -> int:
        """Attempts under way."""
        return sum(endpoint.in_flight for endpoint in self._endpoints.values())

    async def drain(self, *, timeout_seconds: float) -> None:
        """Start nothing more; wait this long for attempts under way, then give them up."""
        self._is_draining = True
        stops = [asyncio.ensure_future(self._drain(one)) for one in self._endpoints.values()]
        if not stops:
            return
        _, late = await asyncio.wait(stops, timeout=timeout_seconds)
        if late:
            for endpoint in self._endpoints.values():
                endpoint.cancel()
            await asyncio.wait(late)

    async def _drain(self, endpoint: EndpointDispatcher) -> None:
        """Release each home as soon as its attempts have ended, so that another replica goes on without waiting."""
        if self._outbox.homes.here is None:
            await endpoint.stop()
        else:
            await endpoint.leave()
            self._outbox.release_home(endpoint.endpoint.name)
