"""What is erased is gone from the disk, while the service runs."""

from pathlib import Path

from support.line import Line
from support.receiver_policies import always
from support.webhooks import UNAVAILABLE


def files_with(folder: Path, needles: list[bytes]) -> list[str]:
    return [
        f"{file.name}: {needle!r}"
        for file in folder.iterdir()
        for needle in needles
        if needle in file.read_bytes()
    ]


async def test_a_purge_beside_the_service_leaves_no_trace(line: Line) -> None:
    """
    With deliveries pending, attempts failing and a live log: no file of the data directory names it.

    The next start misses nothing: what was purged was not lost.
    """
    await line.receiver("acme", always(UNAVAILABLE))
    await line.start()
    erased, kept = line.fleet.devices[:2]
    for device in (erased, kept):
        await line.publish(50, device=device)
    await line.service.counted("accepted", 100)
    spelt = [erased.encode(), erased.lower().encode()]
    folder = line.service.outbox.parent
    assert files_with(folder, spelt) != []

    finished = await line.service.command("purge", "--device", erased, "--yes")

    assert finished.exit_code == 0, finished.stderr
    assert files_with(folder, spelt) == []
    await line.publish(10, device=kept)
    await line.service.counted("accepted", 110)
    assert files_with(folder, spelt) == []
    await line.service.kill()
    await line.service.start_ready()
