"""
The meaning of signals until a command has handlers of its own.

A service that is told to end while it starts ends at once, because it has taken nothing yet, and stands being killed at
any moment. SIGHUP asks for a look at routes.yaml, which a service that starts is about to read.
"""

import os
import signal
from collections.abc import Sequence
from types import FrameType

from forwarder.cli.process_one import end_on_sigterm, is_process_one


def attend_to_signals(arguments: Sequence[str]) -> None:
    """Install the first handlers. Call it before anything else, with the command line's arguments."""
    if arguments[:1] == ["run"]:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, _end_at_once)
        signal.signal(signal.SIGINT, _end_at_once)
    elif is_process_one():
        end_on_sigterm()


def ignore_signals() -> None:
    """Ignore signals in a process that is about to end by itself, so that it keeps its exit code."""
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


def _end_at_once(number: int, _frame: FrameType | None) -> None:
    # An exception could be raised, and lost, in code that expects an error of another meaning.
    os._exit(0 if number == signal.SIGTERM else 128 + number)
