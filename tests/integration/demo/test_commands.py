import re
import signal
from asyncio.subprocess import Process
from collections.abc import Callable
from pathlib import Path

import pytest
from support.command import finish, line_with, start

from forwarder.demo.broker import EmbeddedBroker
from forwarder.settings import Broker

USERNAME = "whatwatt.integration.client.demoville"


@pytest.mark.parametrize(("asked", "payloads"), [([], 0), (["--show-payload"], 1)])
async def test_simulate_publishes_and_ends(
    embedded: EmbeddedBroker, tmp_path: Path, asked: list[str], payloads: int
) -> None:
    """Two devices, twice each, with the settings of a service; exit 0. A payload is shown to those who ask."""
    process = await start(
        *["simulate", "--devices", "2", "--interval", "20ms", "--count", "2", "--shape", "small"],
        *asked,
        folder=tmp_path,
        FORWARDER_MQTT_URI=embedded.uri,
        FORWARDER_MQTT_USERNAME=USERNAME,
        FORWARDER_MQTT_PASSWORD="throw-away",
    )
    code, output, errors = await finish(process)
    assert (code, errors) == (0, "")
    assert output.count("ext/demoville/ECC9FF5C001A  ") == 2
    assert output.endswith("4 messages published.\n")
    assert output.count('{"P_In"') == payloads


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
    assert re.fullmatch(r"(1 message|[1-9]\d* messages) published\.", output.splitlines()[-1])


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
    assert "but for the dead letter, which arrived late" in " ".join(output.split())
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
