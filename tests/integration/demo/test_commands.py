import asyncio
import os
import re
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from forwarder.demo.broker import EmbeddedBroker
from forwarder.settings import Broker

USERNAME = "whatwatt.integration.client.demoville"


async def start(*arguments: str, folder: Path, **settings: str) -> Process:
    """A command of the program in an empty folder, with these settings alone."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("FORWARDER_")}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "forwarder",
        *arguments,
        cwd=folder,
        env=inherited | {"TMPDIR": str(folder)} | settings,
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
    )


async def finish(process: Process) -> tuple[int | None, str, str]:
    output, errors = await asyncio.wait_for(process.communicate(), 90)
    return process.returncode, output.decode(), errors.decode()


async def line_with(process: Process, words: str) -> str:
    """The next line of output that holds these words."""
    assert process.stdout is not None
    while line := await asyncio.wait_for(process.stdout.readline(), 30):
        if words in line.decode():
            return line.decode()
    raise AssertionError(f"{words!r} was never printed")


async def test_simulate_publishes_and_ends(embedded: EmbeddedBroker, tmp_path: Path) -> None:
    """Two devices, twice each, with the settings of a service; exit 0."""
    process = await start(
        *["simulate", "--devices", "2", "--interval", "20ms", "--count", "2", "--shape", "small"],
        folder=tmp_path,
        FORWARDER_MQTT_URI=embedded.uri,
        FORWARDER_MQTT_USERNAME=USERNAME,
        FORWARDER_MQTT_PASSWORD="throw-away",
    )
    code, output, errors = await finish(process)
    assert (code, errors) == (0, "")
    assert output.count("ext/demoville/ECC9FF5C001A  ") == 2
    assert output.endswith("4 messages published.\n")


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
async def test_simulate_ends_cleanly_when_told(
    embedded: EmbeddedBroker, tmp_path: Path, ending: signal.Signals
) -> None:
    """Ctrl-C or SIGTERM stops the devices without a traceback, and with the number of what they published."""
    process = await start(
        *["simulate", "--interval", "50ms"],
        folder=tmp_path,
        FORWARDER_MQTT_URI=embedded.uri,
        FORWARDER_MQTT_USERNAME=USERNAME,
        FORWARDER_MQTT_PASSWORD="throw-away",
    )
    await line_with(process, "ext/demoville/")
    process.send_signal(ending)
    code, output, errors = await finish(process)
    assert (code, errors) == (0, "")
    assert re.fullmatch(r"[1-9]\d* messages published\.", output.splitlines()[-1])


async def test_simulate_refused_is_one_sentence(
    login: Callable[..., Broker], tmp_path: Path
) -> None:
    process = await start(
        "simulate",
        folder=tmp_path,
        FORWARDER_MQTT_URI=f"mqtt://{login().address}",
        FORWARDER_MQTT_USERNAME=USERNAME,
        FORWARDER_MQTT_PASSWORD="wrong",
    )
    code, output, errors = await finish(process)
    assert (code, output) == (1, "")
    assert errors.startswith("forwarder: ")
    assert errors.count("\n") == 1


async def test_listen_prints_what_arrives(tmp_path: Path) -> None:
    """A request is one line that says whether it was verified; Ctrl-C ends with a count."""
    process = await start(*["listen", "--port", "0", "--status", "503"], folder=tmp_path)
    url = (await line_with(process, "Listening on ")).split()[2]
    body = {"data": {"id": "msg_1", "device": "ECC9FF5C001A"}}
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(url, json=body, headers={"webhook-id": "msg_1"})
    line = await line_with(process, "ECC9FF5C001A")
    process.send_signal(signal.SIGINT)
    code, output, _ = await finish(process)
    assert (answer.status_code, code, output) == (503, 0, "0 readings received.\n")
    assert "not verified" in line
    assert "503" in line


async def test_listen_on_a_taken_port_is_one_sentence(
    embedded: EmbeddedBroker, tmp_path: Path
) -> None:
    process = await start("listen", "--port", str(embedded.port), folder=tmp_path)
    code, _, errors = await finish(process)
    assert code == 1
    assert f"cannot listen on http://127.0.0.1:{embedded.port}/" in errors
    assert errors.count("\n") == 1


def children_of(process: Process) -> list[Path]:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [Path("/proc") / child for child in children.split()]


def is_empty(folder: Path) -> bool:
    return not list(folder.iterdir())


async def test_demo_delivers_everything(tmp_path: Path) -> None:
    """The whole line: outage, retries, a dead letter and its replay; plain lines, exit 0, nothing left behind."""
    process = await start(*["demo", "--seconds", "8", "--devices", "4"], folder=tmp_path)
    code, output, errors = await finish(process)
    assert (code, errors) == (0, ""), output
    assert "the dead letter was replayed and arrived" in output
    assert "\x1b" not in output
    assert is_empty(tmp_path)


@pytest.mark.parametrize(("ending", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_interrupted_demo_leaves_nothing(
    tmp_path: Path, ending: signal.Signals, code: int
) -> None:
    """However it is ended in the middle, its forwarder ends too, and its files are gone."""
    process = await start("demo", folder=tmp_path)
    await line_with(process, "readings flow")
    children = children_of(process)
    process.send_signal(ending)
    ended_with, _, errors = await finish(process)
    assert (ended_with, errors) == (code, "")
    assert len(children) == 1
    assert not children[0].exists()
    assert is_empty(tmp_path)
