"""Structured logs on stdout: one event per unit of work, named noun.past_verb."""

import logging
import sys
from typing import Literal, TextIO

import structlog

Log = structlog.typing.FilteringBoundLogger


def configure_logs(
    *,
    format: Literal["console", "json"] | None,  # noqa: A002 - the setting's own name
    level: str,
    stream: TextIO = sys.stdout,
) -> None:
    """Send every log line of this process to `stream`, as `format` says (None: console on a terminal, else json)."""
    chosen = format or ("console" if stream.isatty() else "json")
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer(colors=stream.isatty())
            if chosen == "console"
            else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=True,
    )


def logger(name: str) -> Log:
    """The log of one part of the program."""
    log: Log = structlog.get_logger(part=name)
    return log
