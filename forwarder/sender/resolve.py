"""The resolver turns names into addresses; a dead name server holds up only the endpoints with its names."""

import asyncio
import contextlib
import errno
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from forwarder.sender.descriptors import probe_descriptor

SocketAddress: TypeAlias = tuple[str, int] | tuple[str, int, int, int]


@dataclass(frozen=True, slots=True)
class Address:
    """One place to dial: an IP address and port as the operating system takes them, never a name."""

    family: socket.AddressFamily
    socket_address: SocketAddress

    @property
    def ip(self) -> str:
        return self.socket_address[0]


class Resolver(Protocol):
    """The seam for tests: anything that turns a host and a port into addresses, best first."""

    async def resolve(self, host: str, port: int) -> Sequence[Address]:
        """Raises OSError or UnicodeError when there are no addresses."""


class SystemResolver:
    """
    The operating system's resolver.

    Each lookup runs in a thread of its own, because it cannot be cancelled and may take half a minute. The event loop's
    pool of threads would soon be full of one dead host's lookups. A host has at most one lookup at a time, which all
    callers share. The threads are daemons, so that none delays the end of the program.
    """

    def __init__(self) -> None:
        self._lookups: dict[tuple[str, int], asyncio.Future[list[Address]]] = {}

    async def resolve(self, host: str, port: int) -> Sequence[Address]:
        literal = _addresses_of_literal(host, port)
        if literal:
            return literal
        lookup = self._lookups.get((host, port))
        if lookup is None:
            lookup = self._look_up(host, port)
        return await asyncio.shield(lookup)

    def _look_up(self, host: str, port: int) -> "asyncio.Future[list[Address]]":
        loop = asyncio.get_running_loop()
        lookup: asyncio.Future[list[Address]] = loop.create_future()

        def conclude_lookup(outcome: list[Address] | Exception) -> None:
            del self._lookups[host, port]
            if isinstance(outcome, Exception):
                lookup.set_exception(outcome)
                lookup.exception()  # heard here, because every caller may have gone
            else:
                lookup.set_result(outcome)

        def work() -> None:
            outcome = _outcome(host, port)
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(conclude_lookup, outcome)

        try:
            threading.Thread(target=work, name="lookup", daemon=True).start()
        except RuntimeError as exhausted:
            raise OSError(errno.EAGAIN, "no thread for the lookup") from exhausted
        self._lookups[host, port] = lookup
        return lookup


def _addresses_of_literal(host: str, port: int) -> list[Address]:
    """The address that a literal in any spelling stands for (`127.1`, `0x7f000001`, `::1`), without a name server."""
    try:
        return _addresses(host, port, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return []


def _outcome(host: str, port: int) -> list[Address] | Exception:
    try:
        return _addresses(host, port)
    except (OSError, UnicodeError) as error:
        unknown = error
    try:
        probe_descriptor()
    except OSError as exhausted:
        return exhausted  # the name only seems to be unknown
    return unknown


def _addresses(host: str, port: int, *, flags: int = 0) -> list[Address]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    return [
        Address(family, socket_address)  # type: ignore[arg-type] # (int, bytes) is what a build without IPv6 returns
        for family, _, _, _, socket_address in found
        if family in (socket.AF_INET, socket.AF_INET6)
    ]
