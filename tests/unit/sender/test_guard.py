"""The guard: which of a host's addresses may be dialled."""

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forwarder.addresses import IPNetwork, carried, parse_networks
from forwarder.sender.failure import TransportFailure
from forwarder.sender.guard import MAX_ADDRESSES, Guard, is_listened_at
from forwarder.sender.resolve import Address, SystemResolver

PUBLIC = Address(socket.AF_INET, ("1.1.1.1", 443))
PRIVATE = Address(socket.AF_INET, ("10.0.0.1", 443))
METADATA = Address(socket.AF_INET, ("169.254.169.254", 443))


@pytest.mark.parametrize(
    "literal",
    [
        pytest.param("169.254.169.254", id="cloud metadata"),
        pytest.param("0xa9fea9fe", id="cloud metadata, hexadecimal"),
        pytest.param("::ffff:a9fe:a9fe", id="cloud metadata, IPv4-mapped"),
        pytest.param("fd00:ec2::254", id="cloud metadata, IPv6"),
        pytest.param("fe80::1", id="link-local"),
        pytest.param("224.0.0.1", id="multicast"),
        pytest.param("ff02::1", id="multicast, IPv6"),
        pytest.param("0", id="unspecified"),
        pytest.param("::", id="unspecified, IPv6"),
        pytest.param("192.0.2.1", id="documentation"),
        pytest.param("198.18.0.1", id="benchmarking"),
        pytest.param("::127.0.0.1", id="loopback, IPv4-compatible"),
        pytest.param("64:ff9b::7f00:1", id="loopback by NAT64"),
        pytest.param("2002:7f00:1::", id="loopback by 6to4"),
        pytest.param("2001:0:4136:e378:8000:63bf:80ff:fffe", id="loopback by Teredo"),
    ],
)
@pytest.mark.parametrize("allow_private", [False, True])
async def test_what_is_never_dialled(literal: str, allow_private: bool) -> None:
    """Whatever the endpoint allows and however it is written, these addresses are refused."""
    addresses = await SystemResolver().resolve(literal, 443)
    with pytest.raises(TransportFailure) as blocked:
        Guard().permitted(addresses, allow_private=allow_private)
    assert blocked.value.word == "blocked_address"


@pytest.mark.parametrize(
    "literal", ["10.1", "100.64.0.1", "127.0.0.1", "::1", "fd12::1", "192.168.1.1"]
)
async def test_what_only_allow_private_opens(literal: str) -> None:
    """Private and loopback addresses are the endpoint's own choice."""
    addresses = await SystemResolver().resolve(literal, 443)
    with pytest.raises(TransportFailure) as blocked:
        Guard().permitted(addresses, allow_private=False)
    assert "allow_private is not set" in blocked.value.detail
    assert Guard().permitted(addresses, allow_private=True) == addresses


def test_only_the_addresses_that_may_be_dialled_are_left() -> None:
    """Of several addresses the forbidden are left out, the order stays."""
    addresses = [METADATA, PRIVATE, PUBLIC]
    assert Guard().permitted(addresses, allow_private=False) == [PUBLIC]
    assert Guard().permitted(addresses, allow_private=True) == [PRIVATE, PUBLIC]


def test_name_with_very_many_addresses_is_cut_short() -> None:
    """A name server cannot have us try for ever."""
    assert len(Guard().permitted([PUBLIC] * 1000, allow_private=False)) == MAX_ADDRESSES


def test_name_without_addresses_is_dns() -> None:
    """An empty answer is no answer."""
    with pytest.raises(TransportFailure) as failed:
        Guard().permitted([], allow_private=True)
    assert failed.value.word == "dns"


def at(ip: str, port: int = 443) -> Address:
    if ":" in ip:
        return Address(socket.AF_INET6, (ip, port, 0, 0))
    return Address(socket.AF_INET, (ip, port))


def objection(guard: Guard, ip: str, *, port: int = 443, allow_private: bool = False) -> str:
    """Why it is not dialled; empty when it is."""
    try:
        guard.permitted([at(ip, port)], allow_private=allow_private)
    except TransportFailure as blocked:
        return blocked.detail.removeprefix(f"{ip} ")
    return ""


DENIED = "is in FORWARDER_DENY_NETWORKS"
OUTSIDE = "is not in FORWARDER_ALLOW_NETWORKS"
NEVER = "is no address that anything may be sent to"


@pytest.mark.parametrize(
    ("ip", "why"),
    [
        pytest.param("1.1.1.1", DENIED, id="in a denied network"),
        pytest.param("8.8.8.8", "", id="outside of it"),
        pytest.param("::ffff:1.1.1.1", DENIED, id="IPv4-mapped"),
        pytest.param("64:ff9b::1.1.1.1", DENIED, id="NAT64"),
        pytest.param("2002:101:101::1", DENIED, id="6to4"),
        pytest.param("2001:0:101:101::f7f7:f7f7", DENIED, id="Teredo, its server"),
        pytest.param("2001:0:808:808::fefe:fefe", DENIED, id="Teredo, its client"),
        pytest.param("2606:4700::5efe:1.1.1.1", DENIED, id="ISATAP"),
        pytest.param("2606:4700::200:5efe:1.1.1.1", DENIED, id="ISATAP, universal"),
        pytest.param("2606:4700::1", "", id="IPv6 that carries nothing"),
        pytest.param("10.2.0.1", "", id="private"),
        pytest.param("10.1.0.1", DENIED, id="private and denied"),
        pytest.param("169.254.169.254", NEVER, id="never dialled anyhow"),
    ],
)
def test_denied_networks_are_dialled_for_nobody(ip: str, why: str) -> None:
    """DENY_NETWORKS holds for every endpoint, by the address itself and by each that it carries."""
    guard = Guard(deny=parse_networks("1.1.1.0/24,10.1.0.0/16"))
    assert objection(guard, ip, allow_private=True) == why


