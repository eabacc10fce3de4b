"""
The duties of process 1 of a container, which has no init above it.

The kernel drops a signal to process 1 if it has no handler, and hands it the orphans of the container
(pid_namespaces(7)). An init in front would see to both, but add a process that signals have to pass.
"""

import os
import signal
from types import FrameType


def is_process_one() -> bool:
    return os.getpid() == 1


def end_on_sigterm() -> None:
    """Take SIGTERM as Ctrl-C, for commands without a handler of their own, and until the service has its own."""
    signal.signal(signal.SIGTERM, _interrupt)


def leave_orphans_to_the_kernel() -> None:
    """
    Leave no zombies: children of a process that ignores SIGCHLD vanish when they end (wait(2)).

    A command that starts processes must not call this, because it could not learn how they ended.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    signal.raise_signal(signal.SIGINT)
