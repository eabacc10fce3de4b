"""`forwarder status` and the log for people, at the real service."""

import asyncio
import os
import pty
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.line import Line, a_line
from support.receiver_policies import always
from support.webhooks import Answer

from forwarder.outbox.sqlite import file as outbox_file


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[Line]:
    async with a_line(tmp_path) as line:
        yield line


async def test_service_of_another_folder_is_no_business_of_ours(line: Line, tmp_path: Path) -> None:
    """From a folder without an outbox, and from one that had a service of its own: one sentence, and exit 1."""
    await line.receiver("acme")
    await line.start()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    stranger = line.another_service()
    stranger.folder = elsewhere
    stranger.settings |= {"FORWARDER_HTTP_LISTEN": line.service.address}
    for _ in range(2):
        for arguments in (("status",), ("status", "--json")):
            told = await stranger.command(*arguments)
            assert (told.exit_code, told.stdout) == (1, "")
            assert "another outbox" in told.stderr
            assert len(told.stderr.splitlines()) == 1
        (elsewhere / "data").mkdir(exist_ok=True)
        await asyncio.to_thread(outbox_file.create, elsewhere / "data" / "outbox.db")
    assert (await line.service.status())["ready"]


async def test_endpoints_of_a_rejected_edit_are_marked(line: Line) -> None:
    """What runs is shown, the new one is not in force, and so it is told until the edit is mended."""
    await line.receiver("acme")
    await line.start()
    await line.receiver("globex", fields=["active_powr"])
    line.write_routes()
    await line.service.logged("routes.rejected", hint="the last good routes (1 endpoint) stay")

    told = await line.service.status()
    assert list(told["endpoints"]) == ["acme"]
    assert (told["routes"]["endpoints"], told["routes"]["problems"]) == (1, 1)

    del line.endpoints["globex"]["fields"]
    line.write_routes()
    await line.service.logged("routes.reloaded")
    told = await line.service.status()
    assert (list(told["endpoints"]), told["routes"]["not_in_force"]) == (["acme", "globex"], [])


async def test_log_of_a_terminal_is_for_people(line: Line) -> None:
    """At 80 columns: no line is wider, no None, and the endpoint, the device and the id can be read off it."""
    await line.receiver("acme", always(Answer(400)))
    line.write_routes()
    screen, terminal = pty.openpty()
    line.service.settings |= {"NO_COLOR": "1", "COLUMNS": "80", "LINES": "24"}
    line.service.shell = (
        f"stty cols 80 rows 24 <{os.ttyname(terminal)}; exec >{os.ttyname(terminal)}"
    )
    await line.service.start_ready()
    await line.publish(1)
    await line.service.settled("acme", lambda totals: totals.dead == 1)
    await line.service.stop()
    os.close(terminal)
    shown = os.read(screen, 1 << 16).decode().replace("\r\n", "\n")
    os.close(screen)
    (device,), (ids,) = line.fleet.issued, line.fleet.issued.values()
    assert "service ✓ started · 1 endpoint" in shown
    assert f"acme    ✗ answered 400 · {device} · attempt 1\n" in shown
    assert {device, ids[0]} <= set(shown.split())
    assert max(map(len, shown.splitlines())) <= 80
    assert "None" not in shown
    assert "\x1b" not in shown


async def test_watching_ends_with_ctrl_c(line: Line) -> None:
    """It redraws on the screen, shows the last look when it ends, and exits 0."""
    await line.receiver("acme")
    await line.start()
    screen, terminal = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "forwarder", "status", "--watch",
        stdout=terminal, cwd=line.folder, env=os.environ | line.service.settings | {"TERM": "xterm", "COLUMNS": "80"},
    )  # fmt: skip
    os.close(terminal)
    shown = ""
    async with asyncio.timeout(30):
        while shown.count("subscribed") < 3:
            shown += (await asyncio.to_thread(os.read, screen, 1 << 16)).decode()
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0
    os.close(screen)
    assert "Traceback" not in shown
