"""
Structured logs: one event per unit of work, named noun.past_verb.

A service logs to stdout. A command logs to stderr, because its stdout is for its answer alone.

**Nothing that only tells may raise or block into the line.** A log line is made where the event happens, and a thread
of its own writes it. A log line that cannot be made, or that nobody takes, is dropped and counted. Metrics and other
parts that only tell are made `harmless` where they are handed over.
"""

import atexit
import logging
import os
import sys
from collections.abc import Callable
from typing import Any, Literal, Protocol, Self, TextIO, TypeVar, cast

import structlog
from structlog.typing import EventDict, Processor

from forwarder.console_log import BEAT, ConsoleLog
from forwarder.line_writer import LineWriter
from forwarder.terminal import columns_of

T = TypeVar("T")


class Log(Protocol):
    """
    The log of one part of the program; it never raises, whatever it is given.

    Fields are written as JSON, else as their own text; `exc_info` is an error whose traceback is written.
    """

    def debug(self, event: str, **fields: Any) -> None: ...
    def info(self, event: str, **fields: Any) -> None: ...
    def warning(self, event: str, **fields: Any) -> None: ...
    def error(self, event: str, **fields: Any) -> None: ...
    def bind(self, **fields: Any) -> Self: ...
    def is_enabled_for(self, level: int) -> bool: ...


def configure_logs(
    *,
    format: Literal["console", "json"] | None,  # noqa: A002 - the setting's own name
    level: str,
    stream: TextIO = sys.stdout,
) -> LineWriter:
    """
    Send every log line of this process to `stream`, as `format` says (None: console on a terminal, else json).

    The log of libraries goes there too. Lines that are unwritten when the process ends have one more second.
    """
    chosen = format or ("console" if stream.isatty() else "json")
    lines = LineWriter(stream.fileno(), on_resumed=_tell_dropped)
    atexit.register(lines.flush)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            *(_for_people(stream) if chosen == "console" else _for_machines()),
        ],
        wrapper_class=_unraising(logging.getLevelNamesMapping()[level.upper()], lines),
        logger_factory=lambda *_: _Sink(lines, encoding=stream.encoding),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[_Libraries(lines)], level=logging.WARNING, force=True)
    return lines


def _for_people(stream: TextIO) -> tuple[Processor, ...]:
    colours = (
        stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    )
    return (
        structlog.processors.format_exc_info,
        ConsoleLog(
            colours=colours,
            encoding=stream.encoding,
            width=lambda: columns_of(stream),
        ),
    )


def _for_machines() -> tuple[Processor, ...]:
    return (
        _without_beats,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(),
    )


def _without_beats(_logger: object, _method: str, event: EventDict) -> EventDict:
    if event["event"] == BEAT:
        raise structlog.DropEvent
    return event


def logger(name: str) -> Log:
    """The log of one part of the program; it goes to stderr unless logs were configured before."""
    if not structlog.is_configured():
        structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))
    log: Log = structlog.get_logger(part=name)
    return log


def harmless(teller: T) -> T:
    """
    A wrapper whose methods never raise, so that a part that counts or reports with it goes on.

    The first error of each method is logged.
    """
    return cast("T", _Harmless(teller))


class _Harmless:
    def __init__(self, teller: object) -> None:
        self._log = logger("telling")
        self._failing: set[str] = set()
        for name in dir(teller):
            method = getattr(teller, name)
            if callable(method) and not name.startswith("_"):
                setattr(self, name, self._guarded(name, method))

    def _guarded(self, name: str, method: Callable[..., object]) -> Callable[..., None]:
        def tell(*facts: Any, **more: Any) -> None:
            try:
                method(*facts, **more)
            except Exception as error:  # noqa: BLE001 - no error of a teller may reach the line
                self._say(name, error)

        return tell

    def _say(self, name: str, error: Exception) -> None:
        if name not in self._failing:
            self._failing.add(name)
            self._log.error("telling.broke", what=name, exc_info=error)


def _unraising(level: int, lines: LineWriter) -> type[structlog.typing.FilteringBoundLogger]:
    """The class of a logger of this level and above, which counts the lines that cannot be made."""
    base: Any = structlog.make_filtering_bound_logger(level)

    class Unraising(base):  # type: ignore[misc] # structlog makes its class at run time
        def _proxy_to_logger(self, *event: Any, **fields: Any) -> None:
            try:
                super()._proxy_to_logger(*event, **fields)
            except Exception:  # noqa: BLE001 - a line is lost, and nothing else
                lines.lose()

    return Unraising


class _Sink:
    """The sink of structlog's finished lines."""

    def __init__(self, lines: LineWriter, *, encoding: str) -> None:
        self._write = lines.write
        self._encoding = encoding

    def debug(self, line: str) -> None:
        self._write((line + "\n").encode(self._encoding, "backslashreplace"))

    info = warning = error = critical = debug


class _Libraries(logging.Handler):
    """Logs the complaints of asyncio, uvicorn and others as lines like ours, because stderr would block and raise."""

    def __init__(self, lines: LineWriter) -> None:
        super().__init__()
        self._lines = lines
        self._log = logger("libraries")

    def emit(self, record: logging.LogRecord) -> None:
        try:
            problem = record.getMessage()
        except Exception:  # noqa: BLE001 - a message that does not fit its arguments is lost, like any line
            self._lines.lose()
        else:
            self._log.error(
                "library.complained", by=record.name, problem=problem, exc_info=record.exc_info
            )


def _tell_dropped(count: int) -> None:
    logger("logs").warning("log_lines.dropped", count=count)
