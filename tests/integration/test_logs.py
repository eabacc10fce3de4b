"""What a process of its own writes into its log, and how it ends."""

import json
import os
import pty
import subprocess
import sys
from typing import Any

import pytest

PROGRAM = """
import logging, sys
from forwarder.logs import configure_logs, harmless, logger

class Unspeakable:
    def __repr__(self):
        raise ZeroDivisionError

class Broken:
    def count(self):
        raise ZeroDivisionError

lines = configure_logs(format="{form}", level="info")
log = logger("test")
log.debug("not.asked_for")
log.info("first.said", word="\u2192")
{then}
"""


def output(then: str, *, form: str = "json", encoding: str = "utf-8") -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a program that logs."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(then=then, form=form)],
        capture_output=True,
        encoding=encoding,
        env={"PYTHONIOENCODING": encoding},
        timeout=20,
    )
    return done.returncode, done.stdout, done.stderr


def said(then: str) -> list[dict[str, Any]]:
    """The log lines after the first."""
    _, out, err = output(then)
    assert err == ""
    first, *others = map(json.loads, out.splitlines())
    assert (first["event"], first["word"], first["part"]) == ("first.said", "\u2192", "test")
    return others


@pytest.mark.parametrize(
    ("end", "code"), [("pass", 0), ("sys.exit(3)", 3), ("raise SystemError", 1)]
)
def test_lines_survive_the_end_of_the_process(end: str, code: int) -> None:
    """However it ends, what was logged before is written."""
    ended, out, _ = output("for n in range(100): log.info('again.said', n=n)\n" + end)
    assert (ended, len(out.splitlines())) == (code, 101)


def test_line_that_cannot_be_made_is_counted() -> None:
    """A field that cannot be shown costs its line and no more; the loss is told."""
    (dropped, after) = said(
        "log.info('never.said', it=Unspeakable())\nassert lines.dropped == 1\n"
        "lines.flush()\nlog.info('after.said')"
    )
    assert {one["event"] for one in (dropped, after)} == {"after.said", "log_lines.dropped"}


def test_libraries_speak_in_lines() -> None:
    """What a library says by Python's logging is a line like any other; what it garbles is lost and counted."""
    (complaint,) = said(
        "logging.getLogger('asyncio').error('it %s', 'broke')\n"
        "logging.getLogger('asyncio').info('not asked for')"
    )
    assert (complaint["event"], complaint["by"], complaint["problem"]) == (
        "library.complained",
        "asyncio",
        "it broke",
    )
    told = said("logging.error('it %d', 'broke')\nlog.info('after.said')")
    assert {one["event"] for one in told} == {"after.said", "log_lines.dropped"}


def test_teller_that_breaks_is_told_once() -> None:
    """A broken counter raises nothing; its first error is logged with its traceback."""
    (broke,) = said("counter = harmless(Broken())\nfor n in range(9): counter.count()")
    assert (broke["event"], broke["what"]) == ("telling.broke", "count")
    assert "ZeroDivisionError" in broke["exception"]


def test_letters_that_an_encoding_lacks_are_escaped() -> None:
    """A console of another encoding costs no line."""
    _, out, err = output("pass", form="console", encoding="latin-1")
    assert "first said · word \\u2192" in out
    assert err == ""


def test_summary_of_a_minute_is_for_people() -> None:
    """Machines have the same from /metrics, and their log stays as it was."""
    beat = "log.info('service.beat', mark='\u2713', readings=1, delivered=1, waiting=0)"
    assert said(beat) == []
    assert "1 reading, 1 delivered, 0 waiting" in output(beat, form="console")[1]


@pytest.mark.parametrize(
    ("environment", "has_colours"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_colours_are_for_terminals_that_want_them(
    environment: dict[str, str], has_colours: bool
) -> None:
    """NO_COLOR (no-color.org) and terminals without colours are heeded."""
    ours, theirs = pty.openpty()
    program = PROGRAM.format(form="console", then="log.warning('it.broke')")
    subprocess.run([sys.executable, "-c", program], stdout=theirs, env=environment, timeout=20)
    os.close(theirs)
    written = os.read(ours, 1 << 16)
    os.close(ours)
    assert b"it broke" in written
    assert (b"\x1b[" in written) is has_colours


def test_pipe_gets_no_colours() -> None:
    """Whoever asks for the console's form in a file gets text."""
    assert "\x1b" not in output("log.warning('it.broke')", form="console")[1]
