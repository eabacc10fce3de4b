"""The commands as an operator runs them: processes of their own, beside the real service."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.line import Line, a_line, assert_balanced
from support.webhooks import OK, Answer, Webhooks


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[Line]:
    async with a_line(tmp_path) as line:
        yield line


async def _run(line: Line, *arguments: str) -> str:
    finished = await line.service.command(*arguments)
    assert finished.exit_code == 0, finished.stderr
    return finished.stdout


async def _refusing(line: Line, count: int) -> Webhooks:
    """A receiver that has refused so many readings."""
    acme = await line.receiver("acme", lambda _: Answer(400))
    await line.start()
    await line.publish(count)
    await line.service.settled("acme", lambda totals: totals.dead == count)
    return acme


async def test_replay_is_delivered_within_a_second_or_so(line: Line) -> None:
    """Once the receiver is mended, an operator's replay reaches it, in order, and the accounts agree."""
    acme = await _refusing(line, 20)
    letters = json.loads(await _run(line, "dead-letters", "list", "--json"))
    assert {(one["reason"], one["last_error"]) for one in letters} == {("refused", "http_400")}

    acme.policy = lambda _: OK
    assert await _run(line, "dead-letters", "replay", "--all") == "20 dead letters replayed\n"
    await line.service.settled("acme", lambda totals: totals.delivered == 20)

    assert acme.devices == line.fleet.issued
    assert_balanced(await line.service.status())
    assert "sound" in await _run(line, "outbox", "check")


async def test_paused_endpoint_gets_nothing_until_it_is_resumed(line: Line) -> None:
    """A pause holds through a restart of the service; what came in meanwhile is delivered after it."""
    acme = await line.receiver("acme")
    await line.start()
    await line.publish(1)
    await line.service.settled("acme", lambda totals: totals.delivered == 1)

    await _run(line, "endpoints", "pause", "acme")
    await line.service.stop()
    await line.service.start_ready()
    await line.publish(5)
    await line.service.counted("accepted", 6)
    assert (await line.service.status())["endpoints"]["acme"]["state"] == "paused"
    assert len(acme.posts) == 1

    await _run(line, "endpoints", "resume", "acme")
    await line.service.settled("acme", lambda totals: totals.delivered == 6)


async def test_purge_beside_the_service(line: Line) -> None:
    """The service goes on with every other device, and nothing in the data directory names the purged one."""
    await _refusing(line, 20)
    purged, *others = line.fleet.devices

    assert "erased 2 deliveries" in await _run(line, "purge", "--device", purged, "--yes")

    files = [path for path in line.service.outbox.parent.iterdir() if path.is_file()]
    assert [path.name for path in files if purged.encode() in path.read_bytes()] == []
    await line.publish(1, device=others[0])
    await line.service.settled("acme", lambda totals: totals.dead == 21)
    assert "sound" in await _run(line, "outbox", "check")


async def test_status_of_the_running_service(line: Line) -> None:
    """The session's state comes from the service itself; the totals agree with what the receiver saw."""
    acme = await line.receiver("acme")
    await line.start()
    await line.publish(7)
    await line.service.settled("acme", lambda totals: totals.delivered == 7)

    said = await line.service.status()

    assert said["ready"]
    assert said["mqtt"]["subscribed"]
    assert said["messages"]["accepted"] == 7
    assert said["endpoints"]["acme"]["delivered"] == len(acme.posts) == 7
    assert said["endpoints"]["acme"]["state"] == "closed"
