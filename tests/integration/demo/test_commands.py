import asyncio
import os
import re
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from standardwebhooks import Webhook

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


def command_line_of(process: Process) -> bytes:
    """What everybody on the machine can see of it."""
    return Path(f"/proc/{process.pid}/cmdline").read_bytes()


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


SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.mark.parametrize(
    ("reference", "dotenv"),
    [
        pytest.param("env:ACME_SECRET", "'another program\n", id="a variable of the process"),
        pytest.param("env:NEXT_SECRET", f"NEXT_SECRET={SECRET}\n", id="a variable in .env"),
        pytest.param("file:secret", "", id="a file"),
    ],
)
async def test_listen_takes_its_secret_from_elsewhere(
    tmp_path: Path, reference: str, dotenv: str
) -> None:
    """The secret is in force, and stands in no list of processes."""
    (tmp_path / "secret").write_text(SECRET + "\n")
    (tmp_path / ".env").write_text(dotenv)
    process = await start(
        *["listen", "--port", "0", "--secret", reference], folder=tmp_path, ACME_SECRET=SECRET
    )
    url = (await line_with(process, "Listening on ")).split()[2]
    assert SECRET.encode() not in command_line_of(process)
    now = datetime.now(UTC)
    signature = Webhook(SECRET).sign("msg_1", now, "{}")
    headers = {"webhook-id": "msg_1", "webhook-timestamp": str(int(now.timestamp()))}
    async with httpx.AsyncClient(trust_env=False) as client:
        for given, status in ((signature, 204), (signature[:-4] + "AAA=", 401)):
            answer = await client.post(
                url, content="{}", headers=headers | {"webhook-signature": given}
            )
            assert answer.status_code == status
    process.send_signal(signal.SIGINT)
    assert (await finish(process))[0] == 0


@pytest.mark.parametrize(
    ("reference", "why"),
    [
        (
            "env:ACME_SECRT",
            'the environment variable "ACME_SECRT" is not set; did you mean "ACME_SECRET"?',
        ),
        ("env:", "expected env: and the name of an environment variable"),
        ("file:nowhere", "cannot read nowhere: No such file or directory"),
        ("file:large", "large is larger than 64 KiB"),
    ],
)
async def test_listen_without_the_secret_it_is_told_of_is_one_sentence(
    tmp_path: Path, reference: str, why: str
) -> None:
    """An invalid argument: exit 2."""
    (tmp_path / "large").write_text("x" * 70_000)
    process = await start("listen", "--secret", reference, folder=tmp_path, ACME_SECRET=SECRET)
    assert await finish(process) == (2, "", f"forwarder: --secret: {why}\n")


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
