"""kill -9 at any moment loses nothing, invents nothing, and changes no webhook-id."""

import random

from support.line import Line, assert_balanced, assert_told_once_in_order
from support.receiver_policies import unreliable


async def test_everything_arrives_once_in_order_after_a_kill(line: Line) -> None:
    """Killed in the middle of 500 messages to a flaky receiver, it delivers each of them once by webhook-id."""
    webhooks = await line.receiver("acme", unreliable(1))
    await line.start()
    await line.publish(250)
    await webhooks.until_count(100)
    await line.service.kill()
    await line.publish(250)
    await line.service.start_ready()
    await webhooks.until_count(500)
    assert_told_once_in_order(webhooks, line.fleet.issued)
    assert len(webhooks.posts) > 500, "nothing failed: the run was too quiet to prove anything"
    await line.service.settled("acme", lambda totals: totals.delivered == 500)
    assert_balanced(await line.service.status())


async def test_no_moment_is_a_bad_one_to_be_killed(line: Line) -> None:
    """Killed again and again while messages flow, also while it starts, it delivers each of them under one id."""
    dice = random.Random(7)
    webhooks = await line.receiver("acme", unreliable(7))
    await line.start()
    async with line.flowing():
        for _ in range(2):
            await webhooks.until_posts(len(webhooks.posts) + dice.randrange(5, 80))
            await line.service.kill()
            await line.service.start()
        await line.service.logged("service.started", after=len(line.service.events))
        await line.service.kill()
        await line.service.start_ready()
    await webhooks.until_count(line.fleet.count)
    assert_told_once_in_order(webhooks, line.fleet.issued)
    await line.service.settled("acme", lambda totals: totals.delivered == line.fleet.count)
