"""An MQTT 3.1.1 broker inside this process, which asks for credentials as whatwatt's service does."""

import asyncio
import hmac
import logging
from dataclasses import dataclass
from typing import Any

# amqtt ships no py.typed, so its classes are Any here.
from amqtt.adapters import (  # type: ignore[import-untyped] # amqtt ships no py.typed
    StreamReaderAdapter,
    StreamWriterAdapter,
)
from amqtt.broker import Broker  # type: ignore[import-untyped] # as above
from amqtt.plugins.base import BaseAuthPlugin  # type: ignore[import-untyped] # as above

_LISTENER = "default"


class CredentialsRule(BaseAuthPlugin):  # type: ignore[misc] # amqtt ships no py.typed
    """
    Admits clients that know the username and password and obey the client id rule.

    The client id is the username, or the username, `:` and letters or digits for one more connection.
    """

    @dataclass
    class Config:
        """The credentials of clients to admit."""

        username: str
        password: str

    async def authenticate(self, *, session: Any) -> bool:
        return self._knows_password(session) and self._has_proper_client_id(session)

    def _knows_password(self, session: Any) -> bool:
        given = f"{session.username}\0{session.password}".encode()
        return hmac.compare_digest(
            given, f"{self.config.username}\0{self.config.password}".encode()
        )

    def _has_proper_client_id(self, session: Any) -> bool:
        name, colon, suffix = str(session.client_id).partition(":")
        return name == self.config.username and (not colon or suffix.isalnum())


class EmbeddedBroker:
    """
    A broker on loopback for demonstrations and tests. Use it as an async context manager.

    Unlike real brokers it does not send unacknowledged messages again after a reconnect.
    """

    def __init__(
        self, *, username: str, password: str, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        self._config = {
            "listeners": {_LISTENER: {"type": "external"}},
            "plugins": {
                f"{__name__}.{CredentialsRule.__name__}": {
                    "username": username,
                    "password": password,
                }
            },
        }
        self._host = host
        self.port = port
        """The port on which it listens; 0 until it has started on a free port."""
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def uri(self) -> str:
        return f"mqtt://{self._host}:{self.port}"

    async def __aenter__(self) -> "EmbeddedBroker":
        await self.start()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.stop()

    async def start(self) -> None:
        logging.getLogger("amqtt").setLevel(logging.CRITICAL + 1)
        logging.getLogger("transitions").setLevel(logging.CRITICAL + 1)
        self._broker = Broker(self._config)
        await self._broker.start()
        # A socket of our own tells the port that the system chose, because amqtt keeps its own to itself.
        self._server = await asyncio.start_server(self._accept, self._host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close every connection and the socket, and forget all sessions."""
        self._server.close()
        await self._broker.shutdown()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)
        try:
            await self._broker.external_connected(
                StreamReaderAdapter(reader), StreamWriterAdapter(writer), _LISTENER
            )
        # `stop` cancels this. asyncio's streams would report that as an error of theirs.
        except (ConnectionError, asyncio.CancelledError):
            return
        finally:
            writer.close()
