"""What becomes of messages that cannot be understood, that nobody wants, or for which there is no room."""

from support.line import Line, assert_balanced, assert_told_once_in_order, topic_of
from support.receiver_policies import always
from support.webhooks import OK, UNAVAILABLE

MORE_THAN_THE_BROKER_HANDS_OUT = 30
"""mosquitto stops at 20 unacknowledged messages."""


async def test_garbage_and_strangers_hold_nothing_up(line: Line) -> None:
    """What cannot be understood is kept in quarantine, what nobody wants is counted; both are acknowledged."""
    wanted, stranger = line.fleet.devices[:2]
    webhooks = await line.receiver("acme", devices=[wanted])
    await line.start()
    many = MORE_THAN_THE_BROKER_HANDS_OUT
    await line.publish_messages([(topic_of(wanted), b"\x00garbage")] * many)
    await line.publish(many, device=stranger)
    await line.publish(1, device=wanted)
    await webhooks.until_count(1)
    assert list(webhooks.devices) == [wanted]
    await line.service.counted("unrouted", many)
    status = await line.service.status()
    assert status["messages"]["quarantined"] == status["quarantine"] == many
    metrics = await line.service.ask("/metrics")
    assert metrics is not None
    assert f'forwarder_messages_total{{outcome="unrouted"}} {many}.0' in metrics.text


async def test_endpoint_is_spared_what_comes_within_its_interval(line: Line) -> None:
    """It gets the first reading of each device, also across a kill; the others are counted and in no account."""
    one, two = line.fleet.devices[:2]
    thinned = await line.receiver("thinned", min_interval="1h")
    every = await line.receiver("every")
    await line.start()
    for device in (one, two):
        await line.publish(5, device=device)
    await every.until_count(10)
    await thinned.until_count(2)
    metrics = await line.service.ask("/metrics")
    assert metrics is not None
    assert 'forwarder_messages_thinned_total{endpoint="thinned"} 8.0' in metrics.text
    await line.service.kill()
    await line.service.start_ready()
    await line.publish(3, device=one)
    await every.until_count(13)
    status = await line.service.status()
    assert_balanced(status)
    assert status["endpoints"]["thinned"]["enqueued"] == thinned.count == 2


async def test_last_reading_of_an_interval_survives_a_kill(line: Line) -> None:
    """Killed while it waits for the end of its interval, it is sent then, alone; the next interval has its own."""
    device = line.fleet.devices[0]
    last = await line.receiver("last", min_interval={"every": "5s", "keep": "last"})
    every = await line.receiver("every")
    await line.start()
    await line.publish(5, device=device)
    await every.until_count(5)
    await line.service.kill()
    assert last.count == 0
    await line.service.start_ready()
    await last.until_count(1)
    await line.publish(3, device=device)
    await last.until_count(2)
    issued = line.fleet.issued[device]
    assert last.devices[device] == [issued[4], issued[7]]
    status = await line.service.status()
    assert_balanced(status)
    assert status["endpoints"]["last"]["enqueued"] == 2
    metrics = await line.service.ask("/metrics")
    assert metrics is not None
    assert 'forwarder_messages_thinned_total{endpoint="last"} 2.0' in metrics.text


async def test_commits_are_counted_once(line: Line) -> None:
    """The count of commits grows with what was committed, and not because somebody looks at it."""
    webhooks = await line.receiver("acme")
    await line.start()
    for count in range(1, 11):
        await line.publish(1)
        await webhooks.until_count(count)
    first, second = await commits_of(line), await commits_of(line)
    # The upkeep, which goes on meanwhile, commits now and then.
    assert 10 <= first <= second <= first + 3


async def commits_of(line: Line) -> float:
    metrics = await line.service.ask("/metrics")
    assert metrics is not None
    return float(metrics.text.split("\nforwarder_outbox_commits_total ")[1].split()[0])


async def test_a_full_outbox_leaves_messages_with_the_broker(line: Line) -> None:
    """At the size limit nothing is acknowledged, /readyz says why, a restart is no trouble; with room all arrives."""
    line.service.settings |= {
        "FORWARDER_OUTBOX_MAX_BYTES": "1MiB",
        "FORWARDER_DRAIN_TIMEOUT": "500ms",
    }
    webhooks = await line.receiver("acme", always(UNAVAILABLE))
    await line.start()
    await line.publish(100, padding="x" * 20_000)
    said = await line.service.readiness(lambda _, said: said["outbox"]["problem"])
    assert "FORWARDER_OUTBOX_MAX_BYTES" in said["outbox"]["problem"]
    assert not said["ready"]
    assert line.service.message_totals()["accepted"] < 100
    assert (await line.service.stop(), line.service.complaints) == (0, [])
    await line.service.start()
    webhooks.policy = always(OK)
    await webhooks.until_count(100)
    assert_told_once_in_order(webhooks, line.fleet.issued)
    await line.service.ready()
