"""What an operator's changes owe to the accounts, to the lanes and to each other, on every engine."""

from typing import Any

import pytest
from support.outbox_builder import BERN, DECISIONS, NOW, OutboxBuilder, attempt

from forwarder.delivery import Bury
from forwarder.errors import OperationError
from forwarder.operator import (
    choose_dead_letters,
    discard,
    replay,
    replay_to,
)
from forwarder.outbox import (
    Operation,
    Selection,
    exists,
    opened,
)
from forwarder.outbox.sql import access
from forwarder.settings import OutboxPlace

LATER = NOW + 5000


@pytest.fixture
def built(place: OutboxPlace) -> OutboxBuilder:
    return OutboxBuilder(place)


def _replay(built: OutboxBuilder, selection: Selection | None = None) -> int:
    with opened(built.place) as file:
        return replay(file, choose_dead_letters(file, selection or Selection()), now=LATER).replayed


def _touched(built: OutboxBuilder) -> list[tuple[int, str]]:
    return built.rows("SELECT endpoint, device FROM touched_lane ORDER BY endpoint, device")


def _balances(built: OutboxBuilder) -> bool:
    for (name,) in built.rows("SELECT name FROM endpoint"):
        accounts = built.accounts(name)
        enqueued = accounts.pop("enqueued")
        if enqueued != sum(accounts.values()):
            return False
    return True


def test_replay_makes_a_dead_letter_pending_as_if_new(built: OutboxBuilder) -> None:
    """A replayed dead letter has no attempts, no outcome, and an age that begins at the replay."""
    built.delivery("acme", "dead", attempts=(attempt(1), attempt(2)))

    assert _replay(built) == 1

    (row,) = built.rows(
        "SELECT state, reason, attempts, due_at, settled_at, age_from, last_error FROM delivery"
    )
    assert row == ("pending", None, 0, 0.0, None, LATER, None)
    assert built.rows("SELECT count(*) FROM attempt") == [(0,)]


def test_replay_counts_as_pending_again(built: OutboxBuilder) -> None:
    """A replayed dead letter is dead no more in its endpoint's totals; nothing was enqueued anew."""
    for state in ("dead", "dead", "delivered", "pending", "expired", "superseded"):
        built.delivery("acme", state)

    _replay(built, Selection(limit=1))

    assert built.accounts("acme") == {
        "enqueued": 6, "delivered": 1, "dead": 1, "expired": 1, "superseded": 1, "pending": 2,
    }  # fmt: skip


def test_replay_tells_the_service_which_lanes_to_read_again(built: OutboxBuilder) -> None:
    """Every lane in which something became pending is noted, once, in the same transaction."""
    for device in (BERN, BERN, "ECC9FF000001"):
        built.delivery("acme", "dead", device=device)
    built.delivery("home", "delivered", device=BERN)

    _replay(built)

    assert _touched(built) == [(1, "ECC9FF000001"), (1, BERN)]


@pytest.mark.parametrize(
    ("selection", "replayed"),
    [
        pytest.param(Selection(endpoint="home"), {"4-2"}, id="one endpoint"),
        pytest.param(Selection(device=BERN), {"2-1"}, id="one device"),
        pytest.param(Selection(reason="exhausted"), set(), id="a reason that none has"),
        pytest.param(Selection(since=NOW + 200), {"3-1"}, id="since includes its instant"),
        pytest.param(Selection(until=NOW + 200), {"1-1", "2-1", "4-2"}, id="until excludes it"),
        pytest.param(Selection(limit=2), {"1-1", "2-1"}, id="those that died first"),
        pytest.param(
            Selection(ids=((3, 1), (4, 2)), endpoint="acme"), {"3-1"}, id="ids and a filter"
        ),
    ],
)
def test_only_what_is_selected_is_replayed(
    built: OutboxBuilder, selection: Selection, replayed: set[str]
) -> None:
    """Filters and ids narrow together; everything else stays a dead letter."""
    built.delivery("acme", "dead", settled_at=NOW + 50)
    built.delivery("acme", "dead", settled_at=NOW + 60, device=BERN)
    built.delivery("acme", "dead", settled_at=NOW + 200)
    built.delivery("home", "dead", settled_at=NOW + 70)

    count = _replay(built, selection)

    rows = built.rows("SELECT reading || '-' || endpoint FROM delivery WHERE state = 'pending'")
    assert {row for (row,) in rows} == replayed
    assert count == len(replayed)


