"""The HTTP server runs on the service's own loop, so that a service whose loop stands still does not claim health."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from forwarder.clock import SystemClock
from forwarder.errors import SettingsError
from forwarder.logs import logger
from forwarder.web.gate import Connection, Gate, Limits, Stage

BACKLOG = 1024
"""Most connections that wait in the kernel, where they cost next to nothing."""
ACCEPTED_AT_ONCE = 3
ACCEPT_PAUSE_SECONDS = 0.0025
"""The pause after so many connections, and after a failed accept: at most 1,200 connections a second come in."""
GONE_AT_ONCE = 5
"""So many clients that have left again cost as much as one that is there."""
CLOSE_SECONDS = 1
"""The time that answers get to end when the server closes."""


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers, because the service has its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class WebServer:
    """
    Serves `app` at a host and port until `close`, behind a gate that holds clients to `limits`.

    Raises SettingsError when the address cannot be had. Port 0 takes a free one.
    """

    def __init__(
        self, app: Starlette, *, host: str, port: int, limits: Limits | None = None
    ) -> None:
        self._socket = bound_to(host, port)
        self._config = uvicorn.Config(
            _telling(app),
            interface="asgi3",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",  # a client's mistakes are no news, and our own errors are logged here
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=3600,  # the gate knows when a connection is idle
            timeout_graceful_shutdown=CLOSE_SECONDS,
        )
        self._config.load()
        self._server = _Server(self._config)
        self._gate = Gate(self._parser, clock=SystemClock(), limits=limits)
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def port(self) -> int:
        port: int = self._socket.getsockname()[1]
        return port

    def start(self) -> None:
        self._socket.listen(BACKLOG)
        # uvicorn gets no sockets, because it would let in all clients, and would stop listening without descriptors.
        self._tasks = [
            asyncio.create_task(self._server.serve(sockets=[])),
            asyncio.create_task(self._accept()),
        ]

    async def close(self) -> None:
        """Accept no more connections, give answers under way CLOSE_SECONDS, and close what is left."""
        self._server.should_exit = True
        if self._tasks:
            serving, accepting = self._tasks
            accepting.cancel()
            self._gate.close(up_to=Stage.ASKING)
            await asyncio.wait([serving, accepting])
        self._gate.close()
        self._socket.close()

    def _parser(self, connection: Connection) -> asyncio.Protocol:
        return H11Protocol(
            self._config, self._server.server_state, app_state={"connection": connection}
        )

    async def _accept(self) -> None:
        while True:
            # A lack of descriptors or a client that has left must not end the listening.
            with contextlib.suppress(OSError):
                for _ in range(ACCEPTED_AT_ONCE):
                    await self._let_one_in()
            await asyncio.sleep(ACCEPT_PAUSE_SECONDS)

    async def _let_one_in(self) -> None:
        await self._knock()
        while not self._gate.make_room():
            await self._gate.left.wait()
        accepted = self._first_that_is_there()
        if accepted is None:
            return
        connection = self._gate.enter()
        try:
            await asyncio.get_running_loop().connect_accepted_socket(lambda: connection, accepted)
        except BaseException:
            self._gate.leave(connection)
            raise

    def _first_that_is_there(self) -> socket.socket | None:
        """The first waiting client that is still there; None after GONE_AT_ONCE that are not. Raises OSError."""
        for _ in range(GONE_AT_ONCE):
            accepted, _ = self._socket.accept()
            accepted.setblocking(False)  # noqa: FBT003 - the standard library's own
            if not has_gone(accepted):
                return accepted
            accepted.close()
        return None

    async def _knock(self) -> None:
        """Return once a client waits in the kernel."""
        loop, knocked = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._socket, knocked.set)
        try:
            await knocked.wait()
        finally:
            loop.remove_reader(self._socket)


def _telling(app: ASGIApp) -> ASGIApp:
    """`app`, which tells each connection when its request is answered, and whose errors are logged."""
    log = logger("web")

    async def telling(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        except Exception as error:
            log.error("http.broke", exc_info=error)  # noqa: TRY400 - the log has no `exception`
            raise
        finally:
            scope["state"]["connection"].answered()

    return telling


def has_gone(client: socket.socket) -> bool:
    """Whether a client has closed or reset its connection without a request. The socket must not block."""
    try:
        return not client.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True


def bound_to(host: str, port: int) -> socket.socket:
    """A socket bound to the address. Raises SettingsError when it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setblocking(False)  # noqa: FBT003 - the standard library's own
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"FORWARDER_HTTP_LISTEN: cannot listen on {host}:{port}: {error.strerror}; choose another address or port"
        ) from error
    return listener
