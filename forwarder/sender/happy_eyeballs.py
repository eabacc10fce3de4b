"""A TCP connection to the first of several addresses that answers (Happy Eyeballs, RFC 8305 §5)."""

import asyncio
import ipaddress
import socket
import time
from collections.abc import Callable, Sequence

from forwarder.sender.descriptors import Descriptors, Place
from forwarder.sender.failure import NoDescriptor, TransportFailure, network_failure
from forwarder.sender.resolve import Address

STAGGER_SECONDS = 0.25
"""How long the addresses so far are given before the next one joins the race (RFC 8305 §5)."""


async def connect_first(
    addresses: Sequence[Address],
    *,
    stagger_seconds: float = STAGGER_SECONDS,
    spare: Callable[[], Place | None] | None = None,
) -> socket.socket:
    """
    A socket to the first address that takes the connection; one more address is tried every `stagger_seconds`.

    The caller has a place for one descriptor, and each further connect takes a `spare` one. Without a spare the next
    address waits until those before it have failed. Raises the TransportFailure of the first failure when all fail.
    """
    race = _Race(spare or Descriptors().spare)
    try:
        for address in addresses[:-1]:
            if await race.enter(address, patience_seconds=stagger_seconds):
                break
        else:
            await race.enter(addresses[-1], patience_seconds=None)
        return race.result()
    finally:
        race.close()


class _Race:
    """The connects under way; the first socket to open wins, and no other stays open."""

    def __init__(self, spare: Callable[[], Place | None]) -> None:
        self._spare = spare
        self._places: list[Place] = []
        self._running: set[asyncio.Task[socket.socket]] = set()
        self._opened: list[socket.socket] = []
        self._failures: list[TransportFailure] = []

    async def enter(self, address: Address, *, patience_seconds: float | None) -> bool:
        """Try `address` too; return once an address has won, all so far have failed, or the patience is over."""
        while self._running and not self._has_room():
            if await self._wait(patience_seconds=None):
                return True
        self._running.add(asyncio.ensure_future(_connect(address)))
        return await self._wait(patience_seconds=patience_seconds)

    def _has_room(self) -> bool:
        """Whether one more socket may be opened beside the open ones."""
        if len(self._running) <= len(self._places):
            return True
        place = self._spare()
        if place is not None:
            self._places.append(place)
        return place is not None

    async def _wait(self, *, patience_seconds: float | None) -> bool:
        deadline = None if patience_seconds is None else time.monotonic() + patience_seconds
        while self._running and not self._opened:
            remaining = None if deadline is None else deadline - time.monotonic()
            if remaining is not None and remaining <= 0:
                break
            done, _ = await asyncio.wait(
                self._running, timeout=remaining, return_when=asyncio.FIRST_COMPLETED
            )
            self._collect(done)
        return bool(self._opened)

    def _collect(self, done: set[asyncio.Task[socket.socket]]) -> None:
        for task in done:
            self._running.discard(task)
            failure = task.exception()
            if failure is None:
                self._opened.append(task.result())
            elif isinstance(failure, TransportFailure):
                self._failures.append(failure)
            else:
                raise failure

    def result(self) -> socket.socket:
        if not self._opened:
            ours = (one for one in self._failures if isinstance(one, NoDescriptor))
            raise next(ours, self._failures[0])
        return self._opened.pop(0)

    def close(self) -> None:
        self._collect({task for task in self._running if task.done()})
        for task in self._running:
            task.cancel()
        for opened in self._opened:
            opened.close()
        for place in self._places:
            place.give_back()


async def _connect(address: Address) -> socket.socket:
    try:
        opened = socket.socket(address.family, socket.SOCK_STREAM)
        try:
            await _connect_socket(opened, address)
        except BaseException:
            opened.close()
            raise
    except OSError as error:
        failure = network_failure(error, stage="connecting")
        failure.address = address.ip
        raise failure from error
    return opened


async def _connect_socket(opened: socket.socket, address: Address) -> None:
    opened.settimeout(0)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    await asyncio.get_running_loop().sock_connect(opened, address.socket_address)
    _check_peer(opened, address)


def _check_peer(opened: socket.socket, address: Address) -> None:
    """Check that the socket leads to the address that the guard judged; raises TransportFailure if it does not."""
    peer = opened.getpeername()[0]
    if ipaddress.ip_address(peer) != ipaddress.ip_address(address.ip):
        raise TransportFailure(
            "blocked_address", "the connection leads to another address than was dialled"
        )
