"""`forwarder deliveries`: did that partner get it?"""

import json
from dataclasses import replace

import pytest
from support.outbox_builder import BERN, DECISIONS, OutboxBuilder, attempt, seconds_ago
from support.shell import Operator
from support.terminal import HOSTILE

from forwarder.delivery import Attempt
from forwarder.operator.objects import with_raw


def test_newest_first_in_every_state(operator: Operator, built: OutboxBuilder) -> None:
    """The list holds what was delivered and what is pending, dead ones too, the newest in front."""
    for state in ("delivered", "pending", "dead"):
        built.delivery("acme", state)

    listed = operator.json("deliveries", "list")

    assert [one["state"] for one in listed] == ["dead", "pending", "delivered"]
    assert built.numbers(listed) == [3, 2, 1]
    assert all(one["id"] == one["webhook_id"] for one in listed)


@pytest.mark.parametrize(
    ("arguments", "numbers"),
    [
        (["--state", "delivered"], [1]),
        (["--device", "EC-C9-FF-5C-7F-14"], [2]),
        (["--endpoint", "home"], [3]),
        (["--since", "1h"], [3]),
        (["--until", "1h", "--limit", "1"], [2]),
        (["{2}", "{1}"], [2, 1]),
    ],
)
def test_filters(
    operator: Operator, built: OutboxBuilder, arguments: list[str], numbers: list[int]
) -> None:
    """Filters narrow the list down; times are those at which the readings came in."""
    built.delivery("acme", "delivered")
    built.delivery("acme", "dead", device=BERN)
    built.delivery("home", "pending", at=seconds_ago(60))

    ids = ["", *map(built.id_of, (1, 2))]
    listed = operator.json("deliveries", "list", *(one.format(*ids) for one in arguments))

    assert built.numbers(listed) == numbers


def test_show_has_the_failures_and_the_success(operator: Operator, built: OutboxBuilder) -> None:
    """The history of a delivery ends with the attempt that succeeded."""
    number = built.reading("acme")
    attempts = (attempt(1, status=503, error="http_503"), Attempt(2, 1763460002.0, 31.0, 204, ""))
    built.settle(number, "acme", DECISIONS["delivered"], attempts=attempts)

    shown = operator.json("deliveries", "show", built.id_of(number))

    results = [(one["number"], one["status"], one["error"]) for one in shown["history"]]
    assert results == [(1, 503, "http_503"), (2, 204, None)]
    assert shown["last_error"] is None
    assert shown["data"] is None


def test_show_says_which_address_each_attempt_dialled(
    operator: Operator, built: OutboxBuilder
) -> None:
    """Of those that failed and of the one that succeeded; null where nothing was dialled."""
    number = built.reading("acme")
    failed = [replace(attempt(1), address="192.0.2.7"), replace(attempt(2), address=None)]
    succeeded = Attempt(3, 1763460002.0, 31.0, 204, "", address="2001:db8::7")
    built.settle(number, "acme", DECISIONS["delivered"], attempts=(*failed, succeeded))

    shown = operator.json("deliveries", "show", built.id_of(number))

    dialled = [one["address"] for one in shown["history"]]
    assert dialled == ["192.0.2.7", None, "2001:db8::7"]
    assert "192.0.2.7" in operator.says("deliveries", "show", built.id_of(number))


def test_list_for_people(operator: Operator, built: OutboxBuilder) -> None:
    """A line tells the state and the last answer."""
    operator.environment["COLUMNS"] = "120"
    identity = built.delivery("acme", "delivered")

    (line,) = [one for one in operator.says("deliveries", "list").splitlines() if identity in one]

    assert line.split()[1:6] == ["acme", "ECC9FF5C7AD4", "delivered", "1", "204"]


@pytest.mark.parametrize("command", ["deliveries", "dead-letters"])
def test_people_read_an_answer_by_its_number(
    operator: Operator, built: OutboxBuilder, command: str
) -> None:
    """`503`, as it is `204`, in the list and in each attempt; programs read `http_503`."""
    operator.environment["COLUMNS"] = "120"
    number = built.reading("acme")
    identity = built.id_of(number)
    failures = (attempt(1, status=503, error="http_503"), attempt(2, error="timeout"))
    last = attempt(3, status=400, error="http_400")
    built.settle(number, "acme", DECISIONS["dead"], attempts=(*failures, last))

    said = operator.says(command, "list") + operator.says(command, "show", identity)

    assert "http_" not in said
    assert " 400 " in said.split(identity)[1].splitlines()[0]
    assert all(f" {result} " in said.split("Attempts")[1] for result in ("503", "timeout", "400"))
    assert operator.json(command, "list")[0]["last_error"] == "http_400"


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_programs_get_a_reading_whose_text_acts_on_no_terminal(text: str) -> None:
    """JSON is looked at by people too; it means the same to a program, digit by digit."""
    raw = json.dumps({"a": text.encode(errors="replace").decode()}, ensure_ascii=False)
    shown = with_raw({"id": 1}, "data", raw[:-1].encode() + b',"b":7.8490}')
    assert shown.isprintable()
    assert json.loads(shown)["data"]["a"] == json.loads(raw)["a"]
    assert shown.endswith("7.8490}}")
