"""
The log for people shows an event on one short line, in the order time, who, what happened, whose, what comes next.

    16:10:41  acme    ✗ connection refused · ECC9FF5C001A · attempt 1, next in 5 s
    16:11:00  service ✓ 120 readings, 119 delivered, 1 waiting

SENTENCES has a row for each event; an event without a row is shown by its name and fields. A line that is wider than
the terminal goes on below, and breaks between words, so that ids and MACs can be copied.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from string import Formatter
from textwrap import wrap
from typing import Any

from forwarder.terminal import plain

BEAT = "service.beat"
"""The minute's summary, which is for people alone, because machines have /metrics."""

SENTENCES: Mapping[str, tuple[str, ...]] = {
    "api.denied": ("api", "! {why}"),
    "attempt.broken": ("{endpoint}", "✗ an error of ours: {error}", "{place}", "please report it"),
    "batch.split": ("{endpoint}", "a batch was answered {status}", "it is sent in parts"),
    "clock.differs": ("replica", "this machine's clock differs from the database's by {seconds} s"),
    "clock.found_wrong": (
        "devices",
        "{device}",
        "its clock is {is_set:far off/not set}",
        "measured at {measured_at}",
    ),
    "deliveries.swept": ("{endpoint}", "{count:reading} settled by rule: {outcome}"),
    "delivery.attempted": (
        "{endpoint}",
        "✗ {detail:clause}|✗ {error:answer}|✓ answered {status} in {duration_ms:ms}",
        "{readings:several reading}|{device}",
        "attempt {attempt}, next in {retry_in_seconds:span}|attempt {attempt}",
    ),
    "delivery.broke": ("{endpoint}", "✗ an error of ours", "tried again", "please report it"),
    "delivery.buried": (
        "{endpoint}",
        "✗ dead letter: {reason}",
        "{device}",
        "after {attempts:attempt}",
        "{webhook_id}",
    ),
    "descriptors.exhausted": ("service", "{problem}", "{hint}"),
    "descriptors.recovered": ("service", "✓ deliveries wait for no file descriptor any more"),
    "device.repeats": ("devices", "{hint}", "{device}"),
    "device.unheeded": ("devices", "{device}", "its payload names {in_payload}", "{hint}"),
    "endpoint.opened": (
        "{endpoint}",
        "failing: {failures:failure} in a row",
        "one probe at a time, next at {next_probe_at:clock}",
    ),
    "endpoint.paused": ("{endpoint}", "paused", "{hint}"),
    "endpoint.recovered": ("{endpoint}", "✓ well again"),
    "form.broke": ("devices", "✗ an error of ours", "read without shortcut", "please report it"),
    "heartbeat.failed": ("service", "the heartbeat was not heard: {problem}"),
    "heartbeat.recovered": ("service", "✓ the heartbeat is heard again"),
    "http.broke": ("http", "✗ an error of ours", "please report it"),
    "http.crowded": ("http", "{connections:connection}: no more are taken"),
    "library.complained": ("{by}", "{problem}"),
    "log_lines.dropped": ("log", "{count:line} were dropped: nobody took them"),
    "manager.not_told": ("systemd", "{problem}|✗ an error of ours: please report it"),
    "message.broke": (
        "devices",
        "✗ an error of ours",
        "{topic}",
        "in quarantine: please report it",
    ),
    "message.quarantined": ("devices", "in quarantine: {reason}", "{device}", "{detail}"),
    "message.retained": ("devices", "{hint}", "{topic}"),
    "message.unrouted": ("devices", "{hint}", "{device}"),
    "messages.ingested": (
        "broker",
        "{accepted:message} accepted",
        "{quarantined} quarantined",
        "{unrouted} unrouted",
        "{duplicate} duplicate",
    ),
    "mqtt.connected": (
        "broker",
        "connected to {broker}",
        "{session_present:our session is still there/a new session}",
    ),
    "mqtt.disconnected": ("broker", "{problem}", "lasted {lasted_seconds:span}"),
    "mqtt.failed": ("broker", "✗ {problem}", "next in {retry_in_seconds:span}"),
    "mqtt.held_back": ("broker", "nothing is read: {waiting_bytes} bytes wait", "{hint}"),
    "mqtt.reading_again": ("broker", "✓ read again", "after {held_back_seconds:span}"),
    "mqtt.recovered": ("broker", "✓ well again"),
    "mqtt.session_lost": ("broker", "{problem}"),
    "mqtt.stopped": ("broker", "disconnected"),
    "mqtt.subscribed": ("broker", "✓ subscribed to {topics}", "QoS {granted_qos}"),
    "notices.dropped": ("service", "{count:notice} for the operator found no room"),
    "operator.changed": ("{who}", "{what}", "{endpoint}", "{count} changed", "by {via}"),
    "outbox.exposed": ("outbox", "{problem}"),
    "outbox.fell_back": ("outbox", "✗ {problem}"),
    "outbox.failed": ("outbox", "✗ {problem}"),
    "outbox.filled": ("outbox", "✗ {problem}"),
    "outbox.incomplete": ("outbox", "✗ {problem}"),
    "outbox.moved_aside": ("outbox", "✗ {problem}", "moved to {path}"),
    "replica.ends": ("replica", "✗ {problem}"),
    "replica.follows": ("replica", "delivers; {leader} leads"),
    "replica.leads": ("replica", "✓ leads now"),
    "replica.waits": ("replica", "✗ is to lead, and waits", "{problem}"),
    "outbox.recovered": ("outbox", "✓ takes writes again"),
    "outbox.unmarked": ("outbox", "✗ {problem}"),
    "outbox.unread": ("outbox", "✗ {problem}", "next in 1 s"),
    "routes.differ": ("routes", "differ from those of replica {replicas}"),
    "routes.read_again": ("routes", "✓ read again"),
    "routes.rejected": (
        "routes",
        "✗ an edit has {problems:problem}",
        "{hint}",
        "{problems:below}",
    ),
    "routes.reloaded": ("routes", "✓ an edit is in force", "{changes:below}"),
    "routes.unchanged": ("routes", "a file changed, what it says did not"),
    "routes.unread": ("routes", "✗ {problem}", "{hint}"),
    BEAT: (
        "service",
        (
            "{mark} {readings:reading} for {receivers:endpoint}, {delivered} delivered, {waiting} waiting"
            "|{mark} {readings:reading}, {delivered} delivered, {waiting} waiting"
        ),
        "{dead} dead",
        "{quarantined} quarantined",
        "{unrouted} unrouted",
        "{problem}",
    ),
    "service.cut_off": ("service", "ended without what still waited for the outbox"),
    "service.failed": ("service", "✗ {part} failed: an error of ours, please report it"),
    "service.started": ("service", "✓ started", "{endpoints:endpoint}"),
    "service.stopped": ("service", "stopped"),
    "service.stopping": (
        "service",
        "stopping",
        "{pending_attempts:any attempt} in flight end first",
    ),
    "intervals.failed": ("outbox", "✗ {problem}", "next in 1 s"),
    "sweep.failed": ("outbox", "✗ {problem}", "next in 10 s"),
    "telling.broke": ("log", "✗ an error of ours in {what}", "no reading is concerned"),
}
"""
The subject and the parts of each event's line; `_said` explains the forms of `{field:form}`.

The first of the alternatives `this|that` whose fields are all there counts, and a part without such an alternative is
left out. The first part begins with a mark, if it is not that of the event's level.
"""

