"""Unit tests are pure: what starts a process, listens on the network or opens a database belongs elsewhere."""

import sys
from collections.abc import Iterator

import pytest

_done: list[str] = []


def _note(event: str, arguments: tuple[object, ...]) -> None:
    """What Python tells of (docs.python.org, audit events), where it is not pure."""
    match event, arguments:
        case (("subprocess.Popen" | "os.posix_spawn" | "os.fork"), _):
            _done.append(event)
        case "sqlite3.connect", (place, *_) if place != ":memory:":
            _done.append(event)
        case "socket.bind", (_, tuple()):
            _done.append(event)


sys.addaudithook(_note)


@pytest.fixture(autouse=True)
def _is_pure() -> Iterator[None]:
    _done.clear()
    yield
    assert _done == [], "a test of tests/integration"
