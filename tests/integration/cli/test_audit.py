"""`forwarder audit`, and that every command which changes something leaves a record."""

import getpass

import pytest
from support.outbox_builder import ZURICH, OutboxBuilder
from support.shell import Operator

CHANGES = [
    (("endpoints", "pause", "acme"), ("pause", "acme", 1)),
    (("endpoints", "share", "acme"), ("share", "acme", 1)),
    (("dead-letters", "replay", "--endpoint", "acme"), ("replay", "acme", 2)),
    (("dead-letters", "replay", "--all", "--to", "home"), ("replay", "home", 2)),
    (("dead-letters", "discard", "--all", "--yes"), ("discard", None, 2)),
    (("quarantine", "discard", "--all", "--yes"), ("discard_quarantined", None, 1)),
    (("purge", "--device", ZURICH, "--yes"), ("purge", None, 1)),
]


@pytest.mark.parametrize(("command", "expected"), CHANGES)
def test_commands_leave_a_record(
    operator: Operator,
    built: OutboxBuilder,
    command: tuple[str, ...],
    expected: tuple[str, str | None, int],
) -> None:
    """Who, by which way, what, and how many; and no device."""
    for _ in range(2):
        built.delivery("acme", "dead")
    built.quarantine()
    operator.says(*command)
    (record,) = operator.json("audit")
    assert (record["what"], record["endpoint"], record["count"]) == expected
    assert (record["via"], record["who"]) == ("command", getpass.getuser())
    assert ZURICH not in operator.says("audit")


def test_what_ends_a_change_is_one_too(operator: Operator, built: OutboxBuilder) -> None:
    """Resume and unshare are told, and what changed nothing counts none."""
    built.delivery("acme", "pending")
    operator.says("endpoints", "share", "acme")
    operator.says("endpoints", "unshare", operator.json("endpoints", "shares")[0]["id"])
    operator.says("endpoints", "resume", "acme")
    told = [(one["what"], one["count"]) for one in operator.json("audit")]
    assert told == [("resume", 0), ("unshare", 1), ("share", 1)]
    assert "3 changes" in operator.says("audit", "--limit", "2")


def test_looking_leaves_none(operator: Operator, built: OutboxBuilder) -> None:
    """Lists and dry looks change nothing."""
    built.delivery("acme", "dead")
    for command in (("dead-letters", "list"), ("deliveries", "list"), ("endpoints", "shares")):
        operator.says(*command)
    assert operator.says("audit") == "no changes\n"