_MARKS = {"error": "✗", "critical": "✗", "warning": "!"}
_COLOURS = {"✓": "\x1b[32m", "✗": "\x1b[31m", "!": "\x1b[33m"}
_DIM, _BOLD, _PLAIN = "\x1b[2m", "\x1b[1m", "\x1b[0m"
_SIMPLER = {"✓": "+", "✗": "x", "·": "-"}
"""Replacements for letters that an encoding lacks."""
_LEAST = {"": 0, "any": 1, "several": 2}
_SUBJECT_WIDTH, _LEAST_WIDTH = 7, 30
_NO_FIELDS = frozenset({"event", "level", "part", "exception"})


@dataclass(frozen=True, slots=True)
class Sentence:
    """The words of one event."""

    subject: str
    mark: str
    parts: Sequence[str]
    below: Sequence[str]
    """Lines of their own: the changes of an edit, its mistakes, a traceback."""


class ConsoleLog:
    """
    Renders structlog's events for people; `width` tells the present columns, None without a terminal.

    A new day stands above its first line. The log may be used from any thread.
    """

    def __init__(self, *, colours: bool, encoding: str, width: Callable[[], int | None]) -> None:
        lacking = (letter for letter in _SIMPLER if _lacks(encoding, letter))
        self._simpler = str.maketrans({letter: _SIMPLER[letter] for letter in lacking})
        self._colours = colours
        self._width = width
        self._day = ""

    def __call__(self, _logger: object, _method: str, event: Mapping[str, Any]) -> str:
        said = sentence(event)
        day, clock = time.strftime("%Y-%m-%d %H:%M:%S").split()
        subject = self._with(_BOLD, said.subject) + " " * (_SUBJECT_WIDTH - len(said.subject))
        mark = self._with(_COLOURS.get(said.mark, _DIM), said.mark)
        margin = len(clock) + 2
        indent = margin + max(len(said.subject), _SUBJECT_WIDTH) + len(" ✓ ")
        text = _folded(said.parts, indent=indent, width=(width := self._width()))
        lines = [f"{self._with(_DIM, clock)}  {subject} {mark} {text}"]
        lines += (
            " " * margin + _folded([one], indent=margin + 2, width=width) for one in said.below
        )
        if day != self._day:
            self._day = day
            lines.insert(0, self._with(_DIM, day))
        return "\n".join(lines).translate(self._simpler)

    def _with(self, style: str, text: str) -> str:
        return f"{style}{text}{_PLAIN}" if self._colours else text


