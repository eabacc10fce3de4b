"""What the judge of the chaos suite makes of an endpoint that comes and goes."""

import pytest

from chaos.judge import Evidence, judge
from chaos.oracle import Oracle
from chaos.receiver import Receiver


@pytest.fixture
def oracle() -> Oracle:
    """Three readings, each of them owed."""
    oracle = Oracle()
    for _ in range(3):
        oracle.take(oracle.issue().number)
    return oracle


def findings(oracle: Oracle, *, enqueued: int, delivered: int, is_guest: bool = True) -> list[str]:
    """Of a receiver that has taken the first readings, as many as `delivered` says."""
    receiver = Receiver("guest", is_guest=is_guest)
    receiver.accepted = dict.fromkeys(range(1, delivered + 1))
    totals = {"enqueued": enqueued, "delivered": enqueued, "dead": 0, "expired": 0}
    evidence = Evidence(endpoints={"guest": totals | {"superseded": 0, "pending": 0}})
    return judge(oracle, [receiver], evidence).findings


def test_a_guest_is_owed_what_was_enqueued_for_it(oracle: Oracle) -> None:
    """What came while its endpoint was away is no loss."""
    assert findings(oracle, enqueued=2, delivered=2) == []


def test_a_guest_misses_what_was_enqueued_and_never_came(oracle: Oracle) -> None:
    """What was enqueued for it, and neither came nor died, is found."""
    assert "enqueued 3, and 2 taken or dead" in str(findings(oracle, enqueued=3, delivered=2))


def test_who_stays_is_owed_everything(oracle: Oracle) -> None:
    """Nobody else is excused like a guest."""
    assert "1 readings are lost: 3" in str(
        findings(oracle, enqueued=2, delivered=2, is_guest=False)
    )
