"""Dialling opens the socket in a thread, because name look-up and handshakes block and a look-up cannot be stopped."""

import asyncio
import threading

from paho.mqtt.client import Client

from forwarder.settings import Broker
from forwarder.subscriber.client import connect
from forwarder.subscriber.diagnosis import explain_dial
from forwarder.subscriber.problem import SessionFailed
from forwarder.subscriber.tls import client_context


class Dialling:
    """
    One attempt to open the socket of `client`.

    The thread is a daemon outside every pool, so neither `asyncio.run` nor the interpreter waits for a name look-up
    that hangs. The caller cancels `opened` when it waits no longer. A socket that opens after that is closed at once.
    """

    def __init__(
        self,
        client: Client,
        broker: Broker,
        *,
        keeps_session: bool,
        timeout_seconds: float,
    ) -> None:
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._client = client
        self._broker = broker
        self._timeout_seconds = timeout_seconds
        self._keeps_session = keeps_session

    def start(self) -> None:
        threading.Thread(target=self._work, name="mqtt-dial", daemon=True).start()

    def _work(self) -> None:
        failure = self._open()
        # The loop judges the outcome, because `opened` may be cancelled until the very turn in which it is set.
        try:
            self.opened.get_loop().call_soon_threadsafe(self._finish, failure)
        except RuntimeError:  # the loop is closed: nobody waits any more
            self._hang_up()

    def _open(self) -> SessionFailed | None:
        try:
            if self._broker.use_tls:
                self._client.tls_set_context(client_context(self._broker))
            # paho gives each address so long. One that swallows packets leaves time for the next, IPv4 after IPv6.
            self._client.connect_timeout = self._timeout_seconds / 3
            connect(self._client, self._broker, keeps_session=self._keeps_session)
        except Exception as error:  # noqa: BLE001 - the top of the thread; explain_dial knows them all
            return SessionFailed(explain_dial(error, self._broker))
        return None

    def _finish(self, failure: SessionFailed | None) -> None:
        if self.opened.cancelled():
            self._hang_up()
        elif failure is not None:
            self.opened.set_exception(failure)
        else:
            self.opened.set_result(None)

    def _hang_up(self) -> None:
        if (sock := self._client.socket()) is not None:
            sock.close()
