"""Ids are one: what logs, headers and receivers know is what commands print and take."""

import pytest
from support.outbox_builder import NOW, ZURICH, OutboxBuilder
from support.shell import Operator

from forwarder.outbox import NewReading, Recipient
from forwarder.outbox.sql import putting
from forwarder.reading import WebhookId

ALIKE = ("msg_" + "ab" * 15 + "00", "msg_" + "ab" * 15 + "01")


def put(built: OutboxBuilder, identity: str, *endpoints: str, state: str = "dead") -> None:
    """Owe a reading with this very id to these endpoints, and bring it to this state there."""
    built.readings += 1
    reading = NewReading(
        webhook_id=WebhookId(identity),
        device=ZURICH,
        measured_at="2025-11-18T10:00:00Z",
        received_at=NOW,
        data=b"{}",
        recipients=tuple(map(Recipient, endpoints)),
    )
    with built.store() as store:
        number, _ = putting.put(store, reading, now=NOW, content_since=0.0)
        for name in endpoints if state != "pending" else ():
            row = store.endpoint_id(name)
            store.finish(number, row, state=state, reason="expired", settled_at=NOW + 60)


@pytest.mark.parametrize("length", [1, 4, 31, 32])
@pytest.mark.parametrize("command", ["dead-letters", "deliveries"])
def test_a_beginning_is_enough(
    operator: Operator, built: OutboxBuilder, command: str, length: int
) -> None:
    """As many digits as tell a reading from the others name it."""
    put(built, ALIKE[0], "acme")
    put(built, "msg_" + "cd" * 16, "acme")
    name = ALIKE[0][: len("msg_") + length]

    assert operator.json(command, "show", name)["id"] == ALIKE[0]
    assert [one["id"] for one in operator.json(command, "list", name)] == [ALIKE[0]]
    assert ALIKE[0] in operator.says(command, "list", name)


@pytest.mark.parametrize(
    "arguments",
    [
        ["dead-letters", "show"],
        ["dead-letters", "list"],
        ["dead-letters", "replay"],
        ["dead-letters", "discard"],
        ["dead-letters", "export"],
        ["deliveries", "show"],
        ["deliveries", "list"],
    ],
)
def test_an_ambiguous_beginning_lists_the_candidates(
    operator: Operator, built: OutboxBuilder, arguments: list[str]
) -> None:
    """One sentence names every id that is meant, and nothing happens."""
    for identity in ALIKE:
        put(built, identity, "acme", "home")

    result = operator.run(*arguments, "msg_abab")

    assert str(result.exception) == (
        f"msg_abab is the beginning of 2 ids, give more of it: {ALIKE[0]}, {ALIKE[1]}"
    )
    assert result.exception.exit_code == 2  # type: ignore[union-attr] # it is a ForwarderError
    assert built.accounts("acme")["dead"] == 2


def test_only_dead_letters_compete_for_a_beginning(
    operator: Operator, built: OutboxBuilder
) -> None:
    """A delivered reading whose id begins alike makes no dead letter ambiguous."""
    put(built, ALIKE[0], "acme", state="delivered")
    put(built, ALIKE[1], "acme")

    assert operator.json("dead-letters", "show", "msg_ab")["id"] == ALIKE[1]
    assert "is the beginning of 2 ids" in operator.fails("deliveries", "show", "msg_ab")


def test_a_reading_owed_to_several_endpoints_means_all_of_them(
    operator: Operator, built: OutboxBuilder
) -> None:
    """All are shown and listed, in the same order; --endpoint says which."""
    put(built, ALIKE[0], "acme", "home")

    shown = operator.json("dead-letters", "show", ALIKE[0])
    one = operator.json("dead-letters", "show", ALIKE[0], "--endpoint", "home")

    assert [delivery["endpoint"] for delivery in shown] == ["acme", "home"]
    assert one == shown[1]
    assert [each["endpoint"] for each in operator.json("deliveries", "list", "msg_ab")] == [
        "acme",
        "home",
    ]


def test_what_is_done_to_several_is_told(operator: Operator, built: OutboxBuilder) -> None:
    """A replay by id reaches each endpoint where the reading died, and names them."""
    put(built, ALIKE[0], "acme", "home")
    put(built, ALIKE[1], "acme", "home")

    assert operator.says("dead-letters", "replay", ALIKE[0], "--endpoint", "home") == (
        "1 dead letter replayed\n"
    )
    assert operator.says("dead-letters", "discard", ALIKE[1]) == (
        "2 dead letters discarded (acme, home)\n"
    )


@pytest.mark.parametrize("command", ["dead-letters", "deliveries"])
def test_two_numbers_are_understood_and_not_printed(
    operator: Operator, built: OutboxBuilder, command: str
) -> None:
    """Whoever has noted an id of the version before finds the delivery by it, at its endpoint alone."""
    put(built, ALIKE[0], "acme", "home")

    shown = operator.says(command, "show", "1-2")

    assert shown.split()[:4] == ["id", ALIKE[0], "endpoint", "home"]
    assert "1-2" not in shown
    assert "1-1" not in operator.says(command, "list")


def test_many_whole_ids_are_found_at_once(operator: Operator, built: OutboxBuilder) -> None:
    """As a script gives them that has read a list."""
    built.dead_letters(1203, "acme")
    ids = [one["id"] for one in operator.json("dead-letters", "list")]

    assert operator.json("dead-letters", "discard", *ids[:1200]) == {"discarded": 1200}


@pytest.mark.parametrize("command", ["dead-letters", "deliveries", "quarantine"])
def test_what_is_no_device_is_said(operator: Operator, built: OutboxBuilder, command: str) -> None:
    """A MAC that nothing came from gives an empty list; a word that is nobody's name is a mistake."""
    built.delivery("acme", "dead", device="kitchen")

    assert operator.run(command, "list", "--device", "zurich").exception.exit_code == 2  # type: ignore[union-attr] # it is a ForwarderError
    assert "'zurich' is not a device: expected a MAC" in operator.fails(
        command, "list", "--device", "zurich"
    )
    assert operator.json(command, "list", "--device", "ECC9FF5C0000") == []
    assert len(operator.json(command, "list", "--device", "kitchen")) == (command != "quarantine")
