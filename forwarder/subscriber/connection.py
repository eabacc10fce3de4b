"""One MQTT connection from its first packet to its end: a paho client on the running asyncio loop."""

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from paho.mqtt.client import (
    MQTT_LOG_ERR,
    Client,
    ConnectFlags,
    DisconnectFlags,
)
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from forwarder.clock import Clock
from forwarder.settings import Broker
from forwarder.subscriber.arrivals import Arrival, Unacknowledged
from forwarder.subscriber.backlog import Backlog
from forwarder.subscriber.client import new_client
from forwarder.subscriber.diagnosis import (
    closed_unanswered,
    explain_end,
    explain_refusal,
    explain_tls,
    explain_unfit,
    internal,
    lost,
    mute,
    no_answer,
    not_mqtt,
    silent,
    unsure,
)
from forwarder.subscriber.dial import Dialling
from forwarder.subscriber.packets import Packets, Unfit
from forwarder.subscriber.problem import Problem, SessionFailed
from forwarder.subscriber.shared_socket import SharedSocket
from forwarder.subscriber.socket_driver import SocketDriver

_GOODBYE_SECONDS = 1.0
_PROTOCOL_ERROR = 0x82

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Welcome:
    """The content of CONNACK."""

    is_session_present: bool
    session_expiry_seconds: int | None
    """The expiry that an MQTT 5 broker set; None when it set none."""