def sentence(event: Mapping[str, Any]) -> Sentence:
    """The sentence of an event by SENTENCES; an event that it does not know gets its name and fields as they are."""
    words = _Words(event)
    row = SENTENCES.get(event["event"]) or _plain_row(event)
    subject, *parts = (words.part(part) for part in row)
    told = [part for part in parts if part]
    mark = _MARKS.get(str(event.get("level")), "·")
    if told and told[0][:2] in {f"{one} " for one in "✓✗!·"}:
        mark, told[0] = told[0][0], told[0][2:]
    traceback = str(event.get("exception") or "").splitlines()
    return Sentence(subject or "service", mark, told, [*words.below, *map(plain, traceback)])


def _plain_row(event: Mapping[str, Any]) -> tuple[str, ...]:
    name = str(event["event"]).replace(".", " ").replace("_", " ").replace("{", "").replace("|", "")
    named = (field for field in event if field not in _NO_FIELDS and field.isidentifier())
    return "{part}", name, *(f"{field.replace('_', ' ')} {{{field}}}" for field in named)


class _Words:
    """The fields of one event in words; a field that is absent, None or empty raises LookupError."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = fields
        self.below: list[str] = []

    def part(self, template: str) -> str:
        """The first alternative whose fields are all there; empty when there is none."""
        for alternative in _alternatives(template):
            with suppress(LookupError):
                return "".join(
                    text if name is None else text + self._shown(name, form)
                    for text, name, form in alternative
                )
        return ""

    def _shown(self, name: str, form: str) -> str:
        value = self._fields[name]
        if value is None or value in ("", (), []):
            raise LookupError(name)
        if form == "below":
            self.below += map(plain, value)
            return ""
        return plain(_said(value, form))


@lru_cache(maxsize=512)
def _alternatives(template: str) -> list[list[tuple[str, str | None, str]]]:
    """The texts of each alternative, each with the field that follows and the field's form."""
    return [
        [(text, name, form or "") for text, name, form, _ in Formatter().parse(one)]
        for one in template.split("|")
    ]


def _said(value: Any, form: str) -> str:
    """A value in one of the forms: `span`, `clock`, …; `yes/no` for a bool; a noun that is counted."""
    if form in _FORMS:
        return _FORMS[form](value)
    if isinstance(value, bool) and form:
        return form.split("/")[not value]
    if form:
        return _counted(value, form)
    if isinstance(value, int):
        return f"{value:,}"
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _counted(value: Any, noun: str) -> str:
    """`1 reading`, `2 readings`; a list counts its length. `any …` needs one or more, `several …` two or more."""
    count = len(value) if isinstance(value, (list, tuple)) else int(value)
    kind, _, counted = noun.rpartition(" ")
    if count < _LEAST[kind]:
        raise LookupError(noun)
    return f"{count:,} {counted}{'' if count == 1 else 's'}"


def _span(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    for unit, length in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _local_clock(instant: str) -> str:
    return datetime.fromisoformat(instant).astimezone().strftime("%H:%M:%S")


_FORMS: Mapping[str, Callable[[Any], str]] = {
    "span": _span,
    "ms": lambda milliseconds: _span(milliseconds / 1000),
    "clock": _local_clock,
    # "connection refused while connecting": readers of the line need no " while …".
    "clause": lambda detail: str(detail).partition(" while ")[0],
    "answer": lambda error: str(error).replace("http_", "answered "),
}


def _folded(parts: Sequence[str], *, indent: int, width: int | None) -> str:
    """The parts on as few lines as `width` allows, broken between parts or else between words."""
    if width is None:
        return " · ".join(parts)
    room = max(width - indent, _LEAST_WIDTH)
    lines: list[str] = []
    for part in parts:
        if lines and len(lines[-1]) + len(" · ") + len(part) <= room:
            lines[-1] += f" · {part}"
        elif len(part) <= room:
            lines.append(part)
        else:
            lines += wrap(part, room, break_long_words=False, break_on_hyphens=False)
    return ("\n" + " " * indent).join(lines)


def _lacks(encoding: str, letter: str) -> bool:
    return letter.encode(encoding, "replace") == b"?"
