"""The limit of open files, and the part of it that is for connections to receivers."""

import os
import resource
from contextlib import suppress
from dataclasses import dataclass

from forwarder.errors import OperationError

MOST = 65_536
"""The most files that we ask for, because more are of no use and some libraries walk through all possible ones."""
_UNKNOWN = 1024
_LEAST_KEPT, _MOST_KEPT = 48, 256


_FOR_THE_STOP = 8
_FOR_OURSELVES = 32
"""Files of the outbox, sockets of the broker, lookups, the reserve for the stop, and some room."""
_LEAST_HTTP, _MOST_HTTP = 4, 64
_TO_START = 40
"""Files for the event loop, the outbox, the reserve for the stop, the HTTP port, the broker and one receiver."""


@dataclass(frozen=True, slots=True)
class Share:
    """The limit of open files, divided."""

    limit: int

    @property
    def kept_back(self) -> int:
        """Files for outbox, broker, routes, lookups and the HTTP port: an eighth, or nearly half of a small limit."""
        return min(max(_LEAST_KEPT, self.limit // 8), _MOST_KEPT, self.limit // 2)

    @property
    def http_connections(self) -> int:
        """Connections of the HTTP port: the files kept back, less those of outbox, broker, routes and lookups."""
        return max(_LEAST_HTTP, min(_MOST_HTTP, self.kept_back - _FOR_OURSELVES))

    @property
    def receivers(self) -> int:
        """Connections to receivers, over all endpoints."""
        return max(self.limit - self.kept_back, 1)


class Reserve:
    """A few descriptors, kept open for the stop, because uvloop ends with an error when it finds none."""

    def __init__(self) -> None:
        self._kept = [os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC) for _ in range(_FOR_THE_STOP)]

    def release(self) -> None:
        while self._kept:
            os.close(self._kept.pop())


def raise_limit() -> Share:
    """
    Raise the soft limit of open files (RLIMIT_NOFILE) to the hard one, at most to MOST; return the limit in force.

    A limit that may not be changed stays, as under systemd, which filters the system call and sets the limit itself.
    """
    try:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    except (OSError, ValueError):
        return Share(_UNKNOWN)
    limit, most = _finite(soft), _finite(hard)
    if limit < most:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        except (OSError, ValueError):
            return Share(limit)
    return Share(max(limit, most))


def require_room(share: Share) -> None:
    """Raise OperationError unless as many descriptors are free as a start needs."""
    taken: list[int] = []
    try:
        with suppress(OSError):
            while len(taken) < _TO_START:
                taken.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    finally:
        for descriptor in taken:
            os.close(descriptor)
    if len(taken) < _TO_START:
        raise OperationError(
            f"a start needs {_TO_START} free file descriptors, and {len(taken)} are free at a limit of {share.limit:,};"
            " raise it (`ulimit -n`, or `LimitNOFILE=` of the unit) to 1024 or more"
        )


def _finite(limit: int) -> int:
    return MOST if limit == resource.RLIM_INFINITY else min(limit, MOST)
