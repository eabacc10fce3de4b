"""Addresses that no delivery may reach, in every spelling that might get past a guard."""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

TARGETS = (
    "0.0.0.0",
    "10.0.0.1",
    "100.64.1.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.192",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "255.255.255.255",
)
"""Loopback, private networks, clouds' metadata, multicast, reserved."""
SIX = (
    "::", "::1", "0:0:0:0:0:0:0:1", "fe80::1", "fe80::1%25lo", "fec0::1", "fc00::1", "fd00:ec2::254", "fd20:ce::254",
    "ff02::1", "ff0e::1", "64:ff9b:1::7f00:1", "100::1", "2001:db8::1", "3fff::1", "5f00::1",
)  # fmt: skip
ISATAP_PREFIXES = (0x2606_4700_0000_0000, 0x2002_0101_0101_0000, 0xFC00 << 48, 0xFE80 << 48)

_FULL_WIDTH = str.maketrans("0123456789", "０１２３４５６７８９")
_CIRCLED = str.maketrans("123456789", "①②③④⑤⑥⑦⑧⑨")
_ARABIC = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")


def hosts() -> Iterator[str]:
    """Each spelling as the host of a URL."""
    for target in TARGETS:
        address = IPv4Address(target)
        yield from _spellings(address)
        yield from (f"[{carrier}]" for carrier in _carriers(address))
        yield from (f"[{carrier.exploded}]" for carrier in _carriers(address))
    yield from (f"[{six}]" for six in SIX)


def _spellings(address: IPv4Address) -> Iterator[str]:
    a, b, c, d = address.packed
    number = int(address)
    yield from (f"{a}.{b}.{c}.{d}", f"{a}.{b}.{c}.{d}.", f"{a}.{b}.{c * 256 + d}")
    yield from (
        f"{a}.{number & 0xFFFFFF}",
        f"{number}",
        f"0x{number:x}",
        f"0X{number:08X}",
        f"0{number:o}",
    )
    yield from (
        f"0x{a:x}.0x{b:x}.0x{c:x}.0x{d:x}",
        f"0{a:o}.0{b:o}.0{c:o}.0{d:o}",
        f"{a}.0x{b:x}.0{c:o}.{d}",
    )
    yield from (f"00{a:o}.{b}.{c}.{d}", f"{a}.{b}.{c}.{d}".replace(".", "。"), f"{a}．{b}｡{c}.{d}")
    for digits in (_FULL_WIDTH, _CIRCLED, _ARABIC):
        yield f"{a}.{b}.{c}.{d}".translate(digits)


def _carriers(address: IPv4Address) -> Iterator[IPv6Address]:
    """IPv6 forms that lead to the IPv4 address."""
    inner, other = int(address), int(IPv4Address("1.1.1.1"))
    yield IPv6Address(inner)  # IPv4-compatible
    yield IPv6Address(0xFFFF << 32 | inner)  # IPv4-mapped
    yield IPv6Address(0xFFFF << 48 | inner)  # IPv4-translated
    yield IPv6Address(0x64_FF9B << 96 | inner)  # NAT64
    yield IPv6Address(0x2002 << 112 | inner << 80 | 1)  # 6to4
    yield IPv6Address(0x2001_0000 << 96 | other << 64 | inner ^ 0xFFFF_FFFF)  # Teredo, the client
    yield IPv6Address(0x2001_0000 << 96 | inner << 64 | other ^ 0xFFFF_FFFF)  # Teredo, the server
    for prefix in ISATAP_PREFIXES:
        for bits in (0, 0x100, 0x200, 0x300):
            yield IPv6Address(prefix << 64 | bits << 48 | 0x5EFE << 32 | inner)
