"""`forwarder devices` beside the running service: who reports, who does not, and who does again."""

import json
import sqlite3
from contextlib import closing
from typing import Any

from support.line import Line
from support.service import eventually


async def listed(line: Line, *options: str) -> dict[str, dict[str, Any]]:
    finished = await line.service.command("devices", *options, "--json")
    assert finished.exit_code == 0, finished.stderr
    return {one["device"]: one for one in json.loads(finished.stdout)}


async def test_devices_are_listed_within_a_moment(line: Line) -> None:
    """Whom somebody wants, whom nobody wants; a stop forgets neither."""
    wanted, stranger = line.fleet.devices[:2]
    webhooks = await line.receiver("acme", devices=[wanted])
    await line.start()
    await line.publish(3, device=wanted)
    await line.publish(1, device=stranger)
    await webhooks.until_count(3)

    async def both() -> dict[str, dict[str, Any]]:
        found = await listed(line)
        has_both = {wanted, stranger} <= found.keys() and found[wanted]["last_reading_at"]
        return found if has_both else {}

    found = await eventually(both, what="both devices")
    assert found[wanted]["endpoints"] == ["acme"]
    assert [*await listed(line, "--unrouted")] == [stranger]
    await line.service.stop()
    after = await listed(line)
    assert {wanted, stranger} <= after.keys()
    assert after[wanted]["first_heard_at"] == found[wanted]["first_heard_at"]


async def test_a_silent_device_that_reports_again_is_silent_no_more(line: Line) -> None:
    """As the outbox kept it over a restart; `devices --silent`, the page and the metric tell the same."""
    (device,) = line.fleet.devices[:1]
    webhooks = await line.receiver("acme", devices=[device])
    await line.start()
    await line.publish(6, device=device)
    await webhooks.until_count(6)
    await line.service.stop()
    with closing(sqlite3.connect(line.service.outbox)) as file, file:
        file.execute(
            "UPDATE device SET last_at = last_at - 3600, silent_since = last_at - 3600, sightings = 9,"
            " intervals = x'00002041'"
        )
    await line.service.start_ready()
    assert [*await listed(line, "--silent")] == [device]
    assert await silent_by_metric(line) == 1
    assert await is_silent_on_the_page(line, device)
    await line.publish(1, device=device)

    async def none_left() -> bool:
        return not await listed(line, "--silent") and await silent_by_metric(line) == 0

    await eventually(none_left, what="nobody silent")
    assert not await is_silent_on_the_page(line, device)


async def silent_by_metric(line: Line) -> float:
    metrics = await line.service.ask("/metrics")
    assert metrics is not None
    return float(metrics.text.split("\nforwarder_devices_silent ")[1].split()[0])


async def is_silent_on_the_page(line: Line, device: str) -> bool:
    page = await line.service.ask("/devices?only=silent")
    assert page is not None
    return device in page.text
