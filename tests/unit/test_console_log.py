"""The log as people read it: one short line for each event."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forwarder.console_log import SENTENCES, ConsoleLog, sentence

ID = "msg_53afb42d20b63fd201ff8c865b8e8f8b"
MAC = "ECC9FF5C001A"
ATTEMPT = {
    "level": "info", "endpoint": "acme", "device": MAC, "webhook_id": ID, "readings": 1, "attempt": 1,
    "duration_ms": 11.7, "status": None, "error": "refused", "detail": "connection refused while connecting",
    "address": "127.0.0.1", "retry_in_seconds": 5.2,
}  # fmt: skip
ANSWERED = ATTEMPT | {"error": "http_503", "status": 503, "detail": None}
BEAT = {"mark": "✓", "readings": 120, "delivered": 120, "waiting": 0, "dead": None, "problem": None}


def lines(event: str, *, width: int | None = None, **fields: Any) -> list[str]:
    """What is written, without the time that each event begins with; the day comes first."""
    log = ConsoleLog(colours=False, encoding="utf-8", width=lambda: width)
    written = log(None, "", {"event": event, "level": "info", "part": "test", **fields})
    day, first, *others = written.splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", day)
    assert re.match(r"\d\d:\d\d:\d\d  ", first)
    return [first[10:], *others]


@pytest.mark.parametrize(
    ("event", "fields", "line"),
    [
        pytest.param(
            "delivery.attempted", ATTEMPT,
            f"acme    ✗ connection refused · {MAC} · attempt 1, next in 5 s", id="a failed attempt",
        ),
        pytest.param(
            "delivery.attempted", ANSWERED | {"attempt": 9, "retry_in_seconds": 870.0},
            f"acme    ✗ answered 503 · {MAC} · attempt 9, next in 14 min", id="an answer",
        ),
        pytest.param(
            "delivery.attempted", ANSWERED | {"retry_in_seconds": None},
            f"acme    ✗ answered 503 · {MAC} · attempt 1", id="the last attempt",
        ),
        pytest.param(
            "delivery.attempted", ANSWERED | {"readings": 12},
            "acme    ✗ answered 503 · 12 readings · attempt 1, next in 5 s", id="a batch",
        ),
        pytest.param(
            "delivery.attempted", ATTEMPT | {"error": None, "detail": None, "status": 204, "retry_in_seconds": None},
            f"acme    ✓ answered 204 in 12 ms · {MAC} · attempt 1", id="a success",
        ),
        pytest.param(
            "delivery.buried",
            {"endpoint": "acme", "device": MAC, "webhook_id": ID, "reason": "refused", "attempts": 1},
            f"acme    ✗ dead letter: refused · {MAC} · after 1 attempt · {ID}", id="a dead letter",
        ),
        pytest.param(
            "service.beat", BEAT, "service ✓ 120 readings, 120 delivered, 0 waiting", id="a beat"
        ),
        pytest.param(
            "service.beat", BEAT | {"mark": "!", "receivers": 2, "waiting": 1200, "dead": 3, "problem": "a is failing"},
            "service ! 120 readings for 2 endpoints, 120 delivered, 1,200 waiting · 3 dead · a is failing",
            id="a beat when all is not well",
        ),
        pytest.param("service.stopping", {"pending_attempts": 0}, "service · stopping", id="none"),
        pytest.param(
            "mqtt.failed",
            {"broker": "b:1883", "reason": "timeout", "problem": "no answer", "retry_in_seconds": 0.4},
            "broker  ✗ no answer · next in 400 ms", id="no session",
        ),
        pytest.param(
            "mqtt.connected", {"broker": "b:1883", "session_present": True, "session_expiry_seconds": None},
            "broker  · connected to b:1883 · our session is still there", id="a session",
        ),
        pytest.param(
            "mqtt.subscribed", {"topics": ("ext/a/#", "ext/b/#"), "granted_qos": 0},
            "broker  ✓ subscribed to ext/a/#, ext/b/# · QoS 0", id="several topics",
        ),
        pytest.param(
            "clock.found_wrong", {"level": "warning", "device": MAC, "is_set": False, "measured_at": None},
            f"devices ! {MAC} · its clock is not set", id="no instant",
        ),
        pytest.param(
            "disk.filled_up", {"level": "error", "free_bytes": 0, "path": "/data", "why": None, "part": "disk"},
            "disk    ✗ disk filled up · free bytes 0 · path /data", id="an event that has no sentence",
        ),
        pytest.param(
            "delivery.attempted", {"level": "info"}, "service ·", id="an event without its fields"
        ),
    ],
)  # fmt: skip
def test_event_is_one_line(event: str, fields: dict[str, Any], line: str) -> None:
    """Who, what happened, whose, what comes next; nothing of what is absent."""
    assert [one.rstrip() for one in lines(event, **fields)] == [line]


def test_attempt_fits_eighty_columns() -> None:
    """The most frequent of all lines is one line of a terminal."""
    (line,) = lines("delivery.attempted", width=80, **ATTEMPT | {"attempt": 10})
    assert len(line) + 10 <= 80


def test_rejected_edit_tells_each_mistake_on_a_line_of_its_own() -> None:
    """As `check` does, with what stays in force."""
    mistakes = ('routes.yaml:3:5: unknown setting "a"', 'routes.yaml:4:5: unknown setting "b"')
    hint = "the last good routes (2 endpoints) stay"
    assert lines("routes.rejected", level="error", problems=mistakes, hint=hint) == [
        "routes  ✗ an edit has 2 problems · the last good routes (2 endpoints) stay",
        *(" " * 10 + one for one in mistakes),
    ]


def test_error_of_ours_is_followed_by_its_traceback() -> None:
    """Whoever reports it can copy it from there."""
    told = lines("form.broke", level="error", exception="Traceback:\n  File\nKeyError: 'x\x1b'")
    assert told[0].startswith("devices ✗ an error of ours")
    assert told[1:] == ["          Traceback:", "            File", r"          KeyError: 'x\x1b'"]


def test_nothing_acts_on_the_terminal() -> None:
    """What a payload or a receiver wrote is shown with its controls as escapes."""
    (line,) = lines(
        "message.quarantined", reason="not_json", device="\x1b]52;c;x\x07", detail="a\nb"
    )
    assert line.endswith(r"in quarantine: not_json · \x1b]52;c;x\x07 · a\nb")


def test_day_stands_above_its_first_line() -> None:
    """Once, and not again while it lasts."""
    log = ConsoleLog(colours=False, encoding="utf-8", width=lambda: None)
    told = [log(None, "", {"event": "service.stopped", "level": "info"}) for _ in range(2)]
    assert len(told[0].splitlines()) + len(told[1].splitlines()) == 3  # unless it is midnight


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [("utf-8", "✓ started · 1"), ("latin-1", "+ started · 1"), ("ascii", "+ started - 1")],
)
def test_marks_in_every_encoding(encoding: str, mark: str) -> None:
    """Where it lacks the letters, plainer ones stand for them."""
    log = ConsoleLog(colours=False, encoding=encoding, width=lambda: None)
    line = log(None, "", {"event": "service.started", "level": "info", "endpoints": 1})
    assert f"service {mark} endpoint" in line


FIELDS = st.dictionaries(
    st.sampled_from(sorted(ATTEMPT | {"problem": 0, "hint": 0, "reason": 0, "count": 0})),
    st.none()
    | st.integers(0, 10**6)
    | st.sampled_from([MAC, ID, "the broker did not answer", "", "é" * 90]),
)


@given(
    event=st.sampled_from([*SENTENCES, "unknown.happened"]),
    fields=FIELDS,
    width=st.integers(20, 200),
)
def test_no_word_is_broken(event: str, fields: dict[str, Any], width: int) -> None:
    """However narrow the terminal is, the same words stand there whole, and a line is too wide for one word alone."""
    try:
        wide = " ".join(lines(event, **fields)).split()
    except (
        TypeError,
        ValueError,
        AttributeError,
    ):  # a field of another kind: the line is lost, and counted
        return
    told = lines(event, width=width, **fields)
    assert [word for word in " ".join(told).split() if word != "·"] == [
        word for word in wide if word != "·"
    ]
    room = max(width, 50 + len(str(fields.get("endpoint"))))
    assert all(len(line) <= room or len(line.split()) == 1 for line in told[1:])


@pytest.mark.parametrize("event", SENTENCES)
def test_sentences_need_no_field(event: str) -> None:
    """An event that lacks what its sentence names is told by what is left of it."""
    said = sentence({"event": event, "level": "info"})
    assert "{" not in " ".join([said.subject, *said.parts])
