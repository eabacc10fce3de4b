"""Whoever operates the service is told of an outage once, and of its end once, whatever happens to the process."""

from collections.abc import Callable
from typing import Any

from support.line import Line
from support.receiver import OK as OK_BYTES
from support.receiver import answering, receiving
from support.webhooks import OK, UNAVAILABLE, Answer, Post, Webhooks


def told(operator: Webhooks) -> list[tuple[str, str]]:
    """Type and endpoint of each event, each id once."""
    events = {post.webhook_id: post.event for post in operator.accepted}
    return [(one["type"], one["data"]["endpoint"]) for one in events.values()]


async def name_operator(line: Line, **settings: Any) -> Webhooks:
    operator = await line.receiver("operator", **settings)
    given = line.endpoints.pop("operator")
    del given["devices"]
    line.routes["operator"] = given
    return operator


def broken_while(is_broken: Callable[[], bool]) -> Callable[[Post], Answer]:
    return lambda _: UNAVAILABLE if is_broken() else OK


async def test_an_outage_over_two_kills_is_told_once(line: Line) -> None:
    """
    The endpoint fails before the first kill and is well after the last; the operator's own endpoint fails too.

    One failing and one recovered arrive, signed, and nothing else does.
    """
    is_broken = True
    await line.receiver("acme", broken_while(lambda: is_broken))
    operator = await name_operator(line)
    operator.policy = broken_while(lambda: len(operator.posts) % 3 == 1)
    await line.start()
    await line.publish(20)
    await operator.until(lambda _: told(operator) == [("endpoint.failing", "acme")])
    await line.service.kill()
    await line.service.start_ready()
    await line.publish(20)
    await line.service.kill()
    is_broken = False
    await line.service.start_ready()

    pair = [("endpoint.failing", "acme"), ("endpoint.recovered", "acme")]
    await operator.until(lambda _: told(operator) == pair)
    await line.service.settled("acme", lambda totals: totals.pending == 0)
    await line.service.settled("operator", lambda totals: totals.delivered == 2)
    status = await line.service.status()
    assert status["endpoints"]["operator"]["enqueued"] == 2
    assert operator.forged == []


async def test_an_edit_that_is_rejected_is_told_to_a_chat(line: Line) -> None:
    await line.receiver("acme")
    operator = await name_operator(line, format="text")
    await line.start()
    line.routes_file.write_text(line.routes_text().replace("acme:", "acme: [", 1))
    await operator.until_posts(1)

    (post,) = operator.posts
    assert post.event["text"].startswith("an edit of the routes has 1 problem, the first at ")


async def test_heartbeat_url_is_called_while_ready_and_never_told(line: Line) -> None:
    """From a file, as container secrets are; its URL stands nowhere in what the service says."""
    async with receiving(answering(OK_BYTES)) as watcher:
        secret = line.folder / "heartbeat"
        secret.write_text(f"{watcher.url}/hunter2-of-nobody\n")
        line.secrets.add("hunter2-of-nobody")
        line.service.settings["FORWARDER_HEARTBEAT_URL_FILE"] = str(secret)
        await line.receiver("acme")
        await line.start()
        await watcher.until(lambda it: len(it.requests) == 1)
        assert watcher.requests[0].line.split() == ["GET", "/hook/hunter2-of-nobody", "HTTP/1.1"]
