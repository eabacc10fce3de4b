"""What commands change is told in the log of the running service."""

from dataclasses import replace

import pytest
from structlog.testing import capture_logs
from support.clock import HandClock

from forwarder.errors import OutboxUnavailable
from forwarder.outbox import AuditRecord
from forwarder.service.audit_log import AuditLog

RECORD = AuditRecord("a", 1.0, "command", "alice", "replay", "acme", 3, number=1)


async def test_each_change_of_a_command_is_told_once() -> None:
    """What was there at the start, and what came by the port, is not told here; the oldest is told first."""
    records = [RECORD]
    log = AuditLog(lambda: records, clock=HandClock())
    with capture_logs() as told:
        await log.look()
        records[:0] = [
            replace(RECORD, number=4, what="purge", endpoint=None),
            replace(RECORD, number=3, via="api"),
            replace(RECORD, number=2, what="discard"),
        ]
        await log.look()
        await log.look()
    assert [(one["event"], one["what"], one["who"]) for one in told] == [
        ("operator.changed", "discard", "alice"),
        ("operator.changed", "purge", "alice"),
    ]


@pytest.mark.parametrize(
    ("error", "events"), [(OutboxUnavailable("busy"), []), (ValueError("x"), ["telling.broke"])]
)
async def test_a_look_that_fails_is_tried_again(error: Exception, events: list[str]) -> None:
    """Nothing stops because of it, and what came meanwhile is told at the next look."""
    answers: list[list[AuditRecord] | Exception] = [[], error, [RECORD]]

    def newest() -> list[AuditRecord]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    log = AuditLog(newest, clock=HandClock())
    with capture_logs() as told:
        for _ in range(3):
            await log.look()
    assert [one["event"] for one in told] == [*events, "operator.changed"]
