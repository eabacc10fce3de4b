"""stdout is a command's answer and nothing else: each `--json` of each command parses, whatever is warned of."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import httpx
import pytest
from support.outbox_builder import OutboxBuilder
from support.ports import free_port

from forwarder.cli.main import COMMANDS, cli

ROUTES = """
endpoints:
  acme: {url: "http://127.0.0.1:1/hook", secret: "env:ACME_SECRET", devices: "*", allow_private: true}
"""
WRONG_CLOCK = '{"sys.id": "ECC9FF5C7AD4", "timestamp": 4000000000, "1_7_0": 7.8490}'
ID = "{id}"

Path_ = tuple[str, ...]
ARGUMENTS: dict[Path_, tuple[Path_, ...]] = {
    ("routes", "show"): ((), ("ECC9FF5C7AD4",)),
    ("routes", "diff"): (("old.yaml",),),
    ("decode",): (("wrong-clock.json",), ("garbage.bin",)),
    ("send-test",): (("acme",), ("acme", "--event", "reading", "--count", "2")),
    ("dead-letters", "list"): ((), (ID,)),
    ("dead-letters", "show"): ((ID,),),
    ("dead-letters", "replay"): ((ID,),),
    ("dead-letters", "discard"): ((ID,), ("--all", "--yes")),
    ("deliveries", "list"): ((), ("--state", "pending")),
    ("deliveries", "show"): ((ID,),),
    ("quarantine", "list"): ((), ("1",)),
    ("quarantine", "show"): (("1",),),
    ("quarantine", "replay"): (("--all",),),
    ("quarantine", "discard"): (("1",), ("--all", "--yes")),
    ("status",): ((),),
    ("certify",): (("http://127.0.0.1:1/", "--secret", "env:ACME_SECRET"),),
    ("devices",): ((), ("--silent",), ("--unrouted",), ("ECC9FF5C7AD4",)),
    ("outbox", "check"): ((),),
    ("endpoints", "share"): (("acme", "--for", "7d"),),
    ("endpoints", "shares"): ((),),
    ("audit",): ((),),
}
"""What each command that knows --json is tried with."""
WITH_A_DATABASE = {("outbox", "copy")}
"""Those that are tried where one runs, in tests/acceptance/test_moving.py."""
STREAMING = {("listen",)}
"""Those that write an object a line until they are ended."""
JSON_ANYWAY: dict[Path_, Path_] = {
    ("dead-letters", "export"): ("--all",),
    ("quarantine", "export"): ("--all",),
    ("schema",): ("routes",),
}
"""Those that write JSON without being asked, some of them an object a line."""

Run = Callable[..., subprocess.CompletedProcess[str]]


def commands(group: click.Group, path: Path_ = ()) -> Iterator[tuple[Path_, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


def with_json() -> set[Path_]:
    return {
        path
        for path, command in commands(cli)
        if any("--json" in parameter.opts for parameter in command.params)
    }


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs the program in a folder where there is something to warn of in each file."""
    (tmp_path / "routes.yaml").write_text(ROUTES)
    (tmp_path / "old.yaml").write_text(ROUTES.replace("acme", "gone"))
    (tmp_path / "wrong-clock.json").write_text(WRONG_CLOCK)
    (tmp_path / "garbage.bin").write_bytes(b"\xff\x00{")
    built = OutboxBuilder(tmp_path / "data" / "outbox.db")
    identity = built.delivery("acme", "dead")
    built.delivery("removed", "pending")
    built.quarantine(b"\xff")
    built.quarantine(WRONG_CLOCK.encode())
    environment = {
        "PATH": os.environ["PATH"],
        "ACME_SECRET": "whsec_" + "AAAA" * 8,
        "FORWARDER_HTTP_LISTEN": f"127.0.0.1:{free_port()}",
        "FORWARDER_LOG_LEVEL": "debug",
        "FORWARDER_TYPO": "1",
    }

    def run(*arguments: str, stdin: int = subprocess.DEVNULL) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "forwarder", *(one.format(id=identity) for one in arguments)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            stdin=stdin,
            timeout=60,
            check=False,
        )

    return run


def test_every_command_is_tried() -> None:
    """A new command with --json is one that this file has to try."""
    assert len(COMMANDS) >= len({path[0] for path in with_json()})
    assert with_json() == set(ARGUMENTS) | STREAMING | WITH_A_DATABASE


@pytest.mark.parametrize(
    "arguments", [(*path, *rest) for path, several in ARGUMENTS.items() for rest in several]
)
def test_json_parses(run: Run, arguments: Path_) -> None:
    """One JSON value and not a letter beside it; what is warned of stands on stderr."""
    ended = run(*arguments, "--json")

    json.loads(ended.stdout)
    assert ended.returncode in (0, 1)
    assert "Traceback" not in ended.stderr


def test_listen_writes_objects_alone(tmp_path: Path) -> None:
    """Where it listens stands on stderr; a request that nobody signed is an object as well."""
    listen = subprocess.Popen(
        [sys.executable, "-m", "forwarder", "listen", "--port", "0", "--json"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with listen:
        assert listen.stderr is not None
        url = listen.stderr.readline().split()[2]
        assert httpx.post(url, content=b"garbage").status_code
        listen.send_signal(signal.SIGINT)
        answer, _ = listen.communicate(timeout=20)

    assert [*map(json.loads, answer.splitlines())]


@pytest.mark.parametrize("arguments", [(*path, *rest) for path, rest in JSON_ANYWAY.items()])
def test_what_is_json_anyway_parses(run: Run, arguments: Path_) -> None:
    """Exports are an object a line."""
    ended = run(*arguments)

    assert ended.returncode == 0
    try:
        json.loads(ended.stdout)
    except json.JSONDecodeError:
        assert [*map(json.loads, ended.stdout.splitlines())]


def test_what_is_logged_is_no_answer(run: Run) -> None:
    """A device whose clock is far ahead is worth a line, on stderr."""
    ended = run("quarantine", "replay", "--all", "--json")

    assert json.loads(ended.stdout)["replayed"] == 1
    assert "clock.found_wrong" in ended.stderr


def test_decode_says_that_it_reads_from_the_terminal(run: Run, tmp_path: Path) -> None:
    """Whoever gives it no file sees what it waits for; stdout is the answer's alone."""
    ours, terminal = pty.openpty()
    os.write(ours, b'{"P_In": 1}\n\x04')
    ended = run("decode", "--json", stdin=terminal)
    os.close(terminal)
    os.close(ours)

    assert ended.stderr == "reading from the terminal; Ctrl-D ends it\n"
    assert json.loads(ended.stdout)["reading"]["measurements"] == {"active_power_import_kw": 1}
