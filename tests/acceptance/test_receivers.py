"""What a receiver's answer does: to its reading, to its device, to its endpoint, and never to another one."""

import asyncio

from support.line import Line, assert_balanced, assert_told_once_in_order
from support.ports import free_port
from support.receiver_policies import always, never, refusing, unreliable
from support.webhooks import OK, UNAVAILABLE, Answer, Webhooks


async def test_a_dead_and_a_hanging_endpoint_delay_no_other(line: Line) -> None:
    """The third gets everything before the others have got anything; later they get everything too."""
    well, hanging = (
        await line.receiver("well"),
        await line.receiver("hanging", never(), timeout="1s"),
    )
    dead = Webhooks("dead", port=free_port())
    line.name_endpoint(dead)
    await line.start()
    await line.publish(200)
    await well.until_count(200)
    await hanging.until_posts(1)
    assert (hanging.count, dead.count) == (0, 0)
    hanging.policy = always(OK)
    await line.listen(dead)
    for webhooks in (well, hanging, dead):
        await webhooks.until_count(200)
        assert_told_once_in_order(webhooks, line.fleet.issued)
    assert_balanced(await line.service.status())


async def test_a_refused_reading_dies_alone(line: Line) -> None:
    """A reading answered 400 becomes a dead letter at its first attempt, and its device goes on."""
    webhooks = await line.receiver("acme", refusing(2, Answer(400)))
    await line.start()
    (device,) = line.fleet.devices[:1]
    await line.publish(4, device=device)
    await webhooks.until_count(3)
    assert [(post.number, post.attempt) for post in webhooks.posts] == [
        (1, 1),
        (2, 1),
        (3, 1),
        (4, 1),
    ]
    totals = await line.service.settled("acme", lambda totals: totals.delivered == 3)
    assert (totals.dead, totals.pending) == (1, 0)


async def test_an_endpoint_that_is_gone_pauses_until_its_url_changes(line: Line) -> None:
    """After 410 nothing is sent, not even after a restart; at a new URL everything arrives."""
    gone = await line.receiver("acme", always(Answer(410)), max_concurrency=1)
    await line.start()
    await line.publish(5)
    await line.service.settled("acme", lambda totals: totals.health.paused_by == "gone")
    await line.service.kill()
    await line.service.start_ready()
    await line.publish(5)
    await line.service.settled("acme", lambda totals: totals.pending == 10)
    assert len(gone.posts) == 1
    moved = await line.receiver("acme")
    line.write_routes()
    await moved.until_count(10)
    assert_told_once_in_order(moved, line.fleet.issued)


async def test_operators_resume_an_endpoint_that_is_gone(line: Line) -> None:
    """`endpoints resume` ends the pause after a 410, while the service runs."""
    webhooks = await line.receiver("acme", always(Answer(410)))
    await line.start()
    await line.publish(3)
    await line.service.settled("acme", lambda totals: totals.health.paused_by == "gone")
    webhooks.policy = always(OK)
    assert (await line.service.command("endpoints", "resume", "acme")).exit_code == 0
    await webhooks.until_count(3)


async def test_a_reading_that_is_never_taken_ends_by_rule(line: Line) -> None:
    """Too old or tried too often: a dead letter; in `latest`, too old: dropped, and counted as expired."""
    await line.receiver("old", always(UNAVAILABLE), max_age="300ms")
    await line.receiver("stale", always(UNAVAILABLE), max_age="300ms", mode="latest")
    retry = {"initial": "10ms", "max": "10ms", "max_attempts": 3}
    tried = await line.receiver("tried", always(UNAVAILABLE), retry=retry)
    await line.start()
    await line.publish(1)
    for name, outcome in (("old", "dead"), ("stale", "expired"), ("tried", "dead")):
        await line.service.settled(name, lambda totals: getattr(totals, outcome) == 1)  # noqa: B023
    assert [post.attempt for post in tried.posts] == [1, 2, 3]
    await line.service.logged("delivery.buried", endpoint="old", reason="expired")
    await line.service.logged("delivery.buried", endpoint="tried", reason="exhausted")


async def test_a_batched_endpoint_gets_several_readings_in_a_post(line: Line) -> None:
    """At most `max_events` each, in order per device, through every failure, each reading once."""
    batch = {"max_events": 5, "max_wait": "50ms"}
    webhooks = await line.receiver("acme", unreliable(13), batch=batch)
    await line.start()
    await line.publish(53)
    await webhooks.until_count(53)
    assert_told_once_in_order(webhooks, line.fleet.issued)
    assert {post.event["type"] for post in webhooks.posts} == {"meter.readings"}
    assert max(len(post.data) for post in webhooks.posts) == 5


async def test_a_newer_reading_takes_the_place_of_a_pending_one(line: Line) -> None:
    """In `latest`, of what comes while an attempt is in flight, and fails, only the newest is sent."""
    release = asyncio.Event()
    webhooks = await line.receiver("home", always(Answer(503, after=release)), mode="latest")
    await line.start()
    (device,) = line.fleet.devices[:1]
    await line.publish(1, device=device)
    await webhooks.until_posts(1)
    await line.publish(4, device=device)
    await line.service.settled("home", lambda totals: totals.superseded == 3)
    webhooks.policy = always(OK)
    release.set()
    await webhooks.until_count(1)
    assert [post.number for post in webhooks.posts] == [1, 5]
    totals = await line.service.settled("home", lambda totals: totals.delivered == 1)
    assert (totals.superseded, totals.pending) == (4, 0)
