"""The service as compose.yaml runs it, beside a broker in a container of its own."""

import pytest
from support.containers import Container, Project, until

pytestmark = pytest.mark.timeout(300)

STATUS = "print(open('/proc/1/status').read())"
LIMITS = """
from pathlib import Path
cgroup = Path("/sys/fs/cgroup")
found = [cgroup / name for name in ("memory.max", "pids.max", "memory/memory.limit_in_bytes", "pids/pids.max")]
print(*(path.read_text().strip() for path in found if path.exists()))
"""
WRITE = """
for path in ("/x", "/opt/venv/x", "/etc/forwarder/x", "/run/secrets/x"):
    try:
        open(path, "w")
    except OSError:
        continue
    print(path)
"""
LEAVE_AN_ORPHAN = """
import os, time
if os.fork() == 0:
    if os.fork() == 0:
        time.sleep(0.2)
    os._exit(0)
os.wait()
"""
ZOMBIES = """
from pathlib import Path
states = [path.read_text().rpartition(")")[2].split()[0] for path in Path("/proc").glob("[0-9]*/stat")]
print(states.count("Z"), len(states))
"""


@pytest.fixture
def service(project: Project) -> Container:
    """The service, once it is subscribed."""
    service = project.container("forwarder")
    project.have_names_answered()
    until(lambda: is_subscribed(service), otherwise=service.last_words)
    return service


def is_subscribed(service: Container) -> bool:
    return any(line["event"] == "mqtt.subscribed" for line in service.log())


def test_service_has_no_privileges(service: Container) -> None:
    """It is no root, has no capability, can gain none, and its system calls are filtered."""
    status = dict(line.split(":\t", 1) for line in service.python(STATUS).splitlines())
    assert status["Uid"].split() == ["10001"] * 4
    assert status["CapEff"] == status["CapBnd"] == status["CapPrm"] == "0" * 16
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")


def test_service_is_limited(service: Container) -> None:
    """It gets so much memory and so many processes, and not more."""
    assert service.python(LIMITS).split() == [str(256 << 20), "100"]


def test_service_can_write_its_data_only(service: Container) -> None:
    """Program, routes and secrets cannot be changed from inside."""
    assert service.python(WRITE) == ""


def test_frozen_service_is_unhealthy(service: Container) -> None:
    """Health is the program's own answer: without one the container is unhealthy, and healthy once it is back."""
    until(lambda: service.health() == "healthy")
    service.kill("STOP")
    until(lambda: service.health() == "unhealthy")
    service.kill("CONT")
    until(lambda: service.health() == "healthy")


def test_stop_is_an_end_in_good_order(service: Container) -> None:
    """SIGTERM drains, and the exit code is 0; every line of the log was JSON."""
    assert service.stop() == 0
    assert service.log()[-1]["event"] == "service.stopped"


def test_orphans_are_reaped(service: Container) -> None:
    """What a command of an operator leaves behind does not stay as a zombie."""
    service.python(LEAVE_AN_ORPHAN)
    until(lambda: service.python(ZOMBIES) == "0 2", otherwise=lambda: service.python(ZOMBIES))
