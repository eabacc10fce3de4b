"""A memory limit as containers set it, if this machine allows one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_ROOTS = (
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
    (Path("/sys/fs/cgroup"), "memory.max"),
)


@contextmanager
def memory_limit(limit_bytes: int) -> Iterator[Path | None]:
    """
    A new control group with this limit, for processes that are started `inside` it.

    It is None if no group can be made: without root, or with control groups mounted read-only.
    """
    group = _new_group(limit_bytes)
    try:
        yield group
    finally:
        if group is not None:
            group.rmdir()


@contextmanager
def inside(group: Path | None) -> Iterator[None]:
    """Processes that are started in this block belong to the group for life."""
    if group is None:
        yield
        return
    _move(group)
    try:
        yield
    finally:
        _move(group.parent)


def _new_group(limit_bytes: int) -> Path | None:
    for root, limit in _ROOTS:
        group = root / f"forwarder-test-{os.getpid()}"
        with suppress(OSError):
            group.mkdir()
            try:
                with (group / limit).open("r+") as file:  # missing without the controller
                    file.write(str(limit_bytes))
            except OSError:
                group.rmdir()
                raise
            return group
    return None


def _move(group: Path) -> None:
    (group / "cgroup.procs").write_text(str(os.getpid()), encoding="ascii")
