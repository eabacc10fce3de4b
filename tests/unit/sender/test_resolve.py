import asyncio
import socket
import threading
from collections.abc import Iterator

import pytest

from forwarder.sender.resolve import SystemResolver


@pytest.mark.parametrize(
    ("literal", "ip"),
    [
        pytest.param("127.0.0.1", "127.0.0.1", id="the usual spelling"),
        pytest.param("127.1", "127.0.0.1", id="two parts"),
        pytest.param("2130706433", "127.0.0.1", id="one number"),
        pytest.param("0x7f.1", "127.0.0.1", id="hexadecimal"),
        pytest.param("017700000001", "127.0.0.1", id="octal"),
        pytest.param("::1", "::1", id="IPv6"),
        pytest.param("::ffff:7f00:1", "::ffff:127.0.0.1", id="IPv4-mapped"),
    ],
)
async def test_literal_in_any_spelling_is_the_address_that_would_be_dialled(
    literal: str, ip: str
) -> None:
    """What the guard judges of a literal is what the operating system makes of it, not how it is written."""
    addresses = await SystemResolver().resolve(literal, 80)
    assert [address.ip for address in addresses] == [ip]


async def test_literal_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address needs no look-up, so it needs no thread."""
    before = threading.active_count()
    await SystemResolver().resolve("127.0.0.1", 80)
    assert threading.active_count() == before


@pytest.mark.parametrize("host", ["nosuch.invalid", "a" * 64 + ".example", "", "-.invalid"])
async def test_name_without_an_address_raises(host: str) -> None:
    """A name that leads nowhere, or is none, is an error that the dialler knows."""
    with pytest.raises((OSError, UnicodeError)):
        await SystemResolver().resolve(host, 80)


class SlowNames:
    """The operating system's look-up, held until the test lets it go."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.lookups: list[str] = []

    def getaddrinfo(self, host: str, port: int, **options: int) -> list[tuple[object, ...]]:
        if options.get("flags"):
            raise socket.gaierror(socket.EAI_NONAME, "not a literal")
        self.lookups.append(host)
        self.released.wait()
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowNames]:
    names = SlowNames()
    monkeypatch.setattr(socket, "getaddrinfo", names.getaddrinfo)
    yield names
    names.released.set()


async def test_one_lookup_of_a_host_serves_all_who_ask_meanwhile(slow: SlowNames) -> None:
    """A dead name server holds one thread for a host, however many attempts wait for it."""
    resolver = SystemResolver()
    asking = [asyncio.ensure_future(resolver.resolve("a.example", 80)) for _ in range(20)]
    await asyncio.sleep(0)
    slow.released.set()
    answers = await asyncio.gather(*asking)
    assert slow.lookups == ["a.example"]
    assert {address.ip for answer in answers for address in answer} == {"127.0.0.1"}


async def test_one_who_gives_up_does_not_end_the_lookup_of_the_others(slow: SlowNames) -> None:
    """A cancelled attempt leaves the shared look-up alone."""
    resolver = SystemResolver()
    first = asyncio.ensure_future(resolver.resolve("a.example", 80))
    second = asyncio.ensure_future(resolver.resolve("a.example", 80))
    await asyncio.sleep(0)
    first.cancel()
    slow.released.set()
    assert [address.ip for address in await second] == ["127.0.0.1"]
    assert first.cancelled()


async def test_hanging_lookup_holds_up_no_other_host(slow: SlowNames) -> None:
    """While one host's look-up hangs, the other hosts' are started all the same."""
    resolver = SystemResolver()
    hosts = [f"{number}.example" for number in range(40)]
    asking = [asyncio.ensure_future(resolver.resolve(host, 80)) for host in hosts]
    await asyncio.sleep(0)
    slow.released.set()
    await asyncio.gather(*asking)
    assert sorted(slow.lookups) == sorted(hosts)


async def test_next_question_is_looked_up_anew() -> None:
    """Nothing is remembered: each connect goes by what the name means then."""
    resolver = SystemResolver()
    await resolver.resolve("localhost", 80)
    await resolver.resolve("localhost", 80)
    assert not resolver._lookups
