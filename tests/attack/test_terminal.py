"""Text that strangers send to commands which print it: the terminal shows it, and does nothing."""

import asyncio
import json
import os
import pty
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.attack import Tried
from support.terminal import HOSTILE, acts

from forwarder.cli.main import cli, main
from forwarder.errors import OperationError

Place = Callable[[str], tuple[dict[str, str], object]]
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

PLACES: dict[str, Place] = {
    "device": lambda text: ({}, {"data": {"id": "msg_1", "device": text}}),
    "device of a nested kind": lambda text: ({}, {"data": {"id": "msg_1", "device": {text: 1}}}),
    "instant": lambda text: ({}, {"data": {"device": "D", "measured_at": "1234567890 " + text}}),
    "type": lambda text: ({}, {"type": text, "data": {"id": text}}),
    "webhook-id": lambda text: ({"webhook-id": text}, {}),
    "attempt": lambda text: ({"webhook-attempt": text}, {}),
    "signature": lambda text: (
        {"webhook-id": "a", "webhook-timestamp": "1", "webhook-signature": text},
        {},
    ),
    "timestamp": lambda text: (
        {"webhook-id": "a", "webhook-timestamp": text, "webhook-signature": "v1,x"},
        {},
    ),
}


@asynccontextmanager
async def listening(folder: Path, *options: str) -> AsyncIterator[tuple[asyncio.StreamReader, int]]:
    """`forwarder listen` on a terminal of its own: what it writes there, and its port."""
    ours, its = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "forwarder", "listen", "--port", "0", *options],
        cwd=folder,
        env=os.environ | {"TERM": "xterm-256color", "COLUMNS": "200"},
        stdin=DEVNULL,
        stdout=its,
        stderr=its,
    )
    os.close(its)
    terminal = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(terminal), os.fdopen(ours, "rb", 0)
    )
    try:
        greeting = (await asyncio.wait_for(terminal.readline(), 30)).decode()
        yield terminal, int(greeting.split("127.0.0.1:")[1].split("/")[0])
    finally:
        await _end(process)
        transport.close()


async def _end(process: Process) -> None:
    process.kill()
    await process.wait()


async def post(port: int, headers: dict[str, str], document: object) -> bytes:
    """POST, byte by byte as given: a client library would refuse to send it."""
    body = json.dumps(document).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = [
        b"POST / HTTP/1.1",
        b"host: a",
        b"connection: close",
        b"content-length: %d" % len(body),
    ]
    lines += [b"%s: %s" % (name.encode(), _on_the_wire(value)) for name, value in headers.items()]
    writer.write(b"\r\n".join([*lines, b"", b""]) + body)
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return answer


def _on_the_wire(value: str) -> bytes:
    """As raw C1 bytes where Latin-1 has them, in UTF-8 otherwise; a line end would end the header."""
    text = value.replace("\n", " ").replace("\r", " ")
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


@pytest.mark.parametrize("options", [(), ("--secret", SECRET)], ids=["any", "signed alone"])
async def test_listen_shows_hostile_requests_as_letters(
    tmp_path: Path, tried: list[Tried], options: tuple[str, ...]
) -> None:
    """Unsigned requests print a line each, on which no letter acts; the last one proves that all were shown."""
    count = 0
    async with listening(tmp_path, *options) as (terminal, port):
        for place in PLACES.values():
            for text in HOSTILE.values():
                await post(port, *place(text))
                count += 1
        await post(port, {"webhook-id": "the_last"}, {})
        shown = (await asyncio.wait_for(terminal.readuntil(b"the_last"), 30)).decode()
    assert acts(shown) == set()
    tried.append(
        Tried("terminal", "`forwarder listen`, unsigned requests", count, "shown as escapes")
    )


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_an_error_is_one_line_of_letters(
    text: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whatever a sentence quotes: another program's answer, a file, an argument."""

    def fail(**_options: object) -> None:
        raise OperationError(f"it says {text.strip(chr(10))}")

    monkeypatch.setattr("forwarder.cli.main.cli", fail)
    with pytest.raises(SystemExit):
        main()
    told = capfd.readouterr().err
    assert told.startswith("forwarder: it says ")
    assert acts(told) == set()


@pytest.mark.parametrize("as_json", [False, True], ids=["for people", "for programs"])
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_decode_shows_a_payload_as_letters(
    text: str, as_json: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Topic, names and values of a payload are a stranger's."""
    monkeypatch.chdir(tmp_path)
    payload = json.dumps({"1_7_0": 1.5, "timestamp": 1763461060, text: text}, ensure_ascii=False)
    arguments = ["decode", "--topic", f"ext/x/{text}", *(["--json"] if as_json else [])]
    shown = CliRunner().invoke(cli, arguments, input=payload.encode(errors="surrogatepass"))
    assert shown.exit_code in (0, 1)  # a reading, or quarantined for a device that is none
    assert acts(shown.output) == set()
