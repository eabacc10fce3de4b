"""
The service starts and stops its parts in a fixed order.

Start: the data directory is locked, the outbox is opened, deliveries flow, and only then the subscription begins.
Stop: no new messages come, the last group is committed and acknowledged, another replica may lead, attempts under way
end within the drain time, and the outbox writes the rest.
"""

import asyncio
import gc
import os
import shutil
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from pydantic import SecretStr
from starlette.routing import Route

from forwarder.addresses import is_loopback_host
from forwarder.api import API_PREFIX, Access, Door, Resources, build_api
from forwarder.clock import Clock, SharedClock, SystemClock
from forwarder.dispatcher import Dispatcher, Watch
from forwarder.errors import ForwarderError, LineGivenUp, OutboxTaken
from forwarder.ingest import Ingest
from forwarder.logs import harmless, logger
from forwarder.metrics import Metrics
from forwarder.normalise import FastPath, Normaliser, load_normaliser
from forwarder.notices import Room, Session, Silence, Teller
from forwarder.outbox import Outbox, Seat, open_outbox, remarks, take_seat, warn_of_foreign_writers
from forwarder.routes import Routes, RoutesFile
from forwarder.sender import Descriptors, Guard, Sender, Tokens, pooled_transports
from forwarder.service.audit_log import AuditLog, newest_changes
from forwarder.service.descriptors import Reserve, Share
from forwarder.service.elsewhere import Elsewhere
from forwarder.service.expiry import Expiry
from forwarder.service.heartbeat import Heartbeat
from forwarder.service.interval_ends import IntervalEnds
from forwarder.service.last_let_through import last_let_through
from forwarder.service.latest_end import LatestEnd
from forwarder.service.looking import Looks
from forwarder.service.minutes import Minutes
from forwarder.service.missing_session import watch_the_session
from forwarder.service.notify import Announcer, ServiceManager
from forwarder.service.ready_call import ReadyCall, caller
from forwarder.service.reloading import Reloader
from forwarder.service.remarks import Remarks
from forwarder.service.replica import (
    Sureness,
    doubt_while_unsure,
    keep_the_seat,
    listen,
    tell_routes,
)
from forwarder.service.silence_watch import SilenceWatch
from forwarder.service.upkeep import Upkeep
from forwarder.service.vitals import ServiceVitals
from forwarder.settings import OutboxPlace, Settings
from forwarder.settings.environment import ENV_FILE
from forwarder.subscriber import Arrival, SessionState, Subscriber, try_session
from forwarder.web import Limits, WebServer, build_app
from forwarder.web.page import STREAM, Page, build_page

YOUNG_OBJECTS = 20_000
"""How many new objects make the garbage collector look for cycles among them."""
SWITCH_SECONDS = 0.0002
"""How long a thread waits for Python's lock before the holder is asked to let go."""
USES_FAST_PATH: bool = True
"""False makes the normaliser read every payload: the same readings, five times as slow."""
LAST_COMMIT_SECONDS = 1.0
"""How long the outbox has for its last commit, however long the attempts under way took."""
TRIAL_SECONDS = 5.0
"""How long each step of a trial session may take."""
END_SECONDS = 8.0
"""How long all other parts may take to end after the drain time, before the process ends without them."""


async def run_service(
    settings: Settings, *, share: Share, log_lines_dropped: Callable[[], int]
) -> None:
    """
    Forward until SIGTERM or SIGINT, then drain.

    Raises ConfigurationError before anything is touched when settings, routes or template cannot be used, and
    OutboxError when the outbox cannot. `log_lines_dropped` counts them since the start, for /metrics.
    """
    settings.broker()
    normaliser = load_normaliser(settings)
    looks = Looks(_routes_file(settings), clock=SystemClock())
    routes = await looks.first(RoutesFile.load)
    seat = take_seat(
        settings.outbox_place,
        name=settings.replica_name or socket.gethostname(),
        deployment=settings.broker().deployment,
    )
    try:
        told = Remarks(partial(remarks, settings.outbox_place), clock=SystemClock())
        told.look()
        warn_of_foreign_writers(settings.outbox_place)
        service = Service(
            settings,
            looks=looks,
            routes=routes,
            normaliser=normaliser,
            log_lines_dropped=log_lines_dropped,
            share=share,
            seat=seat,
            remarks=told,
        )
        _suit_the_interpreter()
        await service.run()
    finally:
        seat.release()


