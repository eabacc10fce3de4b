"""
The README's set-up, typed as it stands there, against a broker with TLS and a password as whatwatt's has them.

The program is that of INSTALLED, a folder of commands, where it is set: `make test-install` puts it there from a clean
clone, as the README says. Else it is the one under test.
"""

import asyncio
import json
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from support.certificates import Authority
from support.mosquitto import HOST, Mosquitto
from support.ports import free_port

README = (Path(__file__).parents[2] / "README.md").read_text()
USERNAME = "whatwatt.integration.client.example"
PASSWORD = "it's $5 #net"


def commands_after(sentence: str) -> list[str]:
    """The commands of the block that follows this sentence."""
    block = README.split(sentence)[1].split("```console\n")[1].split("```")[0]
    return re.findall(r"^\$ (.+)$", block, re.MULTILINE)


@dataclass
class Newcomer:
    """Somebody with a shell in a folder of their own, where `forwarder` is on the PATH."""

    folder: Path
    environ: dict[str, str]
    _started: list[Process] = field(default_factory=list)

    async def begins(self, command: str) -> Process:
        """A command that goes on, in a terminal of its own."""
        process = await asyncio.create_subprocess_exec(
            "bash", "-c", f"exec {command}", cwd=self.folder, env=self.environ, stdout=PIPE, stderr=STDOUT
        )  # fmt: skip
        self._started.append(process)
        return process

    async def types(self, command: str) -> str:
        """What a command says that ends by itself, and well."""
        process = await self.begins(command)
        said, _ = await process.communicate()
        assert process.returncode == 0, f"{command}\n{said.decode()}"
        return said.decode()

    async def sees(self, process: Process, words: str) -> None:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            if words in line.decode():
                return
        raise AssertionError(f"{words!r} was never said")

    async def leaves(self) -> None:
        for process in self._started:
            if process.returncode is None:
                process.send_signal(signal.SIGINT)
                await process.communicate()


@pytest.fixture
async def newcomer(tmp_path: Path) -> AsyncIterator[Newcomer]:
    environ = {name: value for name, value in os.environ.items() if "FORWARDER_" not in name}
    commands = environ.get("INSTALLED") or Path(sys.executable).parent
    environ["PATH"] = f"{commands}:{environ['PATH']}"
    environ["FORWARDER_HTTP_LISTEN"] = f"{HOST}:{free_port()}"
    newcomer = Newcomer(tmp_path / "folder of their own", environ)
    newcomer.folder.mkdir()
    yield newcomer
    await newcomer.leaves()


@pytest.mark.timeout(180)
async def test_readme_leads_to_delivered_readings(newcomer: Newcomer, tmp_path: Path) -> None:
    """From the five facts to a verified reading, with no command and no line that the page does not have."""
    authority = Authority(tmp_path)
    (newcomer.folder / "whatwatt.pem").write_bytes(authority.ca_file.read_bytes())
    newcomer.environ["WHATWATTS_PASSWORD"] = PASSWORD
    port = free_port()
    with Mosquitto(
        tmp_path / "broker", users={USERNAME: PASSWORD}, server_files=authority.issue(HOST)
    ) as broker:
        (init,) = commands_after("in a folder of your own")
        facts = f"--uri {broker.uri} --certificate whatwatt.pem --username {USERNAME}"
        facts += f" --password env:WHATWATTS_PASSWORD --url http://{HOST}:{port}/"
        await newcomer.types(f"{init.partition('#')[0]} {facts}")
        receiver = await newcomer.begins(f"forwarder listen --port {port} --secret env:ACME_SECRET")
        await newcomer.sees(receiver, str(port))

        check, send_test, run, status = commands_after("Then, in that folder:")
        assert "✓ endpoint acme  connects" in await newcomer.types(check)
        await newcomer.types(send_test)
        await newcomer.sees(await newcomer.begins(run), "mqtt.subscribed")
        await newcomer.types("forwarder simulate --count 2 --interval 1s")
        await newcomer.sees(receiver, " kW ")
        assert "acme" in await newcomer.types(status)
        assert "_FORWARDER_COMPLETE" in await newcomer.types("forwarder completion bash")
        said = json.loads(await newcomer.types("forwarder status --json"))

    assert (said["endpoints"]["acme"]["enqueued"], said["endpoints"]["acme"]["dead"]) == (2, 0)
