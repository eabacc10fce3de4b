"""What the service manager hears: readiness, life, the end."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest
from support.clock import HandClock
from support.descriptors import no_descriptor_left

from forwarder.service.notify import LOOK_EVERY_SECONDS, Announcer, ServiceManager
from forwarder.subscriber import SessionState

PID = 4711


class Manager:
    """The other end of NOTIFY_SOCKET."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(address)

    def heard(self) -> list[str]:
        """Every fact of the datagrams so far, in order."""
        facts: list[str] = []
        with contextlib.suppress(BlockingIOError):
            while True:
                facts += self._socket.recv(4096).decode().split("\n")
        return facts

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "notify"


@pytest.fixture
def manager(path: Path) -> Iterator[Manager]:
    with contextlib.closing(Manager(str(path))) as listening:
        yield listening


def session(*, subscribed: bool = False, problem: str | None = None) -> SessionState:
    now = datetime(2025, 11, 18, tzinfo=UTC)
    return SessionState(subscribed, subscribed, now, problem, sessions=0, gaps=0)


class Service:
    """What the announcer looks at, and the announcer at work."""

    def __init__(self, environ: dict[str, str]) -> None:
        self.session = session()
        self.stuck: list[str] = []
        self._clock = HandClock()
        self.announcer = Announcer(
            ServiceManager(environ, pid=PID),
            session=lambda: self.session,
            stuck_parts=lambda: self.stuck,
            clock=self._clock,
        )

    async def let(self, seconds: float) -> None:
        """Let time pass, timer by timer."""
        while (wait := self._clock.next_timer_in()) is not None and wait <= seconds:
            self._clock.advance(wait)
            seconds -= wait
            await turn_over()
        self._clock.advance(seconds)


async def turn_over() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def running(environ: dict[str, str]) -> AsyncIterator[Service]:
    service = Service(environ)
    task = asyncio.create_task(service.announcer.run())
    await turn_over()
    try:
        yield service
    finally:
        task.cancel()
        await asyncio.wait([task])


@pytest.mark.parametrize(
    ("first_result", "status"),
    [
        pytest.param(session(subscribed=True), "STATUS=subscribed", id="it is subscribed"),
        pytest.param(
            session(problem="cannot reach\nthe broker"),
            "STATUS=not subscribed: cannot reach the broker",
            id="a broker that is away is no reason to restart us, and a status is one line",
        ),
    ],
)
async def test_ready_once_the_subscription_was_tried(
    manager: Manager, path: Path, first_result: SessionState, status: str
) -> None:
    """READY=1 is told when the first attempt at the subscription is over, and not before."""
    async with running({"NOTIFY_SOCKET": str(path)}) as service:
        await service.let(10 * LOOK_EVERY_SECONDS)
        before = manager.heard()
        service.session = first_result
        await service.let(LOOK_EVERY_SECONDS)
    assert before == []
    assert manager.heard() == ["READY=1", status]


async def test_watchdog_hears_of_life_without_descriptors(manager: Manager, path: Path) -> None:
    """Want of file descriptors silences nobody: we would be ended for it."""
    telling = ServiceManager({"NOTIFY_SOCKET": str(path)}, pid=PID)
    with no_descriptor_left():
        telling.tell("WATCHDOG=1")
    assert manager.heard() == ["WATCHDOG=1"]


async def test_watchdog_hears_of_life_in_time(manager: Manager, path: Path) -> None:
    """Signs of life come at least twice in the time that the watchdog allows."""
    async with running({"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "9000000"}) as service:
        service.session = session(subscribed=True)
        await service.let(LOOK_EVERY_SECONDS + 9.0)
    assert manager.heard().count("WATCHDOG=1") >= 2


async def test_stuck_service_is_left_to_the_watchdog(manager: Manager, path: Path) -> None:
    """A service whose /healthz says 503 gives no sign of life, so that it is started anew."""
    async with running({"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "9000000"}) as service:
        service.session = session(subscribed=True)
        service.stuck = ["ingest has stopped"]
        await service.let(60.0)
    assert "WATCHDOG=1" not in manager.heard()


@pytest.mark.parametrize(
    "environ",
    [
        pytest.param({}, id="no watchdog"),
        pytest.param({"WATCHDOG_USEC": "9000000", "WATCHDOG_PID": "1"}, id="another's watchdog"),
        pytest.param({"WATCHDOG_USEC": "soon"}, id="not a number"),
    ],
)
async def test_no_sign_of_life_is_sent_unasked(
    manager: Manager, path: Path, environ: dict[str, str]
) -> None:
    """Where no watchdog waits for this process there is only its status, kept up to date."""
    async with running({"NOTIFY_SOCKET": str(path), **environ}) as service:
        service.session = session(subscribed=True)
        await service.let(1.0)
        service.session = session(problem="the connection is lost")
        await service.let(5.0)
    heard = manager.heard()
    assert heard[-1] == "STATUS=not subscribed: the connection is lost"
    assert "WATCHDOG=1" not in heard


async def test_look_at_a_part_that_fails_ends_nothing(manager: Manager, path: Path) -> None:
    """A sign of life that cannot be had is not sent; the next one is."""
    async with running({"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "9000000"}) as service:
        service.session = session(subscribed=True)
        await service.let(1.0)
        service.session = cast("SessionState", None)
        await service.let(3.0)
        service.session = session(problem="\udcff is no letter")
        await service.let(3.0)
        service.session = session(subscribed=True)
        manager.heard()
        await service.let(3.0)
    assert "WATCHDOG=1" in manager.heard()


def test_stopping_is_told(manager: Manager, path: Path) -> None:
    """STOPPING=1 tells the manager to wait for the drain."""
    Service({"NOTIFY_SOCKET": str(path)}).announcer.say_stopping()
    assert "STOPPING=1" in manager.heard()


def test_address_that_begins_with_at_is_abstract(tmp_path: Path) -> None:
    """@name is an address in the abstract namespace (sd_notify(3))."""
    name = f"forwarder{tmp_path}"
    with contextlib.closing(Manager("\0" + name)) as manager:
        ServiceManager({"NOTIFY_SOCKET": "@" + name}, pid=PID).tell("READY=1")
        assert manager.heard() == ["READY=1"]


@pytest.mark.parametrize(
    "environ",
    [
        pytest.param({}, id="not started by systemd"),
        pytest.param({"NOTIFY_SOCKET": ""}, id="empty"),
        pytest.param({"NOTIFY_SOCKET": "vsock:2:1234"}, id="a kind that we do not speak"),
        pytest.param({"NOTIFY_SOCKET": "/nonexistent/notify"}, id="nobody listens"),
    ],
)
def test_manager_that_cannot_hear_changes_nothing(environ: dict[str, str]) -> None:
    """Telling never raises: the service goes on whether or not it is heard."""
    ServiceManager(environ, pid=PID).tell("READY=1")
