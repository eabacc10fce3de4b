"""`forwarder listen` as a developer of a receiver runs it."""

import json
import signal
import socket
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from standardwebhooks import Webhook
from support.command import command_line_of, finish, line_with, start
from support.ports import free_port
from support.receiver import answering, receiving

from forwarder.routes.secrets import parse_signing_key
from forwarder.signing import signature_headers

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
READING = b'{"type":"meter.reading","data":{"id":"msg_1","device":"ECC9FF5C001A","kw":7.8490}}'


@asynccontextmanager
async def listening(
    folder: Path, *options: str, **settings: str
) -> AsyncIterator[tuple[Process, str]]:
    """The command with the secret in a variable, and where it listens; ended hard if the test has not ended it."""
    process = await start(
        *["listen", "--port", "0", *options], folder=folder, ACME_SECRET=SECRET, **settings
    )
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        greeting = await (process.stderr if "--json" in options else process.stdout).readline()
        yield process, greeting.decode().split()[2]
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def interrupted(process: Process) -> tuple[int | None, str, str]:
    """What Ctrl-C makes of it."""
    process.send_signal(signal.SIGINT)
    return await finish(process)


def signed(body: bytes, webhook_id: str = "msg_1", attempt: int = 1) -> dict[str, str]:
    second, keys = int(time.time()), [parse_signing_key(SECRET)]
    return dict(
        signature_headers(webhook_id, unix_second=second, attempt=attempt, body=body, keys=keys)
    )


async def post(url: str, body: bytes, headers: Mapping[str, str]) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.post(url, content=body, headers=headers)


async def test_a_request_is_a_line(tmp_path: Path) -> None:
    """Without a secret it says that nothing was verified; Ctrl-C ends with a count."""
    async with listening(tmp_path, "--status", "503") as (process, url):
        answer = await post(url, READING, {"webhook-id": "msg_1"})
        line = await line_with(process, "ECC9FF5C001A")
        assert await interrupted(process) == (0, "1 request, 0 new readings.\n", "")
    assert answer.status_code == 503
    assert line.startswith("503 ")
    assert line.endswith("msg_1  not verified\n")


async def test_without_the_extra_signatures_are_verified(tmp_path: Path) -> None:
    """A deployment has neither the demo's packages nor the public verifier."""
    for name in ("standardwebhooks", "amqtt"):
        (tmp_path / f"{name}.py").write_text("raise ImportError")
    options = ["--secret", "env:ACME_SECRET"]
    async with listening(tmp_path, *options, PYTHONPATH=str(tmp_path)) as (process, url):
        assert (await post(url, READING, signed(READING))).status_code == 204
        assert (await post(url, READING + b" ", signed(READING))).status_code == 401
        assert "✓" in await line_with(process, "ECC9FF5C001A")
        assert "REFUSED: no signature fits" in await line_with(process, "ECC9FF5C001A")


@pytest.mark.parametrize(
    ("reference", "dotenv"),
    [
        pytest.param("env:ACME_SECRET", "'another program\n", id="a variable of the process"),
        pytest.param("env:NEXT_SECRET", f"NEXT_SECRET={SECRET}\n", id="a variable in .env"),
        pytest.param("file:secret", "", id="a file"),
    ],
)
async def test_the_secret_is_taken_from_elsewhere(
    tmp_path: Path, reference: str, dotenv: str
) -> None:
    """It is in force, for what the public library signs too, and stands in no list of processes."""
    (tmp_path / "secret").write_text(SECRET + "\n")
    (tmp_path / ".env").write_text(dotenv)
    now = datetime.now(UTC)
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(SECRET).sign("msg_1", now, "{}"),
    }
    async with listening(tmp_path, "--secret", reference) as (process, url):
        assert SECRET.encode() not in command_line_of(process)
        assert (await post(url, b"{}", headers)).status_code == 204
        assert (await post(url, b"[]", headers)).status_code == 401


@pytest.mark.parametrize(
    ("reference", "why"),
    [
        ("env:ACME_SECRT", 'the environment variable "ACME_SECRT" is not set; did you mean "ACME_SECRET"?'),
        ("env:", "expected env: and the name of an environment variable"),
        ("file:nowhere", "cannot read nowhere: No such file or directory"),
        ("file:large", "large is larger than 64 KiB"),
        ("abc", "expected whsec_… as `forwarder secret` prints it"),
        ("whsec_", "whsec_… holds 0 bytes; expected 24 to 64, as `forwarder secret` prints it"),
        ("whsec_c2hvcnQ=", "whsec_… holds 5 bytes; expected 24 to 64, as `forwarder secret` prints it"),
        ("whsec_not base64", "whsec_… is not standard base64 (is it complete, with its = at the end?)"),
    ],
)  # fmt: skip
async def test_a_secret_that_cannot_be_used_is_one_sentence(
    tmp_path: Path, reference: str, why: str
) -> None:
    """An invalid argument: exit 2."""
    (tmp_path / "large").write_text("x" * 70_000)
    process = await start("listen", "--secret", reference, folder=tmp_path, ACME_SECRET=SECRET)
    assert await finish(process) == (2, "", f"forwarder: --secret: {why}\n")


