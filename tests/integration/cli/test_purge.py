"""`forwarder purge` as people meet it."""

from support.outbox_builder import BERN, NOW, ZURICH, OutboxBuilder
from support.shell import Operator

from forwarder.notice import DeviceSilent, DevicesSilent, Notice
from forwarder.notices.wording import new_notice
from forwarder.outbox.sql.putting import put


def test_purge_in_any_spelling(operator: Operator, built: OutboxBuilder) -> None:
    """It says how much it erased, and who would still be sent what the device reports from now on."""
    built.delivery("acme", "pending")
    built.delivery("acme", "dead")
    built.delivery("acme", "dead", device=BERN)
    built.quarantine()

    said = operator.says("purge", "--device", "ec:c9:ff:5c:7a:d4", "--yes").splitlines()

    assert said[0] == (
        "ECC9FF5C7AD4: erased 2 deliveries (1 of them pending, now counted as dead)"
        " and 1 message in quarantine"
    )
    assert said[1].startswith("routes.yaml still sends this device to acme, home:")
    assert built.rows("SELECT DISTINCT device FROM delivery") == [(BERN,)]


def test_copies_aside_are_named(operator: Operator, built: OutboxBuilder) -> None:
    """What was moved aside is for the operator to look into."""
    built.path.with_name("outbox.db.damaged-20251118T101740Z").touch()

    said = operator.says("purge", "--device", BERN, "--yes")

    assert "not looked into: data/outbox.db.damaged-20251118T101740Z" in said


def test_nothing_to_purge(operator: Operator, built: OutboxBuilder) -> None:
    """A device that the outbox does not know is no error: there is no trace of it."""
    said = operator.says("purge", "--device", "kitchen", "--yes")

    assert said.startswith("kitchen: erased 0 deliveries and 0 messages in quarantine\n")


def test_device_is_required(operator: Operator, built: OutboxBuilder) -> None:
    """Nobody purges by accident."""
    assert "--device" in operator.fails("purge")


def test_notices_that_name_the_device_are_erased(operator: Operator, built: OutboxBuilder) -> None:
    """Those about it alone, and those about several of which it is one; not those about others."""
    notices: list[Notice] = [
        DeviceSilent(ZURICH, NOW, 600.0),
        DevicesSilent(NOW, 2, (BERN, ZURICH)),
        DevicesSilent(NOW + 1, 1, (BERN,)),
    ]
    with built.store() as store:
        for notice in notices:
            row = new_notice(notice, at=NOW, endpoint="operator")
            put(store, row, now=NOW, content_since=0.0)

    said = operator.says("purge", "--device", ZURICH, "--yes")

    assert "erased 2 deliveries (2 of them pending" in said
    ((data,),) = built.rows("SELECT data FROM body")
    assert BERN.encode() in data
    assert (ZURICH,) not in built.rows("SELECT device FROM touched_lane")
    assert (built.accounts("operator")["enqueued"], built.accounts("operator")["dead"]) == (3, 2)
