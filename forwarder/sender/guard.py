"""
The guard decides which addresses may be dialled, and judges each one right before the dial.

    never dialled ▸ where we listen ourselves ▸ DENY_NETWORKS ▸ ALLOW_NETWORKS, where set ▸ private without permission

The first rule that refuses an address decides, so the operator's networks cannot permit what is never dialled.
"""

import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

from forwarder.addresses import IPAddress, IPNetwork, carried, classify_address
from forwarder.sender.failure import TransportFailure
from forwarder.sender.resolve import Address

MAX_ADDRESSES = 8

_PRIVATE = "is private, and allow_private is not set"
_ANY_PORT = 9


@dataclass(frozen=True, slots=True)
class Guard:
    """The rules of an installation, beside those that hold everywhere."""

    deny: tuple[IPNetwork, ...] = ()
    """Networks in which nothing is dialled."""
    allow: tuple[IPNetwork, ...] = ()
    """Networks outside of which nothing is dialled; empty permits all."""
    listen: tuple[str, int] | None = None
    """Host and port of our own HTTP server, to which no delivery goes."""

    def permitted(self, addresses: Sequence[Address], *, allow_private: bool) -> list[Address]:
        """
        The addresses that a delivery may be sent to, in their order, at most MAX_ADDRESSES.

        Raises TransportFailure when there are none.
        """
        if not addresses:
            raise TransportFailure("dns", "the host's name has no address")
        verdicts = [self._objection(each, allow_private=allow_private) for each in addresses]
        good = [each for each, objection in zip(addresses, verdicts, strict=True) if not objection]
        if good:
            return good[:MAX_ADDRESSES]
        # The failure names an address that allow_private would permit, because the operator can change that.
        at = next((at for at, objection in enumerate(verdicts) if objection == _PRIVATE), 0)
        raise TransportFailure("blocked_address", f"{addresses[at].ip} {verdicts[at]}")

    def _objection(self, dialled: Address, *, allow_private: bool) -> str:
        """Why this address is not dialled; empty when it may be."""
        address = ip_address(dialled.ip)
        kind = classify_address(address)
        if kind == "forbidden":
            return "is no address that anything may be sent to"
        faces = _faces(address)
        if any(self._is_ours(face, dialled.socket_address[1]) for face in faces):
            return f"port {dialled.socket_address[1]} is where the forwarder itself listens"
        if any(face in network for face in faces for network in self.deny):
            return "is in FORWARDER_DENY_NETWORKS"
        if self.allow and not all(any(face in each for each in self.allow) for face in faces):
            return "is not in FORWARDER_ALLOW_NETWORKS"
        return _PRIVATE if kind == "private" and not allow_private else ""

    def _is_ours(self, address: IPAddress, port: int) -> bool:
        return (
            self.listen is not None
            and port == self.listen[1]
            and is_listened_at(address, self.listen[0])
        )


def _faces(address: IPAddress) -> tuple[IPAddress, ...]:
    """An address and those that it carries; an IPv4-mapped one counts only as the address it carries."""
    if isinstance(address, IPv6Address):
        inner = carried(address)
        return inner if address.ipv4_mapped else (address, *inner)
    return (address,)


def is_listened_at(address: IPAddress, host: str) -> bool:
    """Whether a server of this machine that listens on `host` takes connections to `address`."""
    if host == "localhost":
        return address.is_loopback
    with suppress(ValueError):
        bound = ip_address(host)
        if not bound.is_unspecified:
            return address == bound
    return address.is_loopback or _is_of_this_machine(address)


def _is_of_this_machine(address: IPAddress) -> bool:
    """Whether an interface has the address, because then a socket to it comes from it. Nothing is sent."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((str(address), _ANY_PORT))
        return ip_address(probe.getsockname()[0]) == address
    return False
