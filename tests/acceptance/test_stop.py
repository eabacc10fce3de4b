"""SIGTERM and SIGINT end it in good order."""

import asyncio
import signal

from support.line import Line, assert_told_once_in_order
from support.receiver_policies import always, never, unreliable
from support.webhooks import OK, Answer

HASTE = {"FORWARDER_DRAIN_TIMEOUT": "500ms"}


async def test_it_stops_under_load_beside_a_receiver_that_hangs(line: Line) -> None:
    """It exits 0 once the drain time is over, whoever hangs; after a restart nothing is missing anywhere."""
    flaky, hanging = (
        await line.receiver("flaky", unreliable(3)),
        await line.receiver("hanging", never()),
    )
    line.service.settings |= HASTE
    await line.start()
    async with line.flowing():
        await flaky.until_count(50)
        await hanging.until_posts(5)
        assert await line.service.stop() == 0
    assert line.service.complaints == []
    hanging.policy = always(OK)
    await line.service.start_ready()
    for webhooks in (flaky, hanging):
        await webhooks.until_count(line.fleet.count)
        assert_told_once_in_order(webhooks, line.fleet.issued)


async def test_attempts_in_flight_are_waited_for_and_settled(line: Line) -> None:
    """What a receiver takes while the service drains, here after Ctrl-C, is delivered and not sent again."""
    release = asyncio.Event()
    webhooks = await line.receiver("acme", always(Answer(after=release)))
    await line.start()
    await line.publish(3)
    await webhooks.until_posts(3)
    line.service.send(signal.SIGINT)
    await line.service.logged("service.stopping", pending_attempts=3)
    release.set()
    assert await line.service.ended() == 0
    await line.service.settled("acme", lambda totals: totals.delivered == 3)


async def test_stop_needs_no_descriptor(line: Line) -> None:
    """Where no file can be opened any more, it ends in good order all the same, and the broker keeps its session."""
    webhooks = await line.receiver("acme")
    await line.start()
    await line.publish(5)
    await webhooks.until_count(5)
    line.service.leave_no_descriptor()
    assert await line.service.stop() == 0
    await line.service.logged("mqtt.stopped")
    assert line.service.complaints == []
    assert "Client whatwatt.integration.client.partner disconnected." in line.broker.log
