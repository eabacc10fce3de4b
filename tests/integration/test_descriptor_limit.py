"""The limit of open files: raised as far as it may be, and divided."""

import resource
import subprocess
import sys

import pytest
from support.descriptors import no_descriptor_left

from forwarder.errors import OperationError
from forwarder.service.descriptors import MOST, Reserve, Share, raise_limit, require_room

Limits = tuple[int, int]


class System:
    """The operating system's limits of a process."""

    def __init__(self, limits: Limits, *, refuses: bool = False) -> None:
        self.limits = limits
        self._refuses = refuses

    def get(self, _: int) -> Limits:
        return self.limits

    def set(self, _: int, limits: Limits) -> None:
        if self._refuses:
            raise PermissionError
        self.limits = limits


@pytest.mark.parametrize(
    ("soft", "hard", "limit"),
    [
        pytest.param(1024, 4096, 4096, id="a shell: up to the hard limit"),
        pytest.param(1024, 1 << 20, MOST, id="systemd: as many as are of use"),
        pytest.param(1024, resource.RLIM_INFINITY, MOST, id="no hard limit"),
        pytest.param(128, 128, 128, id="none to raise"),
        pytest.param(1 << 20, 1 << 20, MOST, id="more than enough already"),
    ],
)
def test_soft_limit_is_raised(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, limit: int
) -> None:
    """The soft limit becomes the hard one, and is never lowered."""
    system = System((soft, hard))
    monkeypatch.setattr(resource, "getrlimit", system.get)
    monkeypatch.setattr(resource, "setrlimit", system.set)
    assert raise_limit() == Share(limit)
    assert system.limits == (max(soft, limit), hard)


def test_limit_that_may_not_be_changed_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """A filter of system calls is no reason not to start."""
    system = System((1024, 4096), refuses=True)
    monkeypatch.setattr(resource, "getrlimit", system.get)
    monkeypatch.setattr(resource, "setrlimit", system.set)
    assert raise_limit() == Share(1024)


@pytest.mark.parametrize(
    ("limit", "kept_back"), [(20, 10), (64, 32), (128, 48), (1024, 128), (4096, 256), (MOST, 256)]
)
def test_share_is_kept_back(limit: int, kept_back: int) -> None:
    """Connections to receivers never take what the rest of the service needs."""
    share = Share(limit)
    assert (share.kept_back, share.receivers) == (kept_back, limit - kept_back)


@pytest.mark.parametrize(("limit", "connections"), [(20, 4), (128, 16), (1024, 64), (MOST, 64)])
def test_port_takes_what_the_rest_leaves(limit: int, connections: int) -> None:
    """With few descriptors the HTTP port has fewer connections, so that outbox and broker keep theirs."""
    assert Share(limit).http_connections == connections


def test_start_without_room_is_refused() -> None:
    """The sentence tells how many it needs, how many are free, and what to do."""
    with (
        no_descriptor_left(),
        pytest.raises(OperationError, match=r"needs 40 free .*, and 0 are free .*`ulimit -n`"),
    ):
        require_room(Share(64))
    require_room(Share(64))


def test_command_that_can_open_nothing_says_so() -> None:
    """Where not even a module can be imported, it ends with one sentence."""
    starved = (
        "import resource, sys; from forwarder.__main__ import main; sys.argv = ['forwarder', 'status'];"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3)); main()"
    )
    ended = subprocess.run([sys.executable, "-c", starved], capture_output=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr == b"forwarder: no file descriptor is left: Too many open files\n"


def test_reserve_is_released_once() -> None:
    """Releasing it twice closes nobody else's files."""
    reserve = Reserve()
    reserve.release()
    reserve.release()