def test_a_long_replay_is_many_short_transactions(
    built: OutboxBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many are replayed, the file is never held for more than a chunk of them."""
    monkeypatch.setattr(access, "CHUNK", 50)
    built.dead_letters(101, "acme")
    transactions: list[int] = []

    with opened(built.place) as file:
        operate = file.operate

        def counted(*operations: Operation[Any]) -> list[Any]:
            transactions.append(len(operations))
            return operate(*operations)

        file.operate = counted  # type: ignore[method-assign] # each call is a transaction
        replay(file, choose_dead_letters(file, Selection()), now=LATER)

    assert len(transactions) == 3
    assert built.accounts("acme")["pending"] == 101


def test_discard_erases_and_stays_counted(built: OutboxBuilder) -> None:
    """A discarded dead letter leaves nothing behind but its count."""
    built.delivery("acme", "dead")

    with opened(built.place) as file:
        assert discard(file, choose_dead_letters(file, Selection())) == 1

    for table in ("delivery", "reading", "body", "attempt"):
        assert built.rows(f"SELECT count(*) FROM {table}") == [(0,)], table
    assert built.accounts("acme") == {
        "enqueued": 1, "delivered": 0, "dead": 1, "expired": 0, "superseded": 0, "pending": 0,
    }  # fmt: skip


def test_discard_keeps_the_body_that_another_endpoint_still_needs(built: OutboxBuilder) -> None:
    """A reading that is pending elsewhere keeps its data when its dead letter is discarded."""
    number = built.reading("acme", "home")
    built.settle(number, "acme", _dead())

    with opened(built.place) as file:
        discard(file, choose_dead_letters(file, Selection()))

    assert built.rows("SELECT reading FROM body") == [(number,)]
    assert built.rows("SELECT state, endpoint FROM delivery") == [("pending", 2)]


def _dead() -> Bury:
    return Bury("refused")


def _replay_to(built: OutboxBuilder, name: str) -> tuple[int, int]:
    with opened(built.place) as file:
        chosen = choose_dead_letters(file, Selection(endpoint="acme"))
        outcome = replay_to(file, chosen, endpoint=name, now=LATER)
    return outcome.replayed, outcome.already_there


def test_replay_to_moves_a_dead_letter(built: OutboxBuilder) -> None:
    """Elsewhere it is enqueued; where it died it stays counted as dead, and its row is gone."""
    built.delivery("acme", "dead")

    assert _replay_to(built, "archive") == (1, 0)

    assert built.rows("SELECT endpoint, state, age_from FROM delivery") == [(2, "pending", LATER)]
    assert built.accounts("acme")["dead"] == 1
    assert built.accounts("archive")["enqueued"] == 1
    assert _balances(built)
    assert _touched(built) == [(2, "ECC9FF5C7AD4")]


@pytest.mark.parametrize(
    ("there", "outcome", "left"),
    [
        pytest.param("pending", (0, 1), ["dead", "pending"], id="on its way there already"),
        pytest.param("delivered", (0, 1), ["dead", "delivered"], id="there already"),
        pytest.param("dead", (1, 0), ["pending"], id="dead there too: replayed there"),
        pytest.param("expired", (1, 0), ["pending"], id="dropped there: sent after all"),
        pytest.param("superseded", (1, 0), ["pending"], id="overtaken there: sent after all"),
    ],
)
def test_replay_to_an_endpoint_that_knows_the_reading(
    built: OutboxBuilder, there: str, outcome: tuple[int, int], left: list[str]
) -> None:
    """A reading is never owed twice to one endpoint; one it has got is not sent again."""
    number = built.reading("acme", "home")
    built.settle(number, "acme", _dead())
    if there != "pending":
        built.settle(number, "home", DECISIONS[there])

    assert _replay_to(built, "home") == outcome

    assert built.rows("SELECT state FROM delivery ORDER BY endpoint") == [(one,) for one in left]
    assert _balances(built)


def test_replay_to_where_it_died_is_a_replay(built: OutboxBuilder) -> None:
    """Naming the endpoint at which it died changes nothing about a replay."""
    built.delivery("acme", "dead")

    assert _replay_to(built, "acme") == (1, 0)

    assert built.accounts("acme")["dead"] == 0
    assert built.accounts("acme")["pending"] == 1


def test_there_must_be_an_outbox(place: OutboxPlace) -> None:
    """A command never makes an outbox: one in the wrong place would look empty instead of missing."""
    for _ in range(2):
        with pytest.raises(
            OperationError, match=r"there is no outbox (at|in) .* yet; start the service once"
        ):
            opened(place).__enter__()
    assert not exists(place)
