"""`forwarder outbox check` and `copy`: what they find, and what they make of it."""

import json
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from support.outbox_builder import OutboxBuilder
from support.shell import Operator

from forwarder.cli.outbox import TOTALS
from forwarder.errors import ForwarderError
from forwarder.outbox import inspect
from forwarder.settings import Database

STATES = ("pending", "delivered", "dead", "expired", "superseded")


def _check(operator: Operator) -> tuple[int, list[str]]:
    result = operator.run("outbox", "check", "--json")
    return result.exit_code, json.loads(result.output)["faults"]


def _spoil(built: OutboxBuilder, statement: str) -> None:
    with sqlite3.connect(built.path) as connection:
        connection.execute(statement)
    connection.close()


def test_sound_outbox(operator: Operator, built: OutboxBuilder) -> None:
    """A sound outbox says so, with what it holds, and changes by no byte."""
    for state in STATES:
        built.delivery("acme", state)
    before = built.path.read_bytes()

    said = operator.json("outbox", "check")

    assert said["sound"]
    assert said["deliveries"] == dict.fromkeys(sorted(STATES), 1)
    assert not said["service_running"]
    assert built.path.read_bytes() == before
    assert "sound" in operator.says("outbox", "check")


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("DELETE FROM reading", "2 deliveries belong to no reading"),
        ("DELETE FROM body", "1 pending or dead deliveries have lost their data"),
        ("INSERT INTO body VALUES (2, x'00')", "1 bodies are kept that nothing needs"),
        (
            "INSERT INTO attempt VALUES (9, 9, 1, 0, 0, NULL, 'x', '', x'', NULL)",
            "1 attempts belong to no delivery",
        ),
        (
            "UPDATE endpoint SET enqueued = 7",
            "endpoint acme counts 6 deliveries as pending, and has 1",
        ),
        (
            "UPDATE endpoint SET delivered = 0, enqueued = 1",
            "endpoint acme counts 0 deliveries as delivered, and has 1",
        ),
        ("PRAGMA user_version = 99", "was written by a newer forwarder"),
        ("PRAGMA application_id = 99", "is a database of another program"),
    ],
)
def test_each_fault_is_told(
    operator: Operator, built: OutboxBuilder, statement: str, fault: str
) -> None:
    """What does not belong together is named, and the exit code is 1."""
    built.delivery("acme", "pending")
    built.delivery("acme", "delivered")
    _spoil(built, statement)

    exit_code, faults = _check(operator)

    assert exit_code == 1
    assert any(fault in one for one in faults), faults


def test_forgotten_deliveries_are_no_fault(operator: Operator, built: OutboxBuilder) -> None:
    """Totals are for life, rows are not."""
    built.delivery("acme", "delivered")
    _spoil(built, "DELETE FROM delivery")
    _spoil(built, "DELETE FROM reading")

    assert _check(operator) == (0, [])


@pytest.mark.parametrize("at", [0, 40, 8192])
def test_damaged_file(operator: Operator, built: OutboxBuilder, at: int) -> None:
    """Overwritten bytes are a finding, not a traceback."""
    built.delivery("acme", "pending")
    _spoil(built, "PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(built.path.read_bytes())
    content[at : at + 3000] = b"\xa5" * 3000
    built.path.write_bytes(content)

    exit_code, faults = _check(operator)

    assert exit_code == 1
    assert faults


def test_emptied_file(operator: Operator) -> None:
    """A file without tables held something once: a start would refuse it, so the advice is another."""
    (operator.folder / "data").mkdir()
    (operator.folder / "data" / "outbox.db").touch()

    exit_code, (fault,) = _check(operator)

    assert exit_code == 1
    assert fault.startswith("it is empty; restore it from a copy, or start with FORWARDER_OUTBOX")


def test_no_outbox_yet(operator: Operator) -> None:
    """There is nothing to check before the first start."""
    assert "there is no outbox at data/outbox.db yet" in operator.fails("outbox", "check")


def test_copy_shows_the_accounts(
    operator: Operator, built: OutboxBuilder, new_database: Callable[[], Database]
) -> None:
    """It says what it has copied, by endpoint, and names neither password nor user."""
    for state in STATES:
        built.delivery("acme", state)
    place = new_database()
    operator.environment["NEW_URL"] = place.url

    said = operator.says("outbox", "copy", "--to", "env:NEW_URL")

    assert re.search(r"acme +5 +1 +1 +1 +1 +1\n", said)
    assert "every row and account agrees" in said
    assert "swordfish" not in said
    assert inspect(place).deliveries == dict.fromkeys(STATES, 1)


def test_copy_back_for_programs(
    operator: Operator, new_database: Callable[[], Database], tmp_path: Path
) -> None:
    """`--from` names another outbox than the settings do, and paths need no scheme."""
    place = new_database()
    OutboxBuilder(place).delivery("acme", "dead")
    operator.environment["OLD_URL"] = place.url
    to = str(tmp_path / "back" / "outbox.db")

    said = operator.json("outbox", "copy", "--from", "env:OLD_URL", "--to", to)

    assert said["to"] == to
    assert said["rows"]["delivery"] == 1
    assert said["endpoints"]["acme"] == dict.fromkeys(TOTALS, 0) | {"enqueued": 1, "dead": 1}
    assert said["from"] == str(place)


@pytest.mark.parametrize(
    ("to", "code", "sentence"),
    [
        ("data/other.db", 2, "of one kind"),
        ("sqlite://other.db", 2, "--to: expected postgresql://"),
        ("mysql://db/x", 2, "--to: expected postgresql://"),
        ("", 2, "--to: expected postgresql://"),
        ("env:NOT_THERE", 2, "--to: "),
        ("postgresql://127.0.0.1:1/forwarder", 1, "takes no writes"),
    ],
)
def test_copy_to_nowhere(
    operator: Operator, built: OutboxBuilder, to: str, code: int, sentence: str
) -> None:
    """What cannot be a destination is said in a sentence."""
    built.delivery("acme", "pending")
    result = operator.run("outbox", "copy", "--to", to)
    assert isinstance(result.exception, ForwarderError)
    assert (result.exception.exit_code, sentence in str(result.exception)) == (code, True)
