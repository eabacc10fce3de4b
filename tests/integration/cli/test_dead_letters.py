"""`forwarder dead-letters` as people and programs meet it."""

import json

import pytest
from support.outbox_builder import BERN, OutboxBuilder, attempt, seconds_ago
from support.shell import Operator

FIELDS = {
    "id", "endpoint", "device", "webhook_id", "reason", "attempts", "last_status", "last_error",
    "enqueued_at", "died_at",
}  # fmt: skip


def test_list_for_programs(operator: Operator, built: OutboxBuilder) -> None:
    """Each dead letter is an object of exactly the documented members; instants are RFC 3339."""
    built.delivery("acme", "dead", attempts=(attempt(1), attempt(2)))

    (letter,) = operator.json("dead-letters", "list")

    assert set(letter) == FIELDS
    assert letter["id"] == letter["webhook_id"] == built.id_of(1)
    assert (letter["reason"], letter["attempts"], letter["last_status"]) == ("refused", 2, 400)
    assert letter["enqueued_at"] == "2025-11-18T10:00:00Z"
    assert letter["died_at"] == "2025-11-18T10:01:00Z"


def test_list_of_nothing(operator: Operator, built: OutboxBuilder) -> None:
    """An empty list is a list for programs, and a sentence for people."""
    built.delivery("acme", "delivered")

    assert operator.json("dead-letters", "list") == []
    assert operator.says("dead-letters", "list") == "no dead letters\n"


@pytest.mark.parametrize(
    ("arguments", "numbers"),
    [
        pytest.param(["--device", "ec:c9:ff:5c:7f:14"], [2], id="a MAC in another spelling"),
        pytest.param(["--since", "90m"], [2, 3], id="a duration before now"),
        pytest.param(["--until", "2025-11-19T00:00:00+01:00"], [1], id="an instant"),
        pytest.param(["--endpoint", "home", "--reason", "refused"], [3], id="two filters"),
        pytest.param(["--limit", "2"], [1, 2], id="the first of them"),
        pytest.param(["{3}", "{1}"], [1, 3], id="ids, in the list's order"),
    ],
)
def test_filters(
    operator: Operator, built: OutboxBuilder, arguments: list[str], numbers: list[int]
) -> None:
    """Filters and ids narrow the list down."""
    built.delivery("acme", "dead")
    built.delivery("acme", "dead", device=BERN, settled_at=seconds_ago(3600))
    built.delivery("home", "dead", settled_at=seconds_ago(60))

    ids = ["", *map(built.id_of, (1, 2, 3))]
    listed = operator.json("dead-letters", "list", *(one.format(*ids) for one in arguments))

    assert built.numbers(listed) == numbers


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["list", "--since", "yesterday"], "write it as 2025-11-18T10:17:40Z, or as 2h"),
        (["list", "--since", "2025-11-18T10:17:40"], "is no instant"),
        (["list", "--endpoint", "acne"], "there is no endpoint 'acne'; did you mean \"acme\"?"),
        (["show", "4711"], "is not the id of a delivery; they look like msg_846ae5c0b3…, and a"),
        (["show", "msg_"], "is not the id of a delivery"),
        (["show", "msg_846ae5"], "there is no dead letter msg_846ae5; it was never made"),
        (["show", "{1}", "--endpoint", "home"], "is not owed to 'home'; it is to: acme"),
        (["show", "{2}"], "it is delivered; see: forwarder deliveries show {2}"),
        (["replay"], "say which dead letters you mean"),
        (["discard"], "say which dead letters you mean"),
        (["replay", "{1}", "{2}"], "{2} is not a dead letter, it is delivered"),
        (["discard", "{1}", "{0}"], "there is no dead letter {0}"),
        (["replay", "--all", "--to", "hom"], 'did you mean "home"?'),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    operator: Operator, built: OutboxBuilder, arguments: list[str], complaint: str
) -> None:
    """A wrong argument changes nothing and says what to write instead."""
    built.delivery("acme", "dead")
    built.delivery("acme", "delivered")

    ids = ["msg_" + "0" * 32, *map(built.id_of, (1, 2))]
    sentence = operator.fails("dead-letters", *(one.format(*ids) for one in arguments))

    assert complaint.format(*ids) in sentence
    assert "\n" not in sentence
    assert built.accounts("acme")["dead"] == 1