@pytest.mark.parametrize(
    ("ip", "why"),
    [
        pytest.param("1.1.1.1", "", id="in an allowed network"),
        pytest.param("1.1.1.9", DENIED, id="and in a denied one"),
        pytest.param("::ffff:1.1.1.1", "", id="IPv4-mapped"),
        pytest.param("8.8.8.8", OUTSIDE, id="public, outside"),
        pytest.param("2606:4700::1", "", id="an allowed IPv6 network"),
        pytest.param("2606:4701::1", OUTSIDE, id="IPv6, outside"),
        pytest.param("2606:4700::5efe:8.8.8.8", OUTSIDE, id="what it carries is outside"),
        pytest.param("2606:4700::5efe:1.1.1.1", "", id="both are in one"),
        pytest.param("64:ff9b::1.1.1.1", OUTSIDE, id="the form that carries it is outside"),
        pytest.param("10.0.0.1", "is private, and allow_private is not set", id="allowed, private"),
        pytest.param("169.254.169.254", NEVER, id="allowed, and never dialled"),
    ],
)
def test_where_networks_are_allowed_nothing_else_is_dialled(ip: str, why: str) -> None:
    """ALLOW_NETWORKS lifts neither DENY_NETWORKS, nor allow_private, nor what is never dialled."""
    allow = parse_networks("1.1.1.0/24 2606:4700::/32 10.0.0.0/8 169.254.0.0/16")
    guard = Guard(deny=parse_networks("1.1.1.9"), allow=allow)
    assert objection(guard, ip) == why


@pytest.mark.parametrize(
    ("text", "networks"),
    [
        ("10.0.0.0/8", [ip_network("10.0.0.0/8")]),
        (" 10.0.0.0/8,  fd00::/8 ,1.1.1.1", [ip_network(n) for n in ("10.0.0.0/8", "fd00::/8", "1.1.1.1")]),
        ("::ffff:10.0.0.0/104", [ip_network("10.0.0.0/8")]),
        ("", []),
    ],
)  # fmt: skip
def test_networks_are_read(text: str, networks: list[IPNetwork]) -> None:
    """Spaces and commas separate; an IPv4-mapped network is that of IPv4."""
    assert list(parse_networks(text)) == networks


@pytest.mark.parametrize("text", ["10.0.0.1/8", "10.0.0.0/33", "example.org", "1.1.1.1-1.1.1.9"])
def test_what_is_no_network_is_named(text: str) -> None:
    """A slip in a security setting must not pass for an empty one."""
    with pytest.raises(ValueError, match="is no network; write networks as") as wrong:
        parse_networks(f"192.0.2.0/24 {text}")
    assert f'"{text}"' in str(wrong.value)


OURS = "port 8080 is where the forwarder itself listens"


@pytest.mark.parametrize(
    ("ip", "port", "listen", "why"),
    [
        ("127.0.0.1", 8080, "127.0.0.1", OURS),
        ("::ffff:127.0.0.1", 8080, "127.0.0.1", OURS),
        ("127.0.0.1", 8081, "127.0.0.1", ""),
        ("127.0.0.2", 8080, "127.0.0.1", ""),
        ("127.0.0.2", 8080, "0.0.0.0", OURS),
        ("::1", 8080, "::", OURS),
        ("::1", 8080, "localhost", OURS),
        ("10.255.1.2", 8080, "localhost", ""),
        ("1.1.1.1", 8080, "0.0.0.0", ""),
        ("1.1.1.1", 8080, "1.1.1.1", OURS),
    ],
)
def test_nothing_is_sent_to_ourselves(ip: str, port: int, listen: str, why: str) -> None:
    """A delivery to our own HTTP server would come back to us; another service of this machine may be meant."""
    guard = Guard(listen=(listen, 8080))
    assert objection(guard, ip, port=port, allow_private=True) == why


def test_own_addresses_are_those_of_the_interfaces() -> None:
    """Who listens everywhere is reached by each address that this machine would send from."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect_ex(("198.51.100.1", 9))
        own = ip_address(probe.getsockname()[0])
    assert own.is_unspecified or is_listened_at(own, "0.0.0.0")
    assert not is_listened_at(ip_address("198.51.100.1"), "0.0.0.0")


@given(
    st.ip_addresses(v=4), st.integers(0, (1 << 64) - 1), st.sampled_from([0, 0x200, 0x100, 0x300])
)
def test_isatap_carries_its_address_under_any_prefix(
    inner: IPv4Address, prefix: int, bits: int
) -> None:
    """…:0:5efe:a.b.c.d and …:200:5efe:a.b.c.d lead to a.b.c.d where there is an ISATAP router (RFC 5214)."""
    address = IPv6Address(prefix << 64 | bits << 48 | 0x5EFE << 32 | int(inner))
    assert inner in carried(address)
    if objection(Guard(), str(inner)):
        assert objection(Guard(), str(address), allow_private=True) == NEVER