def _routes_file(settings: Settings) -> RoutesFile:
    return RoutesFile(
        settings.routes_file,
        environ=os.environ,
        env_file=Path(ENV_FILE),
        secrets_dir=settings.secrets_dir,
        clock=SystemClock(),
    )


def _suit_the_interpreter() -> None:
    """
    Tune the garbage collector and the switch of threads for the line.

    The collector skips all modules, because a look at them would stop the loop for 50 ms. It runs rarely, because
    readings on their way are thousands of young objects without a cycle. Threads switch sooner, because the commit
    thread takes Python's lock some twenty times in a transaction and would wait up to 5 ms each time.
    """
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)
    sys.setswitchinterval(SWITCH_SECONDS)


def _free_bytes(place: OutboxPlace) -> int:
    """The free bytes on the outbox's disk; a database counts as unlimited, because nobody here sees its disk."""
    return shutil.disk_usage(place.parent).free if isinstance(place, Path) else sys.maxsize


def _open_outbox(settings: Settings, seat: Seat, clock: Clock) -> Outbox:
    return open_outbox(
        settings.outbox_place,
        clock=clock,
        member=seat.member,
        max_bytes=settings.outbox_max_bytes,
        quarantine_max_bytes=settings.quarantine_max_bytes,
        keep_delivered_seconds=settings.keep_delivered,
        may_repair=settings.outbox_repair,
    )


