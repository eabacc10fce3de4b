"""routes.yaml on a file system that stops answering, as NFS does: a real one, where one may be mounted here."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.hung_files import HungFiles, hung_files
from support.line import Line
from support.service import eventually
from support.webhooks import Webhooks


@pytest.fixture
def files(tmp_path: Path) -> Iterator[HungFiles | None]:
    with hung_files(tmp_path / "remote") as files:
        yield files


@pytest.mark.timeout(120)
async def test_service_outlives_a_file_system_that_hangs(
    line: Line, files: HungFiles | None
) -> None:
    """It is told, costs no reading and no restart; what answers again is read, though the first look never ends."""
    if files is None:
        return
    acme = await line.receiver("acme")
    line.service.settings["FORWARDER_ROUTES_FILE"] = str(
        files.write("routes.yaml", line.routes_text())
    )
    await line.service.start_ready()
    files.hang()
    await line.service.logged("routes.unread", level="error")
    await assert_told(line)
    await line.publish(10)
    await acme.until_count(10)

    added = await line.receiver("added")
    files.write("routes.yaml", line.routes_text())
    files.answer_anew()
    await line.service.logged("routes.read_again")
    await line.service.logged("routes.reloaded")
    await line.service.ready()
    await line.publish(1)
    await added.until_count(1)

    files.hang()
    await somebody_waits(files)
    assert await line.service.stop() == 0
    assert line.service.complaints == []


async def somebody_waits(files: HungFiles) -> None:
    async def waits() -> bool:
        return bool(files.unanswered)

    await eventually(waits, what="a look at the files")


async def assert_told(line: Line) -> None:
    said = await line.service.readiness(lambda status, _: status == 503)
    (reason,) = said["reasons"]
    assert "does the file system answer?" in reason
    health = await line.service.ask("/healthz")
    assert health is not None
    assert (health.status_code, health.text) == (503, f"{reason}\n")


async def starting(line: Line, files: HungFiles) -> Webhooks:
    """A service has begun to wait for its routes."""
    acme = await line.receiver("acme")
    line.service.settings["FORWARDER_ROUTES_FILE"] = str(
        files.write("routes.yaml", line.routes_text())
    )
    files.hang()
    await line.service.start()
    await somebody_waits(files)
    return acme


async def test_start_that_waits_for_its_routes_can_be_ended(
    line: Line, files: HungFiles | None
) -> None:
    """It is told in the log what it waits for, and SIGTERM ends it."""
    if files is None:
        return
    await starting(line, files)
    await line.service.logged("routes.unread")
    assert await line.service.stop() == 0
    assert line.service.complaints == []


async def test_start_goes_on_when_its_routes_can_be_read(
    line: Line, files: HungFiles | None
) -> None:
    """A file system that answers late delays it, and nothing else."""
    if files is None:
        return
    acme = await starting(line, files)
    files.answer_late()
    await line.service.ready()
    await line.publish(1)
    await acme.until_count(1)
