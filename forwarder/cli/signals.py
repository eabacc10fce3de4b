"""
Signals, from the first instruction to the last: what they do until a command has handlers of its own.

A service that is told to end while it starts ends there and then: it has taken nothing yet, and stands being killed at
any moment. SIGHUP asks for a look at routes.yaml, which a service that starts is about to read.
"""

import os
import signal
from collections.abc import Sequence
from types import FrameType

from forwarder.cli.process_one import end_on_sigterm, is_process_one


def attend_to_signals(arguments: Sequence[str]) -> None:
    """To be called before anything else; `arguments` are those of the command line."""
    if arguments[:1] == ["run"]:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, _end_at_once)
        signal.signal(signal.SIGINT, _end_at_once)
    elif is_process_one():
        end_on_sigterm()


def ignore_signals() -> None:
    """What ends by itself in a moment needs no telling, and keeps its exit code."""
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


def _end_at_once(number: int, _frame: FrameType | None) -> None:
    # An exception might be raised, and lost, where an error is expected and means something else.
    os._exit(0 if number == signal.SIGTERM else 128 + number)
