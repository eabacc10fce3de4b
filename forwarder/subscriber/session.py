"""The session outlives its connections. It connects and reconnects for ever, and says what is in the way."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from forwarder.clock import Clock
from forwarder.logs import logger
from forwarder.settings import Broker
from forwarder.subscriber.arrivals import Arrival
from forwarder.subscriber.backlog import Backlog
from forwarder.subscriber.backoff import Backoff
from forwarder.subscriber.connection import Connection, Welcome
from forwarder.subscriber.diagnosis import (
    explain_early_ends,
    explain_lowered_qos,
    explain_no_session,
    explain_subscription,
    internal,
    refused_topics,
)
from forwarder.subscriber.problem import Problem, SessionFailed
from forwarder.subscriber.problem_log import ProblemLog

_EARLY_ENDS = 3
_RECURRING = frozenset({"clash", "packet"})
"""Problems that most likely end the next session too, so the next CONNACK is not their end."""
_LOST = "the broker had forgotten our session: what was published while we were away may be lost"


@dataclass(frozen=True, slots=True)
class Pace:
    """The session's times, in seconds."""

    dial: float = 15.0
    """The limit for name look-up, TCP and TLS together."""
    answer: float = 15.0
    """The limit for CONNACK, and the same for SUBACK."""
    first_retry: float = 1.0
    longest_retry: float = 60.0
    steady: float = 30.0
    """The age at which a session is sound, so that the retry delays start over."""
    repeat_problem: float = 300.0
    """The time after which a lasting problem is logged again."""


@dataclass(frozen=True, slots=True)
class SessionState:
    """The state of the session at one moment."""

    connected: bool
    subscribed: bool
    """Whether every topic was granted."""
    since: datetime
    """When `connected` or `subscribed` last changed."""
    problem: str | None
    """One sentence that says what to do. It may stand beside `subscribed`, when messages may be lost."""
    sessions: int
    """Connections of this process that CONNACK accepted."""
    gaps: int
    """How often the broker had lost our session, and perhaps messages with it."""


@dataclass(frozen=True, slots=True)
class _Progress:
    """The progress of the present connection."""

    connected_at: float | None = None
    """Monotonic seconds of its CONNACK; None before."""
    is_subscribed: bool = False


