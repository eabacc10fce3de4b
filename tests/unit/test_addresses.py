"""Which addresses a delivery may be sent to."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forwarder.addresses import classify_address

PUBLIC = {
    "1.1.1.1": "an ordinary public host",
    "172.15.255.255": "just below 172.16/12",
    "172.32.0.0": "just above it",
    "100.63.255.255": "just below the carriers' NAT range",
    "100.128.0.0": "just above it",
    "198.17.255.255": "just below benchmarking",
    "198.20.0.0": "just above it",
    "223.255.255.255": "just below multicast",
    "2606:4700:4700::1111": "an ordinary public IPv6 host",
    "::ffff:1.1.1.1": "IPv4-mapped public",
    "64:ff9b::1.1.1.1": "NAT64 of a public address: how an IPv6-only network reaches it",
    "2002:101:101::1": "6to4 of 1.1.1.1",
    "2001:0:101:101::fefe:fefe": "Teredo, server and client 1.1.1.1",
}
PRIVATE = {
    "10.0.0.1": "RFC 1918",
    "172.16.0.0": "RFC 1918, first",
    "172.31.255.255": "RFC 1918, last",
    "192.168.1.20": "RFC 1918",
    "127.0.0.1": "loopback",
    "127.255.255.254": "all of 127/8 is loopback",
    "100.64.0.1": "carriers' NAT",
    "::1": "IPv6 loopback",
    "fc00::1": "unique local",
    "fdff:ffff::1": "unique local",
    "::ffff:127.0.0.1": "IPv4-mapped loopback",
    "::ffff:192.168.0.1": "IPv4-mapped RFC 1918",
}
FORBIDDEN = {
    "0.0.0.0": "unspecified: Linux dials loopback for it",
    "0.1.2.3": "this network",
    "169.254.169.254": "cloud metadata",
    "169.254.0.1": "link-local",
    "168.63.129.16": "Azure's metadata on a public address",
    "100.100.100.200": "Alibaba's metadata inside a private range",
    "192.0.0.192": "Oracle's metadata",
    "192.0.2.1": "documentation",
    "198.51.100.7": "documentation",
    "203.0.113.7": "documentation",
    "198.18.0.1": "benchmarking",
    "192.88.99.1": "6to4 relay",
    "224.0.0.1": "multicast",
    "239.255.255.250": "multicast",
    "240.0.0.1": "reserved",
    "255.255.255.255": "broadcast",
    "::": "unspecified",
    "fe80::1": "link-local",
    "febf::1": "link-local, last block",
    "fe80::1%eth0": "link-local with its zone",
    "fec0::1": "site-local, deprecated",
    "ff02::1": "multicast",
    "ff0e::1": "multicast with global scope",
    "fd00:ec2::254": "Amazon's metadata inside the unique local range",
    "fd20:ce::254": "Google's metadata inside the unique local range",
    "2001:db8::1": "documentation",
    "3fff::1": "documentation",
    "2001:2::1": "benchmarking",
    "2001:20::1": "ORCHIDv2",
    "100::1": "discard only",
    "5f00::1": "segment routing",
    "64:ff9b:1::7f00:1": "NAT64 with a prefix of one's own: nobody can say where the IPv4 address is",
    "::127.0.0.1": "IPv4-compatible loopback",
    "::2": "IPv4-compatible 0.0.0.2",
    "::ffff:0:127.0.0.1": "IPv4-translated loopback",
    "::ffff:169.254.169.254": "IPv4-mapped metadata",
    "64:ff9b::127.0.0.1": "NAT64 loopback",
    "64:ff9b::10.0.0.1": "NAT64 RFC 1918",
    "2002:7f00:1::1": "6to4 loopback",
    "2002:c0a8:101::1": "6to4 RFC 1918",
    "2001:0:101:101::80ff:fffe": "Teredo client 127.0.0.1",
    "2001:0:7f00:1::fefe:fefe": "Teredo server 127.0.0.1",
}


@pytest.mark.parametrize("text", PUBLIC, ids=lambda text: f"{text} {PUBLIC[text]}")
def test_public_address_may_be_dialled(text: str) -> None:
    assert classify_address(ip_address(text)) == "public"


@pytest.mark.parametrize("text", PRIVATE, ids=lambda text: f"{text} {PRIVATE[text]}")
def test_private_address_needs_permission(text: str) -> None:
    assert classify_address(ip_address(text)) == "private"


@pytest.mark.parametrize("text", FORBIDDEN, ids=lambda text: f"{text} {FORBIDDEN[text]}")
def test_forbidden_address_is_never_dialled(text: str) -> None:
    assert classify_address(ip_address(text)) == "forbidden"


@given(st.ip_addresses(v=4))
def test_mapped_form_is_judged_as_the_address_itself(address: IPv4Address) -> None:
    """::ffff:a.b.c.d reaches a.b.c.d on a dual-stack socket, so it has the same class."""
    mapped = IPv6Address(f"::ffff:{address}")

    assert classify_address(mapped) == classify_address(address)


@given(st.ip_addresses(v=4), st.sampled_from(["::", "64:ff9b::", "::ffff:0:"]))
def test_carried_address_that_is_not_public_is_forbidden(address: IPv4Address, prefix: str) -> None:
    """A transition form opens no way to an address that is private or forbidden by itself."""
    carrier = IPv6Address(f"{prefix}{address}")

    if classify_address(address) != "public" and not carrier.is_loopback:
        assert classify_address(carrier) == "forbidden"


@given(st.ip_addresses(v=6))
def test_public_ipv6_is_global_unicast_or_carries_a_public_address(address: IPv6Address) -> None:
    """Nothing outside 2000::/3 is public, but the forms that carry a public IPv4 address."""
    if classify_address(address) == "public" and int(address) >> 125 != 0b001:
        assert int(address) >> 32 in (0, 0xFFFF, 0xFFFF_0000, 0x0064_FF9B << 64)
