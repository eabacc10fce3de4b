"""The real process, its outbox moved to another engine, and put back from a backup as docs/operating.md says."""

import asyncio
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from support.line import Line, assert_balanced, assert_told_once_in_order
from support.outbox_builder import ZURICH, OutboxBuilder
from support.postgres import HOMES, PostgresServer
from support.receiver_policies import always
from support.webhooks import OK, UNAVAILABLE, Answer, Webhooks

from forwarder.outbox import NewReading, Recipient
from forwarder.outbox.sql.putting import put
from forwarder.reading import webhook_id
from forwarder.settings import Database, OutboxPlace

PAGE = (Path(__file__).parents[2] / "docs/operating.md").read_text()
BLOCKS = re.findall(
    r"```console\n(.*?)```", PAGE.split("### Backup and restore\n")[1].split("\n### ")[0], re.DOTALL
)
URL = "FORWARDER_OUTBOX_URL"


async def do_as_documented(line: Line, block: int) -> None:
    """Type the commands of one of the section's examples, in the service's folder."""
    path = os.pathsep.join(map(str, [Path(sys.executable).parent, HOMES[-1], os.environ["PATH"]]))
    script = "\n".join(command[2:] for command in BLOCKS[block].splitlines())
    process = await asyncio.create_subprocess_exec(
        *("sh", "-e", "-c", script),
        cwd=line.folder,
        env={"PATH": path, **line.service.settings},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    assert process.returncode == 0, said.decode()


@pytest.mark.parametrize("to", ["postgresql", "sqlite"])
async def test_service_goes_on_from_a_copy(
    line: Line, new_database: Callable[[], Database], to: str
) -> None:
    """
    Stopped with work pending, copied, and started on the copy, it delivers all, each reading once and in order.

    Dead letters, their ids and the totals are those of before.
    """
    database, service = {URL: new_database().url}, line.service
    line.secrets.add("swordfish")
    service.settings.update({} if to == "postgresql" else database)
    patient = await line.receiver("patient", always(UNAVAILABLE))
    strict = await line.receiver("strict", always(Answer(400)))
    await line.start()
    await line.publish(200)
    await service.settled("strict", lambda totals: totals.dead == 200)
    await service.counted("accepted", 200)
    assert await service.stop() == 0
    await line.publish(20)
    letters = (await service.command("dead-letters", "list", "--json", "--all")).stdout
    url = database[URL] if to == "postgresql" else f"sqlite:///{service.outbox}"

    copied = await service.command("outbox", "copy", "--to", url)

    assert copied.exit_code == 0, copied.stderr
    service.settings.pop(URL, None)
    service.settings.update(database if to == "postgresql" else {})
    assert (await service.command("dead-letters", "list", "--json", "--all")).stdout == letters
    patient.policy = strict.policy = always(OK)
    await service.start_ready()
    await patient.until_count(220)
    assert_told_once_in_order(patient, line.fleet.issued)
    assert not _taken_twice(patient)
    assert (await service.command("dead-letters", "replay", "--all")).exit_code == 0
    await service.settled("strict", lambda totals: totals.delivered == 220)
    assert not _taken_twice(strict)
    assert_balanced(await service.status())
    assert (await service.command("outbox", "check")).exit_code == 0


def _taken_twice(webhooks: Webhooks) -> list[str]:
    counts = Counter(post.webhook_id for post in webhooks.accepted)
    return [one for one, count in counts.items() if count > 1]


async def test_running_service_is_not_copied(
    line: Line, new_database: Callable[[], Database]
) -> None:
    """Beside the process a copy is refused, in a sentence and with exit code 1, and the service goes on."""
    webhooks = await line.receiver("acme")
    await line.start()
    copied = await line.service.command("outbox", "copy", "--to", new_database().url)
    assert (copied.exit_code, "a forwarder is running" in copied.stderr) == (1, True)
    await line.publish(3)
    await webhooks.until_count(3)


async def test_file_is_put_back_as_documented(line: Line) -> None:
    """
    A backup of the running service's file, restored: what was pending then is sent again under its ids, no more.

    With the other outbox's mark left beside it, the start refuses the older file.
    """
    webhooks = await line.receiver("acme", always(UNAVAILABLE))
    await line.start()
    await line.publish(50)
    await line.service.counted("accepted", 50)
    await do_as_documented(line, 0)
    webhooks.policy = always(OK)
    await line.publish(50)
    await line.service.settled("acme", lambda totals: totals.delivered == 100)
    await line.service.stop()
    mark = line.service.outbox.with_name("outbox.db-mark")
    newest = mark.read_bytes()

    await do_as_documented(line, 1)

    mark.write_bytes(newest)
    await line.service.start()
    assert await line.service.ended() == 1
    assert "50 readings (51 to 100)" in line.service.complaints[-1]
    mark.unlink()
    await line.service.start_ready()
    await line.service.settled("acme", lambda totals: totals.delivered == 50)
    assert len(_taken_twice(webhooks)) == 50
    assert_told_once_in_order(webhooks, line.fleet.issued)
    await line.publish(5)
    await webhooks.until_count(105)
    assert_balanced(await line.service.status())


async def test_database_is_put_back_as_documented(line: Line) -> None:
    """A dump of the running service's database, restored into an empty one, gives the same; and the service leads."""
    webhooks = await line.receiver("acme", always(UNAVAILABLE))
    with PostgresServer() as server, PostgresServer() as another:
        line.service.settings[URL] = server.url()
        await line.start()
        await line.publish(50)
        await line.service.counted("accepted", 50)
        await do_as_documented(line, 2)
        webhooks.policy = always(OK)
        await line.publish(50)
        await line.service.settled("acme", lambda totals: totals.delivered == 100)
        await line.service.kill()
        line.service.settings[URL] = another.url()

        await do_as_documented(line, 3)

        await line.service.start_ready()
        await line.service.settled("acme", lambda totals: totals.delivered == 50)
        assert len(_taken_twice(webhooks)) == 50
        assert_told_once_in_order(webhooks, line.fleet.issued)
        await line.publish(5)
        await webhooks.until_count(105)
        assert_balanced(await line.service.status())
        await line.service.stop()


@pytest.mark.parametrize("to", ["postgresql", "sqlite"])
def test_copy_holds_little_in_memory(
    tmp_path: Path, new_database: Callable[[], Database], to: str
) -> None:
    """However much the outbox holds, 25 MiB of bodies or 75, copying it takes the same memory."""
    small, large = tmp_path / "small.db", tmp_path / "large.db"
    _fill(OutboxBuilder(small), readings=400, body=bytes(64 << 10))
    _fill(OutboxBuilder(large), readings=1200, body=bytes(64 << 10))
    least, most = new_database(), new_database()
    peaks = [_peak_bytes(small, least), _peak_bytes(large, most)]
    if to == "sqlite":
        peaks = [_peak_bytes(least, tmp_path / "a/o.db"), _peak_bytes(most, tmp_path / "b/o.db")]
    assert peaks[1] - peaks[0] < 16 << 20


def _fill(built: OutboxBuilder, *, readings: int, body: bytes) -> None:
    with built.store(readings=readings) as store:
        for number in range(readings):
            reading = NewReading(
                webhook_id=webhook_id(ZURICH, b"%d" % number),
                device=ZURICH,
                measured_at="2025-11-18T10:00:00Z",
                received_at=0.0,
                data=body,
                recipients=(Recipient("acme"),),
            )
            put(store, reading, now=0.0, content_since=0.0)


def _peak_bytes(source: OutboxPlace, to: OutboxPlace) -> int:
    """The most that the command ever had resident (getrusage(2))."""
    places = [one.url if isinstance(one, Database) else str(one) for one in (source, to)]
    command = ["-m", "forwarder", "outbox", "copy", "--from", places[0], "--to", places[1]]
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_maxrss << 10