class Subscriber:
    """
    The one subscription to the broker.

    `on_arrivals` gets every message, on the loop, in the order of arrival, together with others of its read. It must
    not block. If it raises, the connection is made anew. A message that is not acknowledged comes again with the next
    connection. Each must be acknowledged some time, also at QoS 0, because nothing is read while too many are not. A
    payload keeps at most `max_message_bytes`.
    `may_connect` is asked before each CONNECT, in the dialling thread. While it says no, it is asked again and again.
    `expects_session` says that an earlier process was subscribed: a broker that then knows no session has lost it.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        clock: Clock,
        on_arrivals: Callable[[Sequence[Arrival]], None],
        max_message_bytes: int = 65_536,
        expects_session: bool = False,
        may_connect: Callable[[], bool] = lambda: True,
        pace: Pace | None = None,
    ) -> None:
        self._broker = broker
        self._clock = clock
        self._on_arrivals = on_arrivals
        self._max_message_bytes = max_message_bytes
        self.expects_session = expects_session
        self._may_connect = may_connect
        self._pace = pace or Pace()
        self._log = logger("mqtt").bind(broker=broker.address)
        self._backlog = Backlog(self._log, clock)
        self._problem_log = ProblemLog(self._log, clock, repeat_seconds=self._pace.repeat_problem)
        self._backoff = Backoff(
            initial_seconds=self._pace.first_retry, max_seconds=self._pace.longest_retry
        )
        self._connection: Connection | None = None
        self._progress = _Progress()
        self._early_ends = 0
        self._forgotten: Problem | None = None
        """The problem of a broker that will keep nothing while we are away."""
        self._stopping = asyncio.Event()
        self._since = clock.now()
        self._sessions = self._gaps = 0

    @property
    def state(self) -> SessionState:
        problem = self._problem_log.problem
        return SessionState(
            connected=self._progress.connected_at is not None,
            subscribed=self._progress.is_subscribed,
            since=self._since,
            problem=problem.sentence if problem is not None else None,
            sessions=self._sessions,
            gaps=self._gaps,
        )

    @property
    def unacknowledged(self) -> int:
        """Messages of this connection whose PUBACK has not left."""
        return self._connection.unacknowledged if self._connection is not None else 0

    def acknowledge(self, arrivals: Sequence[Arrival]) -> None:
        """
        Send the PUBACKs of `arrivals`.

        PUBACKs leave in the order in which their messages came (MQTT-4.6.0-2), so an early one waits for those before
        it. PUBACKs of a connection that is over are dropped, because its messages come again.
        """
        self._backlog.remove(len(arrivals))
        if self._connection is not None:
            self._connection.acknowledge(arrivals)

    async def run(self) -> None:
        """Stay subscribed until `stop`, or until cancelled; no failure ends it."""
        while not self._stopping.is_set():
            problem = await self._one_connection()
            if self._stopping.is_set():
                break
            delay = self._report_end(problem)
            self._record_progress(_Progress())
            await self._pause(delay)
        self._record_progress(_Progress())
        self._log.info("mqtt.stopped", sessions=self._sessions, gaps=self._gaps)

    async def stop(self, *, grace_seconds: float = 5.0) -> None:
        """
        Hand over nothing more, wait up to `grace_seconds` for acknowledgements, then disconnect. `run` returns.

        The broker keeps the session and what was not acknowledged.
        """
        # Before the connection ends, because `run` would make another.
        self._stopping.set()
        if self._connection is not None:
            await self._connection.drain(grace_seconds=grace_seconds)

    async def _one_connection(self) -> Problem:
        """Connect, subscribe and stay until the connection is over. Returns the reason of its end."""
        connection = self._connection = Connection(
            self._broker,
            clock=self._clock,
            backlog=self._backlog,
            max_message_bytes=self._max_message_bytes,
            on_arrivals=self._on_arrivals,
            may_connect=self._may_connect,
        )
        try:
            return await self._stay_subscribed(connection)
        except SessionFailed as failed:
            return failed.problem
        except Exception as error:  # noqa: BLE001 - the top of the loop; ProblemLog writes its traceback
            return internal(error)
        finally:
            connection.abort()
            self._connection = None

    async def _stay_subscribed(self, connection: Connection) -> Problem:
        self._record_connected(
            await connection.open(dial_seconds=self._pace.dial, answer_seconds=self._pace.answer)
        )
        lowered = await self._subscribe(connection) or self._forgotten
        self._record_progress(replace(self._progress, is_subscribed=True))
        if not self._is_flapping:
            self._clear_or_report(lowered)
        if not await connection.ended_within(self._steady_seconds):
            self._backoff.reset()
            self._early_ends = 0
            self._clear_or_report(lowered)
        return await connection.ended

    async def _subscribe(self, connection: Connection) -> Problem | None:
        """Ask slowly until every topic is granted. Returns a problem if the granted QoS is lower than ours."""
        lowest, wanted = self._broker.qos, self._broker.topics
        while wanted:
            codes = await connection.subscribe(wanted, answer_seconds=self._pace.answer)
            refused = refused_topics(wanted, codes)
            lowest = min([lowest, *codes])
            if refused:
                await self._wait_after_refusal(connection, refused, codes)
            wanted = refused
        self._log_session("mqtt.subscribed", topics=self._broker.topics, granted_qos=lowest)
        return explain_lowered_qos(lowest, self._broker) if lowest < self._broker.qos else None

    async def _wait_after_refusal(
        self, connection: Connection, refused: Sequence[str], codes: Sequence[int]
    ) -> None:
        """Stay connected for the granted topics, and wait before asking for the rest again."""
        delay = self._backoff.next_delay()
        self._problem_log.report(
            explain_subscription(refused, self._broker, codes=codes),
            retry_in_seconds=round(delay, 1),
        )
        if await connection.ended_within(delay):
            raise SessionFailed(await connection.ended)

    def _record_connected(self, welcome: Welcome) -> None:
        self._record_progress(_Progress(connected_at=self._clock.monotonic()))
        self._sessions += 1
        keeps_none = welcome.session_expiry_seconds == 0 and self._broker.session_expiry_seconds
        self._forgotten = explain_no_session(self._broker) if keeps_none else None
        self._log_session(
            "mqtt.connected",
            client_id=self._broker.told_client_id,
            session_present=welcome.is_session_present,
            session_expiry_seconds=welcome.session_expiry_seconds,
        )
        if not welcome.is_session_present and (self.expects_session or self._sessions > 1):
            self._gaps += 1
            if not self._is_flapping:
                self._log.warning("mqtt.session_lost", gaps=self._gaps, problem=_LOST)

    def _clear_or_report(self, lowered: Problem | None) -> None:
        if lowered is not None:
            self._problem_log.report(lowered)
        else:
            self._problem_log.clear()

    def _report_end(self, problem: Problem) -> float:
        """Log why the connection is over. Returns the seconds to wait before the next."""
        # An unsure replica may be sure within a second, whatever the broker had to say before.
        is_unsure = problem.kind == "unsure"
        delay = self._pace.first_retry if is_unsure else self._backoff.next_delay()
        if self._progress.connected_at is None:
            self._problem_log.report(problem, retry_in_seconds=round(delay, 1))
            return delay
        lasted = self._clock.monotonic() - self._progress.connected_at
        self._early_ends = self._early_ends + 1 if lasted < self._steady_seconds else 0
        if problem.kind in _RECURRING:
            self._early_ends = max(self._early_ends, _EARLY_ENDS)
        if problem.kind == "ended" and self._is_flapping:
            problem = explain_early_ends(self._broker, is_subscribed=self._progress.is_subscribed)
        if problem.kind == "ended":
            self._problem_log.note(problem)
            self._log.warning(
                "mqtt.disconnected", problem=problem.sentence, lasted_seconds=round(lasted, 1)
            )
        else:
            self._problem_log.report(problem, retry_in_seconds=round(delay, 1))
        return delay

    @property
    def _is_flapping(self) -> bool:
        return self._early_ends >= _EARLY_ENDS

    @property
    def _steady_seconds(self) -> float:
        """The age at which a session is sound. While flapping it is longer than a rival may wait."""
        longest_wait = 2 * self._pace.longest_retry if self._is_flapping else 0.0
        return max(self._pace.steady, longest_wait)

    def _log_session(self, event: str, **fields: object) -> None:
        """Log a session at `info`. A flapping one goes to `debug`, so that it does not bury the problem."""
        if self._is_flapping:
            self._log.debug(event, **fields)
        else:
            self._log.info(event, **fields)

    def _record_progress(self, progress: "_Progress") -> None:
        if progress != self._progress:
            self._since = self._clock.now()
        self._progress = progress

    async def _pause(self, seconds: float) -> None:
        stopped = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait({stopped}, timeout=seconds)
        stopped.cancel()