async def test_a_taken_port_is_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = await start("listen", "--port", str(port), folder=tmp_path)
        code, _, errors = await finish(process)
    assert code == 1
    assert f"cannot listen on http://127.0.0.1:{port}/" in errors
    assert errors.count("\n") == 1


async def test_ctrl_c_is_quiet_while_senders_keep_their_connections(tmp_path: Path) -> None:
    """As the forwarder keeps its own; asyncio used to complain of each with a traceback."""
    async with listening(tmp_path) as (process, url), httpx.AsyncClient(trust_env=False) as client:
        for _ in range(2):
            await client.post(url, content=READING)
        await line_with(process, "seen before")
        assert await interrupted(process) == (0, "2 requests, 1 new reading.\n", "")


async def test_bodies_are_printed_indented_with_their_headers(tmp_path: Path) -> None:
    """What a developer wants to see of a request, and nothing in it acts on the terminal."""
    async with listening(tmp_path, "--body") as (process, url):
        await post(url, b'{"type":"\xc2\x9b2J","n":[1]}', {"webhook-id": "a", "x-other": "b"})
        await post(url, b"\xff\x00", {})
        code, shown, _ = await interrupted(process)
    lines = [line.rstrip() for line in shown.splitlines()]
    assert code == 0
    assert [line for line in lines if line.startswith("webhook-id")] == ["webhook-id: a"]
    assert lines[lines.index("{") :][:5] == [
        "{",
        '  "type": "\\u009b2J",',
        '  "n": [',
        "    1",
        "  ]",
    ]
    assert "000000  ff 00" in shown
    assert "x-other" not in shown


async def test_programs_get_an_object_a_line(tmp_path: Path) -> None:
    """Standard output holds nothing else; numbers keep their digits."""
    async with listening(tmp_path, "--json", "--secret", "env:ACME_SECRET") as (process, url):
        await post(url, READING, signed(READING, attempt=2))
        await post(url, b"\xff{\n}", signed(READING))
        await post(url, b'{"x":\n1}', {"webhook-id": "msg_2"})
        code, output, _ = await interrupted(process)
    lines = output.splitlines()
    good, bytes_, unsigned = map(json.loads, lines)
    assert code == 0
    assert '"kw":7.8490}' in lines[0]
    assert (good["status"], good["verdict"], good["attempt"]) == (204, "verified", 2)
    assert good["headers"]["webhook-id"] == "msg_1"
    assert good["body"]["data"]["device"] == "ECC9FF5C001A"
    assert (bytes_["status"], bytes_["verdict"], bytes_["body"]) == (401, "no_match", None)
    assert bytes_["body_base64"] == "/3sKfQ=="
    assert (unsigned["verdict"], unsigned["body"]) == ("unsigned", {"x": 1})


async def test_verified_requests_are_passed_on_byte_by_byte(tmp_path: Path) -> None:
    """The developer's own receiver can verify them again, and its answer is the answer."""
    body = READING.replace(b":", b" : ")
    teapot = b"HTTP/1.1 429 Later\r\nretry-after: 7\r\ncontent-length: 4\r\n\r\nlate"
    async with receiving(answering(teapot)) as own:
        options = ["--secret", "env:ACME_SECRET", "--to", own.url]
        async with listening(tmp_path, *options) as (process, url):
            answer = await post(url, body, signed(body, attempt=3))
            assert (await line_with(process, "attempt 3")).startswith("429 ")
    assert (answer.status_code, answer.headers["retry-after"], answer.text) == (429, "7", "late")
    (passed,) = own.requests
    assert (passed.body, passed.header("webhook-attempt")) == (body, "3")
    assert Webhook(SECRET).verify(passed.body, dict(passed.headers))


async def test_what_is_not_verified_is_never_passed_on(tmp_path: Path) -> None:
    """Not even where the answer would be a failure anyway."""
    async with receiving() as own:
        options = ["--secret", "env:ACME_SECRET", "--to", own.url]
        async with listening(tmp_path, *options) as (_, url):
            for headers in ({}, signed(READING + b" ")):
                assert (await post(url, READING, headers)).status_code == 401
    assert own.connections == 0


async def test_a_port_that_nobody_listens_on_is_a_502_and_a_sentence(tmp_path: Path) -> None:
    """Both the sender and the developer are told."""
    nowhere = f"http://localhost:{free_port()}"
    options = ["--secret", "env:ACME_SECRET", "--to", f"{nowhere}/in?token=hidden"]
    async with listening(tmp_path, *options) as (process, url):
        answer = await post(url, READING, signed(READING))
        _, _, errors = await interrupted(process)
    assert answer.status_code == 502
    assert answer.text.startswith(f"{nowhere} gave no answer: ")
    assert errors == answer.text + "\n"


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--to", "http://localhost:1"], "--to passes on verified requests alone: give their --secret too"),
        (["--to", "localhost:1", "--secret", SECRET], "--to: expected https://host/path"),
        (["--to", "http://169.254.169.254", "--secret", SECRET], "--to: 169.254.169.254 is a link-local,"),
    ],
)  # fmt: skip
async def test_a_target_that_cannot_be_used_is_one_sentence(
    tmp_path: Path, options: list[str], why: str
) -> None:
    process = await start("listen", *options, folder=tmp_path)
    code, _, errors = await finish(process)
    assert (code, errors.count("\n")) == (2, 1)
    assert errors.startswith(f"forwarder: {why}")
