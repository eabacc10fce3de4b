"""
The address policy decides to which IP addresses a delivery may be sent, as one pure function.

`ipaddress.is_global` is no such policy, because it is true of multicast and of the NAT64, 6to4 and IPv4-compatible
forms of 127.0.0.1. So the ranges are written out here, from the IANA special-purpose address registries.
"""

from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Literal, TypeAlias

AddressClass = Literal["public", "private", "forbidden"]
"""Public addresses may be dialled, private ones only with an endpoint's `allow_private`, forbidden ones never."""

IPAddress: TypeAlias = IPv4Address | IPv6Address
IPNetwork: TypeAlias = IPv4Network | IPv6Network

_FORBIDDEN_V4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # unspecified, "this network" (RFC 791 §3.2)
        "100.100.100.200/32",  # Alibaba Cloud's metadata, inside the carriers' NAT range
        "168.63.129.16/32",  # Azure's metadata and agent, although a public address
        "169.254.0.0/16",  # link-local (RFC 3927), and most clouds' metadata
        "192.0.0.0/24",  # IETF protocol assignments (RFC 6890), and Oracle's metadata
        "192.0.2.0/24",  # documentation (RFC 5737)
        "192.88.99.0/24",  # 6to4 relay anycast (RFC 7526)
        "198.18.0.0/15",  # benchmarking (RFC 2544)
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast (RFC 5771)
        "240.0.0.0/4",  # reserved (RFC 1112), and the broadcast address
    )
)
_PRIVATE_V4 = tuple(
    IPv4Network(network)
    for network in (
        "10.0.0.0/8",  # RFC 1918
        "100.64.0.0/10",  # carriers' NAT (RFC 6598)
        "127.0.0.0/8",  # loopback
        "172.16.0.0/12",
        "192.168.0.0/16",
    )
)
_FORBIDDEN_V6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # IETF protocol assignments (RFC 2928); Teredo is judged before
        "2001:db8::/32",  # documentation (RFC 3849)
        "3fff::/20",  # documentation (RFC 9637)
        "fd00:c1::/32",  # Oracle Cloud's metadata
        "fd00:ec2::/32",  # Amazon's metadata, DNS and time
        "fd00:42::42/128",  # Scaleway's metadata
        "fd20:ce::/32",  # Google Cloud's metadata
    )
)
_UNIQUE_LOCAL = IPv6Network("fc00::/7")
_GLOBAL_UNICAST = IPv6Network("2000::/3")

_TEREDO = IPv6Network("2001::/32")
_SIX_TO_FOUR = IPv6Network("2002::/16")
_EMBEDDED_IN_THE_LAST_32_BITS = (
    IPv6Network("::/96"),  # IPv4-compatible (RFC 4291 §2.5.5.1)
    IPv6Network("::ffff:0:0:0/96"),  # IPv4-translated (RFC 2765)
    IPv6Network("64:ff9b::/96"),  # NAT64 (RFC 6052)
)
_ISATAP = 0x5EFE
_WITHOUT_UNIVERSAL_AND_GROUP = 0xFCFF_FFFF


def classify_address(address: IPAddress) -> AddressClass:
    """
    Whether a delivery may be sent to this address.

    An IPv6 form that carries an IPv4 address is judged by that address. IPv4-mapped is judged exactly as that. 6to4,
    NAT64, Teredo and IPv4-compatible are public with a public one and else forbidden, because no private network needs
    them. ISATAP is forbidden unless the carried address is public, and is then judged as an IPv6 address.
    """
    if isinstance(address, IPv4Address):
        return _classify_v4(address)
    if address.ipv4_mapped is not None:
        return _classify_v4(address.ipv4_mapped)
    if address.is_loopback:
        return "private"
    if any(_classify_v4(inner) != "public" for inner in carried(address)):
        return "forbidden"
    return "public" if _embedded(address) else _classify_v6(address)


def carried(address: IPv6Address) -> tuple[IPv4Address, ...]:
    """The IPv4 addresses that an IPv6 address holds and may lead to; most hold none."""
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    number = int(address)
    # ISATAP stands under any prefix, with any bits for "universal" and "group" (RFC 5214 §6.1).
    if number >> 32 & _WITHOUT_UNIVERSAL_AND_GROUP == _ISATAP:
        return (*_embedded(address), IPv4Address(number & 0xFFFF_FFFF))
    return _embedded(address)


def is_loopback_host(host: str) -> bool:
    """Whether the host of a URL is this machine alone, as names below localhost are (RFC 6761 §6.3)."""
    try:
        address = ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def parse_networks(text: str) -> tuple[IPNetwork, ...]:
    """
    Networks such as `10.0.0.0/8, 2001:db8::/32`, separated by spaces or commas; an address alone is a network of one.

    Raises ValueError with a clause that names the first part that is no network.
    """
    return tuple(_network(each) for each in text.replace(",", " ").split())


def _network(text: str) -> IPNetwork:
    try:
        network = ip_network(text)
    except ValueError as wrong:
        raise ValueError(
            f'"{text}" is no network; write networks as 10.0.0.0/8 or 2001:db8::/32'
        ) from wrong
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    if mapped is None or network.prefixlen < 96:
        return network
    return IPv4Network((mapped, network.prefixlen - 96))


def _classify_v4(address: IPv4Address) -> AddressClass:
    if any(address in network for network in _FORBIDDEN_V4):
        return "forbidden"
    return "private" if any(address in network for network in _PRIVATE_V4) else "public"


def _classify_v6(address: IPv6Address) -> AddressClass:
    if any(address in network for network in _FORBIDDEN_V6):
        return "forbidden"
    if address in _UNIQUE_LOCAL:
        return "private"
    # Everything else outside 2000::/3 is link-local, multicast, unspecified or not assigned (RFC 4291 §2.4).
    return "public" if address in _GLOBAL_UNICAST else "forbidden"


def _embedded(address: IPv6Address) -> tuple[IPv4Address, ...]:
    number = int(address)
    if any(address in network for network in _EMBEDDED_IN_THE_LAST_32_BITS):
        return (IPv4Address(number & 0xFFFF_FFFF),)
    if address in _SIX_TO_FOUR:
        return (IPv4Address(number >> 80 & 0xFFFF_FFFF),)
    if address in _TEREDO:  # the server, and the client with its bits turned round (RFC 4380 §4)
        return (IPv4Address(number >> 64 & 0xFFFF_FFFF), IPv4Address(~number & 0xFFFF_FFFF))
    return ()