class Connection:
    """
    One connection to the broker; it is not used again after `ended`.

    Arrivals are handed over as they come in, also before `subscribe`, because a persistent session may hold some. None
    comes in while `backlog` is full. A payload keeps at most `max_message_bytes`.
    `may_connect` is asked in the dialling thread; CONNECT leaves only if it says yes.
    No callback raises into paho. An error ends the connection, and `ended` says why.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        clock: Clock,
        backlog: Backlog,
        max_message_bytes: int,
        on_arrivals: Callable[[Sequence[Arrival]], None],
        keeps_session: bool = True,
        may_connect: Callable[[], bool] = lambda: True,
    ) -> None:
        self._broker = broker
        self._clock = clock
        self._on_arrivals = on_arrivals
        self._may_connect = may_connect
        self._keeps_session = keeps_session
        self._loop = asyncio.get_running_loop()
        self._unacknowledged = Unacknowledged()
        self._last_message_at = -math.inf
        """Monotonic seconds."""
        self._welcome: asyncio.Future[Welcome] = self._loop.create_future()
        self._granted: asyncio.Future[tuple[int, ...]] = self._loop.create_future()
        self._is_draining = False
        self._drained: asyncio.Future[None] = self._loop.create_future()
        self._last_error = ""
        self._client = self._new_client()
        self._driver = SocketDriver(
            self._client,
            Packets(is_mqtt5=broker.protocol == "5", max_message_bytes=max_message_bytes),
            clock=clock,
            backlog=backlog,
            on_arrivals=self._hand_over,
            on_unfit=self._on_unfit,
            on_silence=lambda: self.abort(silent(broker)),
            on_failure=lambda error: self.abort(internal(error)),
        )
        self.ended: asyncio.Future[Problem] = self._loop.create_future()
        """Set once, with the reason."""

    @property
    def unacknowledged(self) -> int:
        return len(self._unacknowledged)

    async def open(self, *, dial_seconds: float, answer_seconds: float) -> Welcome:
        """Connect and wait for CONNACK. Raises SessionFailed."""
        await self._dial(dial_seconds)
        sock = self._client.socket()
        # The thread has let go of the client by now: from here on only the loop uses it.
        if self.ended.done() or not isinstance(sock, SharedSocket):
            raise SessionFailed(closed_unanswered(self._broker))
        self._driver.start(sock)
        return await self._await_answer(
            self._welcome, answer_seconds, else_problem=mute(self._broker)
        )

    async def subscribe(self, topics: Sequence[str], *, answer_seconds: float) -> tuple[int, ...]:
        """The SUBACK code of each topic; 0x80 and above is a refusal. Raises SessionFailed."""
        self._granted = self._loop.create_future()
        self._client.subscribe([(topic, self._broker.qos) for topic in topics])
        return await self._await_answer(
            self._granted, answer_seconds, else_problem=silent(self._broker)
        )

    async def ended_within(self, seconds: float) -> bool:
        """Whether the connection ended before `seconds` had passed."""
        await asyncio.wait({self.ended}, timeout=seconds)
        return self.ended.done()

    def acknowledge(self, arrivals: Sequence[Arrival]) -> None:
        """Mark `arrivals` as acknowledged, and send all PUBACKs up to the first arrival that is not."""
        if released := self._unacknowledged.release(arrivals):
            self._driver.write(released)
        self._driver.read_on()
        if self._is_draining and not self._unacknowledged and not self._drained.done():
            self._drained.set_result(None)

    async def drain(self, *, grace_seconds: float) -> None:
        """
        Hand over nothing more, wait for acknowledgements, and disconnect; the broker keeps the session.

        Messages that come in meanwhile come again with the next connection, like those that stay unacknowledged.
        """
        self._is_draining = True
        if self._unacknowledged and self._driver.is_running:
            await self._await_first(self._drained, grace_seconds)
        await self._driver.disconnect(timeout_seconds=_GOODBYE_SECONDS)
        self.abort()

    def abort(self, problem: Problem | None = None) -> None:
        """Close the socket now, whatever is in flight. A second call does nothing."""
        self._driver.stop()
        if (sock := self._client.socket()) is not None:
            sock.close()
        self._end(problem or lost(self._broker))

    async def _dial(self, timeout_seconds: float) -> None:
        dialling = Dialling(
            self._client,
            self._broker,
            keeps_session=self._keeps_session,
            timeout_seconds=timeout_seconds,
        )
        dialling.start()
        try:
            await self._await_answer(
                dialling.opened, timeout_seconds, else_problem=no_answer(self._broker)
            )
        finally:
            dialling.opened.cancel()

    async def _await_first(self, awaited: "asyncio.Future[Any]", timeout_seconds: float) -> None:
        either: set[asyncio.Future[Any]] = {awaited, self.ended}
        await asyncio.wait(either, timeout=timeout_seconds, return_when=asyncio.FIRST_COMPLETED)

    async def _await_answer(
        self, answer: "asyncio.Future[T]", timeout_seconds: float, *, else_problem: Problem
    ) -> T:
        """
        The result of `answer`. Raises SessionFailed when the connection ends first, or the time is up.

        Time counts from the last message, and not while the backlog stops the reading, because the answer may stand
        behind messages.
        """
        left_seconds = timeout_seconds
        while left_seconds > 0 and not (answer.done() or self.ended.done()):
            await self._await_first(answer, left_seconds)
            last_sign_at = max(self._driver.last_held_at, self._last_message_at)
            left_seconds = last_sign_at + timeout_seconds - self._clock.monotonic()
        if answer.done():
            return answer.result()
        if self.ended.done():
            raise SessionFailed(self.ended.result())
        raise SessionFailed(else_problem)

    def _new_client(self) -> Client:
        client = new_client(self._broker, keeps_session=self._keeps_session)
        client.look = self._look
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_log = self._on_log
        return client

    def _look(self) -> None:
        if not self._may_connect():
            raise SessionFailed(unsure(self._broker))

    def _end(self, problem: Problem) -> None:
        if not self.ended.done():
            self.ended.set_result(problem)

    def _on_connect(
        self,
        _client: Client,
        _userdata: Any,
        flags: ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        self._client.on_log = None
        if reason.is_failure:
            self._end(explain_refusal(reason.value, reason.getName(), self._broker))
        elif not self._welcome.done():
            # An MQTT 5 broker may set another keep-alive than ours; paho knows it.
            self._driver.keep_alive(self._client.keepalive)
            expiry = getattr(properties, "SessionExpiryInterval", None)
            self._welcome.set_result(Welcome(flags.session_present, expiry))

    def _on_subscribe(
        self,
        _client: Client,
        _userdata: Any,
        _mid: int,
        codes: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        if not self._granted.done():
            self._granted.set_result(tuple(code.value for code in codes))

    def _on_unfit(self, unfit: Unfit) -> None:
        self.abort(explain_unfit(unfit, self._broker))

    def _hand_over(self, arrivals: Sequence[Arrival]) -> None:
        self._last_message_at = self._clock.monotonic()
        if not self._is_draining:
            self._unacknowledged.expect(arrivals)
            self._on_arrivals(arrivals)

    def _on_disconnect(
        self,
        _client: Client,
        _userdata: Any,
        flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if flags.is_disconnect_packet_from_server:
            self._end(explain_end(reason.value, reason.getName(), self._broker))
        elif self._welcome.done():
            self._end(lost(self._broker))
        elif self._last_error.startswith("[SSL"):
            self._end(explain_tls(self._last_error, self._broker))
        elif reason.value == _PROTOCOL_ERROR:
            self._end(not_mqtt(self._broker))
        else:
            self._end(closed_unanswered(self._broker))

    def _on_log(self, _client: Client, _userdata: Any, level: int, text: str) -> None:
        """Keep the reason of a failed read until CONNACK, because paho tells it only here."""
        if level == MQTT_LOG_ERR:
            self._last_error = text.partition(": ")[2]
