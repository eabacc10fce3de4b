"""
The service tells the service manager that started it how it is: sd_notify(3), for systemd's Type=notify.

READY=1 is told once deliveries flow and the first attempt at the subscription is over, whichever way. A broker that is
away must not delay READY=1, because a restart would not bring it back and the outbox is delivered meanwhile. STATUS=
and /readyz say whether we are subscribed.
"""

import socket
from collections.abc import Callable, Mapping, Sequence

from forwarder.clock import Clock
from forwarder.logs import logger
from forwarder.subscriber import SessionState

LOOK_EVERY_SECONDS = 0.1
STATUS_EVERY_SECONDS = 5.0


class ServiceManager:
    """
    The listener at NOTIFY_SOCKET, if there is one.

    Telling neither blocks nor raises, because a manager that does not hear us is no reason to stop.
    """

    def __init__(self, environ: Mapping[str, str], *, pid: int) -> None:
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self._log = logger("service_manager")
        # The socket stays open: without a free descriptor no sign of life would leave, and the manager would end us.
        self._post = None if self._address is None else _open_post()
        self.watchdog_seconds = _watchdog_seconds(environ, pid)
        """How long the manager waits for a sign of life before it ends us; None when it does not watch."""

    def tell(self, *facts: str) -> None:
        """Send facts such as READY=1, one a line."""
        if self._post is None or self._address is None:
            return
        try:
            self._post.sendto("\n".join(facts).encode(), self._address)
        except Exception as unheard:  # noqa: BLE001 - it is only told
            self._log.debug("manager.not_told", problem=str(unheard))


class Announcer:
    """Tells the manager that we are ready, that we are alive, and how the subscription stands."""

    def __init__(
        self,
        manager: ServiceManager,
        *,
        session: Callable[[], SessionState],
        stuck_parts: Callable[[], Sequence[str]],
        clock: Clock,
    ) -> None:
        self._manager = manager
        self._session = session
        self._stuck_parts = stuck_parts
        self._clock = clock
        self._log = logger("service_manager")
        self._pause_seconds = min(STATUS_EVERY_SECONDS, (manager.watchdog_seconds or 60.0) / 3)

    async def run(self) -> None:
        """Tell until cancelled; no failure ends it."""
        while not _was_tried(self._session()):
            await self._clock.sleep(LOOK_EVERY_SECONDS)
        self._tell_standing(lambda: ("READY=1",))
        while True:
            await self._clock.sleep(self._pause_seconds)
            self._tell_standing(self._signs_of_life)

    def _tell_standing(self, signs: Callable[[], Sequence[str]]) -> None:
        try:
            self._manager.tell(*signs(), _status(self._session()))
        except Exception as error:  # noqa: BLE001 - the manager hears nothing when a look at a part fails
            self._log.error("manager.not_told", exc_info=error)

    def say_stopping(self) -> None:
        self._manager.tell("STOPPING=1", "STATUS=stopping: attempts in flight end")

    def _signs_of_life(self) -> Sequence[str]:
        """The sign of life for the watchdog; there is none while a part is stuck that a restart would mend."""
        is_watched = self._manager.watchdog_seconds is not None
        return ("WATCHDOG=1",) if is_watched and not self._stuck_parts() else ()


def _was_tried(session: SessionState) -> bool:
    return session.subscribed or session.problem is not None


def _status(session: SessionState) -> str:
    standing = "subscribed" if session.subscribed else "not subscribed"
    told = f"{standing}: {session.problem}" if session.problem else standing
    return "STATUS=" + " ".join(told.split())


def _open_post() -> socket.socket:
    return socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)


def _address(name: str) -> str | None:
    """A path, or a name in the abstract namespace, which begins with @ here and with NUL at the system."""
    if name.startswith("@"):
        return "\0" + name[1:]
    return name if name.startswith("/") else None


def _watchdog_seconds(environ: Mapping[str, str], pid: int) -> float | None:
    microseconds = environ.get("WATCHDOG_USEC", "")
    is_for_us = environ.get("WATCHDOG_PID", str(pid)) == str(pid)
    return int(microseconds) / 1e6 if is_for_us and microseconds.isdecimal() else None