class Service:
    """The parts, wired."""

    def __init__(
        self,
        settings: Settings,
        *,
        looks: Looks,
        routes: Routes,
        normaliser: Normaliser,
        log_lines_dropped: Callable[[], int],
        share: Share,
        seat: Seat,
        remarks: Remarks,
    ) -> None:
        self._settings, self._share, self._seat = settings, share, seat
        self._remarks = remarks
        self._clock = SharedClock(lambda: seat.epoch) if seat.member else SystemClock()
        self._metrics = Metrics()
        self._leads = asyncio.Event()
        self._leading: list[asyncio.Task[None]] = []
        """The parts of a replica that leads."""
        self._latest_end = LatestEnd(settings.drain_timeout + END_SECONDS)
        self._log = logger("service")
        self._outbox = _open_outbox(settings, seat, self._clock)
        self._reserve = Reserve()
        self._wire_sender()
        self._wire_notices()
        self._wire_line(normaliser)
        self._wire_upkeep(looks, routes)
        self._wire_vitals(normaliser, log_lines_dropped)
        self._wire_telling()

    def _wire_sender(self) -> None:
        settings = self._settings
        proxy = settings.proxy_url.get_secret_value() if settings.proxy_url else None
        guard = Guard(settings.deny_networks, settings.allow_networks, settings.listen_address)
        self._sureness = Sureness(self._seat)
        is_one_of_many = bool(self._seat.member)
        if is_one_of_many:
            self._outbox.capacity.is_sure = self._sureness
        self._descriptors = Descriptors(self._share.receivers)
        transports = pooled_transports(
            proxy_url=proxy,
            guard=guard,
            descriptors=self._descriptors,
            may_send=self._sureness if is_one_of_many else None,
        )
        self._transports_of_a_test = partial(pooled_transports, proxy_url=proxy, guard=guard)
        self._sender = Sender(transports, tokens=Tokens(transports))
        self._client_of = partial(caller, guard=guard, proxy_url=proxy)

    def _wire_notices(self) -> None:
        settings, clock = self._settings, self._clock
        self._teller = Teller(
            outbox=self._outbox,
            clock=clock,
            session=self._session,
            healths=lambda: self._dispatcher.healths(),
            health_of=lambda name: self._dispatcher.health_of(name),
            room=Room(settings.outbox_max_bytes, partial(_free_bytes, settings.outbox_place)),
        )
        self._notices = harmless(self._teller)
        self._silence = Silence(self._outbox.devices, tell=self._notices.devices_changed)
        self._silence_watch = SilenceWatch(self._silence, is_flowing=self._is_flowing, clock=clock)

    def _wire_line(self, normaliser: Normaliser) -> None:
        settings, clock, metrics = self._settings, self._clock, self._metrics
        self._watch = Watch(metrics, listener=self._notices)
        self._dispatcher = Dispatcher(
            outbox=self._outbox,
            sender=self._sender,
            clock=clock,
            watch=self._watch,
        )
        self._outbox.attach(self._dispatcher)
        self._ingest: Ingest[Arrival] = Ingest(
            normaliser=normaliser,
            fast_path=FastPath(normaliser) if USES_FAST_PATH else None,
            outbox=self._outbox,
            metrics=metrics,
            max_message_bytes=settings.max_message_bytes,
            acknowledge=self._acknowledge,
        )
        self._subscriber = Subscriber(
            settings.broker(),
            clock=clock,
            may_connect=lambda: self._seat.is_sure,
            on_arrivals=self._ingest.receive,
            max_message_bytes=settings.max_message_bytes,
            expects_session=bool(self._outbox.accounts.overview().messages),
        )

    def _wire_upkeep(self, looks: Looks, routes: Routes) -> None:
        settings, clock = self._settings, self._clock
        self._reloader = Reloader(
            looks,
            routes,
            apply=self._use,
            clock=clock,
            metrics=self._metrics,
            on_rejected=self._notices.routes_rejected,
        )
        self._interval_ends = IntervalEnds(self._outbox.candidates, clock=clock)
        minutes = Minutes(self._metrics, self._outbox.accounts.enqueued, now=clock.unix())
        expiry = Expiry(
            outbox=self._outbox, dispatcher=self._dispatcher, clock=clock, watch=self._watch
        )
        self._upkeep = Upkeep(
            outbox=self._outbox,
            expiry=expiry,
            clock=clock,
            minutes=minutes.over,
            keep_delivered_seconds=settings.keep_delivered,
            keep_dead_seconds=settings.keep_dead,
            max_bytes=settings.outbox_max_bytes,
        )

    def _wire_vitals(
        self,
        normaliser: Normaliser,
        log_lines_dropped: Callable[[], int],
    ) -> None:
        self._vitals = ServiceVitals(
            outbox=self._outbox,
            subscriber=self._subscriber,
            reloader=self._reloader,
            normaliser=normaliser,
            descriptors=self._descriptors,
            metrics=self._metrics,
            clock=self._clock,
            log_lines_dropped=log_lines_dropped,
            last_message_at=lambda: self._ingest.last_message_at,
            endpoint_changes=lambda: self._watch.endpoint_changes,
            max_bytes=self._settings.outbox_max_bytes,
            seat=self._seat,
            warnings=lambda: self._remarks.found,
        )

    def _wire_telling(self) -> None:
        clock = self._clock
        self._announcer = Announcer(
            ServiceManager(os.environ, pid=os.getpid()),
            session=self._session_state,
            stuck_parts=self._vitals.stuck_parts,
            clock=clock,
        )
        self._ready_call = self._called_while_ready(self._settings.heartbeat_url)
        self._audit_log = AuditLog(
            partial(newest_changes, self._settings.outbox_place), clock=clock
        )
        self._heartbeat = Heartbeat(
            self._metrics,
            look=self._outbox.accounts.overview,
            problems=self._vitals.reasons,
            clock=clock,
        )

    def _called_while_ready(self, url: SecretStr | None) -> ReadyCall | None:
        if url is None:
            return None
        secret = url.get_secret_value()
        client = partial(self._client_of, secret)
        return ReadyCall(secret, client=client, problems=self._vitals.reasons, clock=self._clock)

    def _acknowledge(self, arrivals: Sequence[Arrival]) -> None:
        self._subscriber.acknowledge(arrivals)

    def _session(self) -> Session:
        state = self._subscriber.state
        return Session(state.subscribed, state.problem, state.gaps)

    def _session_state(self) -> SessionState:
        """The state of the session with the broker; a replica that follows names that as the problem."""
        state = self._subscriber.state
        return state if self._seat.leads else replace(state, problem="another replica leads")

    def _is_flowing(self) -> bool:
        """Whether messages can come; they stay with the broker while the outbox takes none."""
        return self._subscriber.state.subscribed and self._outbox.capacity.problem is None

    async def _use(self, routes: Routes) -> None:
        self._ingest.use(routes)
        self._dispatcher.apply(routes)
        if self._leads.is_set():
            self._tell_by(routes)
        self._sender.retain(list(routes.endpoints.values()))
        if self._seat.member:
            telling = tell_routes(self._seat, routes, self._settings.routes_file)
            self._telling_routes = asyncio.create_task(telling)

    def _tell_by(self, routes: Routes) -> None:
        harmless(self._teller).use(routes)
        harmless(self._silence).use(routes)

    async def _lead(self) -> None:
        """Go on where the leader before has stopped."""
        if self._leads.is_set():
            return
        # The outbox and the intervals come first, because the subscription begins once `_leads` is set.
        await self._outbox.lead()
        await self._recall_intervals()
        self._subscriber.expects_session = True
        self._leads.set()
        self._tell_by(self._reloader.routes)

    async def _once_leading(self, run: Callable[[], Awaitable[None]]) -> None:
        """Run a part that the leader alone runs, such as the subscription, once this replica leads."""
        await self._leads.wait()
        await run()

    async def run(self) -> None:
        """Run every part until a signal, or until one of them fails."""
        api, page = self._api_and_page()
        web = self._web_server(api, page)
        stopping = self._listen_to_signals()
        if self._outbox.leads:
            self._leads.set()
        writer = asyncio.create_task(self._outbox.run())
        # Endpoints start before the subscription, because what is in the outbox needs no broker.
        await self._use(self._reloader.routes)
        await self._recall_intervals()
        parts = self._begin_parts()
        self._vitals.watch({"the outbox": writer, **parts})
        web.start()
        self._log.info(
            "service.started",
            endpoints=len(self._reloader.routes.endpoints),
            descriptors=self._share.limit,
        )
        stopped = asyncio.create_task(stopping.wait())
        await asyncio.wait((stopped, writer, *parts.values()), return_when=asyncio.FIRST_COMPLETED)
        await self._stop(parts, writer)
        page.live.close()
        await web.close()
        self._raise_failure({"the outbox": writer, **parts})

    def _web_server(self, api: Sequence[Route], page: Page) -> WebServer:
        host, port = self._settings.listen_address
        limits = Limits(connections=self._share.http_connections)
        # A sixth of the connections is left for quick answers, /healthz above all.
        app = build_app(
            self._vitals,
            slow_answers=limits.connections // 2,
            mounted={API_PREFIX: api, "": page.views},
            streams=limits.connections // 3,
            streamed={STREAM: page.stream},
        )
        return WebServer(app, host=host, port=port, limits=limits)

    def _begin_parts(self) -> dict[str, "asyncio.Task[None]"]:
        parts = {
            "ingest": asyncio.create_task(self._ingest.run()),
            "the subscription": self._begin_once_leading(self._subscriber.run),
            "the reloading of routes": asyncio.create_task(self._reloader.run()),
            "upkeep": asyncio.create_task(self._upkeep.run()),
            "the ends of intervals": self._begin_once_leading(self._interval_ends.run),
            "the notices": self._begin_once_leading(self._teller.run),
            "the looks for silent devices": self._begin_once_leading(self._silence_watch.run),
            "the looks for notices": self._begin_once_leading(self._teller.watch_outbox),
            "the heartbeat in the log": asyncio.create_task(self._heartbeat.run()),
            "the audit in the log": self._begin_once_leading(self._audit_log.run),
            "the notices to the service manager": asyncio.create_task(self._announcer.run()),
        }
        if self._seat.member:
            parts |= self._begin_as_replica()
        if self._ready_call is not None:
            parts["the calls while ready"] = self._begin_once_leading(self._ready_call.run)
        return parts

    def _begin_once_leading(self, run: Callable[[], Awaitable[None]]) -> "asyncio.Task[None]":
        part = asyncio.create_task(self._once_leading(run))
        self._leading.append(part)
        return part

    def _begin_as_replica(self) -> dict[str, "asyncio.Task[None]"]:
        seat, clock = self._seat, self._clock
        listen(seat, self._outbox)
        doubts = doubt_while_unsure(seat, self._sureness, self._outbox, clock=clock)
        keeping = keep_the_seat(seat, self._dispatcher, lead=self._lead, clock=clock)
        watching = watch_the_session(
            seat,
            is_subscribed=lambda: self._subscriber.state.subscribed,
            try_session=partial(
                try_session, self._settings.broker(), timeout_seconds=TRIAL_SECONDS
            ),
            clock=clock,
        )
        elsewhere = Elsewhere(
            overview=self._outbox.accounts.overview,
            routed=lambda: self._reloader.routes.endpoints,
            here=lambda: self._outbox.homes.here or (),
            listener=self._notices,
            clock=clock,
        )
        return {
            "the looks at the database's settings": asyncio.create_task(self._remarks.run()),
            "the looks at other replicas": self._begin_once_leading(elsewhere.run),
            "the doubt about the lead": asyncio.create_task(doubts),
            "the replica": asyncio.create_task(keeping),
            "the looks at who could subscribe": asyncio.create_task(watching),
        }

    def _api_and_page(self) -> tuple[list[Route], Page]:
        settings = self._settings
        resources = Resources(
            outbox_place=settings.outbox_place,
            normaliser=load_normaliser(settings),
            trusting=load_normaliser(settings, trusts_payload_device=True),
            transports=self._transports_of_a_test,
            page_url=settings.page_url,
        )
        token = settings.admin_token
        access = Access(
            admin_token=None if token is None else token.get_secret_value(),
            listens_on_loopback=is_loopback_host(settings.listen_address[0]),
            public_url=settings.public_url,
        )
        door = Door(access, SystemClock())
        api = build_api(resources, line=self._vitals, door=door)
        return api, build_page(resources, line=self._vitals, door=door)

    async def _recall_intervals(self) -> None:
        """Recall what was let through, so that a restart lets no reading through that `min_interval` holds back."""
        intervals = self._reloader.routes.first_of
        now = self._clock.unix()
        known = last_let_through(self._settings.outbox_place, intervals, now=now)
        for endpoint, device, received_at in await asyncio.to_thread(list, known):
            self._ingest.thinning.note(endpoint, device, received_at)

    def _listen_to_signals(self) -> asyncio.Event:
        stopping = asyncio.Event()

        def stop() -> None:
            self._latest_end.begin(exit_code=0)
            stopping.set()

        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, stop)
        loop.add_signal_handler(signal.SIGINT, stop)
        loop.add_signal_handler(signal.SIGHUP, self._reloader.look_now)
        return stopping

    async def _stop(
        self, parts: Mapping[str, asyncio.Task[None]], writer: asyncio.Task[None]
    ) -> None:
        self._latest_end.begin(exit_code=1)  # no effect after a signal, which has begun it with 0
        self._reserve.release()
        self._announcer.say_stopping()
        self._seat.leave()  # before homes are released, so that none comes back
        self._log.info("service.stopping", pending_attempts=self._dispatcher.in_flight)
        drain_seconds = self._settings.drain_timeout
        drained_by = asyncio.get_running_loop().time() + drain_seconds
        # Attempts drain beside the end of the subscription, so that both share the drain time.
        drained = asyncio.create_task(self._dispatcher.drain(timeout_seconds=drain_seconds))
        self._descriptors.end_waits()
        await self._subscriber.stop(grace_seconds=min(drain_seconds, 5.0))
        handing_over = asyncio.create_task(self._hand_over(parts))
        await drained
        handing_over.cancel()
        await asyncio.gather(handing_over, return_exceptions=True)
        for task in parts.values():
            task.cancel()
        await asyncio.wait(parts.values())
        await self._outbox.close()
        left_seconds = drained_by - asyncio.get_running_loop().time()
        await asyncio.wait([writer], timeout=max(left_seconds, LAST_COMMIT_SECONDS))
        writer.cancel()  # it still runs only when the outbox takes no writes, and unwritten changes are then lost
        await asyncio.wait([writer])
        self._outbox.release_files()
        await self._sender.aclose()
        self._log.info("service.stopped")

    async def _hand_over(self, parts: Mapping[str, asyncio.Task[None]]) -> None:
        """Let another replica lead while attempts end here, once nothing can be put here any more."""
        if not (self._seat.member and self._leads.is_set()):
            return
        self._vitals.end_watch()
        # Parts that can put end first, because another replica puts from then on.
        ending = [*self._leading, parts["ingest"], parts["the reloading of routes"]]
        for part in ending:
            part.cancel()
        await asyncio.wait(ending)
        await self._outbox.conclude_puts()
        self._seat.hand_over()

    def _raise_failure(self, parts: Mapping[str, asyncio.Task[None]]) -> None:
        for name, task in parts.items():
            if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                if isinstance(error, LineGivenUp | OutboxTaken):
                    self._log.warning("replica.ends", problem=str(error))
                    raise error
                self._log.error("service.failed", part=name, exc_info=error)
                raise ForwarderError(f"{name} failed: {error}; see the log") from error
