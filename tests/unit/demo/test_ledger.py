from collections.abc import Callable

import pytest

from forwarder.demo.ledger import Ledger, account
from forwarder.demo.listener import Received
from forwarder.demo.scene import Recipient
from forwarder.demo.simulator import Publication

Publish = Callable[[str, str], Publication]
Receive = Callable[..., Received]


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def published(ledger: Ledger, publish: Publish) -> list[Publication]:
    """Two readings of A, one of B, and one of a device that the recipient does not want."""
    publications = [publish(*one) for one in (("A", "1"), ("B", "1"), ("A", "2"), ("C", "1"))]
    for publication in publications:
        ledger.enter(publication)
    return publications


def test_complete_account_has_no_problems(
    ledger: Ledger, published: list[Publication], recipient: Recipient, receive: Receive
) -> None:
    """Everything owed arrived once, verified, in order; a device's order does not bind another device."""
    for index in (1, 0, 2):
        receive(published[index])
    settled = account(ledger, recipient)
    assert (settled.owed, settled.arrived, settled.verified, settled.problems) == (3, 3, 3, ())
    assert ledger.is_complete_for(recipient)


def test_retry_and_repeat_are_counted_not_blamed(
    ledger: Ledger, published: list[Publication], recipient: Recipient, receive: Receive
) -> None:
    """Delivery is at least once: a second arrival is a duplicate, a second attempt a retry, neither a fault."""
    receive(published[0], status=503)
    receive(published[0], attempt=2)
    receive(published[0], attempt=3)
    for publication in published[1:3]:
        receive(publication)
    settled = account(ledger, recipient)
    assert (settled.retries, settled.duplicates, settled.problems) == (2, 1, ())


def test_missing_reading_is_named(
    ledger: Ledger, published: list[Publication], recipient: Recipient, receive: Receive
) -> None:
    """A reading that was only ever answered 503 has not arrived."""
    receive(published[0])
    receive(published[1])
    receive(published[2], status=503)
    (problem,) = account(ledger, recipient).problems
    assert problem.startswith("1 missing: msg_")
    assert problem.endswith(" of A")
    assert not ledger.is_complete_for(recipient)


def test_unverified_request_is_a_problem(
    ledger: Ledger, published: list[Publication], recipient: Recipient, receive: Receive
) -> None:
    """One wrong signature among the right ones is enough, even if it came again with a right one."""
    receive(published[0], status=401, verified=False)
    for publication in published[:3]:
        receive(publication)
    assert account(ledger, recipient).problems == (
        "1 request not verified: no signature fits: it was made with another secret, or over other bytes than these",
    )


def test_reading_of_another_device_is_a_problem(
    ledger: Ledger, published: list[Publication], recipient: Recipient, receive: Receive
) -> None:
    """Meter data at a recipient that has no right to it is the worst that can happen."""
    for publication in published:
        receive(publication)
    (problem,) = account(ledger, recipient).problems
    assert problem.startswith("1 not owed to it: msg_")


def test_order_of_a_device_matters(
    ledger: Ledger, published: list[Publication], recipient: Recipient, receive: Receive
) -> None:
    """The second reading of A before its first is out of order."""
    for index in (2, 0, 1):
        receive(published[index])
    assert account(ledger, recipient).problems == ("out of order: A",)


def test_replayed_reading_may_come_late(
    ledger: Ledger, published: list[Publication], recipient: Recipient, receive: Receive
) -> None:
    """A replay may arrive after later readings; the others keep their order."""
    receive(published[0], status=400)
    for index in (2, 1, 0):
        replayed = receive(published[index])
    assert account(ledger, recipient, replayed=frozenset([replayed.webhook_id])).problems == ()
