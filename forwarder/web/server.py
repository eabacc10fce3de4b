"""The HTTP server, on the service's own event loop: one that does not turn does not answer, which is the truth."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from starlette.applications import Starlette

from forwarder.errors import SettingsError


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the service has its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class WebServer:
    """
    Serves `app` at a host and port until `close`.

    Raises SettingsError when the address cannot be had; port 0 takes a free one.
    """

    def __init__(self, app: Starlette, *, host: str, port: int) -> None:
        self._socket = _listen(host, port)
        config = uvicorn.Config(
            app, log_config=None, access_log=False, lifespan="off", server_header=False
        )
        self._server = _Server(config)
        self._task: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        port: int = self._socket.getsockname()[1]
        return port

    def start(self) -> None:
        self._task = asyncio.create_task(self._server.serve([self._socket]))

    async def close(self) -> None:
        self._server.should_exit = True
        if self._task is not None:
            await self._task
        self._socket.close()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"FORWARDER_HTTP_LISTEN: cannot listen on {host}:{port}: {error.strerror}; choose another address or port"
        ) from error
    return listener