def test_show_escapes_what_a_receiver_answered(operator: Operator, built: OutboxBuilder) -> None:
    """Nothing that a receiver answers can move the cursor, set a colour or forge a line."""
    hostile = b"\x1b[2Jgone\nstate  delivered [bold]\x9b31m\xff"
    built.delivery("acme", "dead", attempts=(attempt(1, answer=hostile),))

    shown = operator.says("dead-letters", "show", built.id_of(1))

    assert "\x1b" not in shown
    assert "\x9b" not in shown
    assert r"\x1b[2Jgone\nstate  delivered [bold]" in shown


def test_show_for_programs_keeps_the_digits(operator: Operator, built: OutboxBuilder) -> None:
    """The reading's numbers are written with the digits that will be sent."""
    built.delivery("acme", "dead", attempts=(attempt(1), attempt(2)))

    written = operator.says("dead-letters", "show", built.id_of(1), "--json")

    assert '"active_power_import_kw":7.8490' in written
    assert [one["number"] for one in json.loads(written)["history"]] == [1, 2]


def test_export_is_a_line_each(operator: Operator, built: OutboxBuilder) -> None:
    """An export holds everything that it takes to deliver the readings some other way."""
    built.delivery("acme", "dead")
    built.delivery("home", "dead")

    lines = operator.says("dead-letters", "export", "--all").splitlines()

    assert [json.loads(line)["endpoint"] for line in lines] == ["acme", "home"]
    assert '"data": {"id":"msg_' in lines[0]


def test_replay_and_discard_say_how_many(operator: Operator, built: OutboxBuilder) -> None:
    """Both tell what they did, to people and to programs."""
    for _ in range(4):
        built.delivery("acme", "dead")

    said = operator.says("dead-letters", "replay", built.id_of(1))
    assert said == "1 dead letter replayed\n"
    assert operator.json("dead-letters", "replay", "--limit", "1", "--to", "home") == {
        "replayed": 1,
        "already_there": 0,
    }
    assert (
        operator.says("dead-letters", "discard", "--all", "--yes") == "2 dead letters discarded\n"
    )


def test_replay_to_nowhere_is_refused(operator: Operator, built: OutboxBuilder) -> None:
    """What is owed to an endpoint that routes.yaml no longer names would only die again."""
    built.delivery("gone", "dead")

    assert "routes.yaml no longer has the endpoint gone" in operator.fails(
        "dead-letters", "replay", "--all"
    )
    assert built.accounts("gone")["dead"] == 1


def test_notices_and_readings_are_not_replayed_to_each_other(
    operator: Operator, built: OutboxBuilder
) -> None:
    """A partner gets nothing about the service, nor a chat readings."""
    built.delivery("acme", "dead")
    built.delivery("operator", "dead")
    operator.write_routes(
        'endpoints: {acme: {url: "https://a.example", secret: "env:K", devices: "*"}}\n'
        'operator: {url: "https://o.example", secret: "env:K"}'
    )

    for ours, to in (("acme", "operator"), ("operator", "acme")):
        said = operator.fails("dead-letters", "replay", "--endpoint", ours, "--to", to)
        assert "operator gets notices about the service and the other endpoints readings" in said
    replayed = operator.says("dead-letters", "replay", "--endpoint", "operator")
    assert replayed == "1 dead letter replayed\n"


def test_replay_works_without_readable_routes(operator: Operator, built: OutboxBuilder) -> None:
    """A broken routing file does not keep an operator from replaying."""
    built.delivery("gone", "dead")
    operator.write_routes("endpoints: [")

    assert operator.says("dead-letters", "replay", "--all") == "1 dead letter replayed\n"


def test_long_list_says_what_it_leaves_out(operator: Operator, built: OutboxBuilder) -> None:
    """People see the first hundred, and how many there are; programs see all."""
    built.dead_letters(1203, "acme")

    shown = operator.says("dead-letters", "list")

    assert shown.endswith("100 of 1,203 dead letters; --limit N or --all shows more\n")
    assert len(operator.json("dead-letters", "list")) == 1203


@pytest.mark.parametrize("columns", [60, 80, 100])
def test_list_fits_a_terminal(operator: Operator, built: OutboxBuilder, columns: int) -> None:
    """Whatever the names are: an id stands on one line, and names longer than the terminal are folded, not cut."""
    operator.environment["COLUMNS"] = str(columns)
    name = "an-endpoint-with-a-name-of-nearly-sixty-three-characters-1234"
    identity = built.delivery(name, "dead", device="x" * 120, settled_at=seconds_ago(60))

    lines = operator.says("dead-letters", "list").splitlines()

    assert max(map(len, lines)) <= columns
    assert lines[1].startswith(identity)
