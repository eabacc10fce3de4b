"""`forwarder check`: a line for each thing that it looks at, as it goes."""

import fcntl
import socket
from collections.abc import Iterator
from pathlib import Path

import click.testing
import pytest
from support.certificates import Authority
from support.shell import Operator

from forwarder.cli.main import cli

BROKER = {"FORWARDER_MQTT_URI": "mqtts://broker.example", "FORWARDER_MQTT_TOPIC": "ext/acme/#"}
KEY = "whsec_dGhpcyBpcyBhIGtleSBvZiB0aGUgdGVzdHMgYWxvbmU="


@pytest.fixture
def operator(operator: Operator) -> Operator:
    """One whose settings are in order."""
    operator.environment |= BROKER | {"NOT_IN_THIS_SHELL": KEY}
    return operator


def lines(said: str) -> list[str]:
    """Mark and name of each line."""
    return [line[:13].rstrip() for line in said.splitlines() if line[0] in "✓✗"]


def test_each_thing_has_a_line(operator: Operator, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=1\nB=2\n")
    (tmp_path / "template.txt").write_text('{"p": ${1_7_0}, "t": ${timestamp}}')
    operator.environment |= {
        "FORWARDER_MQTT_CA_FILE": str(Authority(tmp_path).ca_file),
        "FORWARDER_TEMPLATE_FILE": "template.txt",
    }

    said = operator.says("check")

    assert lines(said) == [
        "✓ .env",
        "✓ settings",
        "✓ certificate",
        "✓ routes",
        "✓ template",
        "✓ data",
        "✓ port",
    ]
    assert "✓ .env         2 variables\n" in said


def test_line_of_env_file_that_cannot_be_read_is_told_once(
    operator: Operator, tmp_path: Path
) -> None:
    """And everything else is looked at all the same."""
    (tmp_path / ".env").write_text(f'FORWARDER_KEEP_DEAD="5d\nNOT_IN_THIS_SHELL={KEY}\n')

    result = operator.run("check")

    assert getattr(result.exception, "exit_code", None) == 2
    (problem,) = str(result.exception).splitlines()
    assert problem.startswith('.env:1: the value begins with " and has no "')
    assert lines(result.output)[:3] == ["✗ .env", "✓ settings", "✓ routes"]


def test_certificate_file_that_is_no_pem_is_an_error(operator: Operator, tmp_path: Path) -> None:
    (tmp_path / "whatwatt.pem").write_bytes(b"\x30\x82\x03\x1f")
    operator.environment["FORWARDER_MQTT_CA_FILE"] = "whatwatt.pem"

    assert operator.fails("check") == (
        "FORWARDER_MQTT_CA_FILE: whatwatt.pem holds no certificate: it must be PEM, beginning with"
        " -----BEGIN CERTIFICATE-----"
    )


def test_data_directory_that_cannot_be_written_is_an_error(operator: Operator) -> None:
    """Also when its folder is still to be made; /proc takes no file, not even root's."""
    operator.environment["FORWARDER_OUTBOX_URL"] = "sqlite:////proc/data/outbox.db"

    said = operator.fails("check")

    assert said.startswith("FORWARDER_OUTBOX_URL: cannot write into /proc: ")


def test_check_leaves_nothing_behind(operator: Operator, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    before = sorted(tmp_path.rglob("*"))

    assert "✓ data         data can be written" in operator.says("check")

    assert sorted(tmp_path.rglob("*")) == before


@pytest.fixture
def taken(operator: Operator) -> Iterator[socket.socket]:
    """The port of the settings, taken by another program."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        operator.environment["FORWARDER_HTTP_LISTEN"] = f"127.0.0.1:{listener.getsockname()[1]}"
        yield listener


def test_port_that_another_program_holds_is_an_error(
    operator: Operator, taken: socket.socket
) -> None:
    port = taken.getsockname()[1]

    assert operator.fails("check") == (
        f"FORWARDER_HTTP_LISTEN: cannot listen on 127.0.0.1:{port}: Address already in use;"
        " choose another address or port"
    )


def test_port_of_another_program_stays_one_while_the_service_runs(
    operator: Operator, taken: socket.socket, tmp_path: Path
) -> None:
    """The lock alone does not tell whose port it is."""
    (tmp_path / "data").mkdir()
    with (tmp_path / "data" / "forwarder.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        assert "Address already in use" in operator.fails("check")


CI_ROUTES = """\
endpoints:
  acme: {url: "https://acme.example/", secret: "env:ACME_SECRET", devices: "*"}
  home: {url: "https://home.example/", secret: "file:/run/secrets/home-of-nobody", devices: "*"}
"""


def test_routes_alone_need_no_settings_and_no_secrets(operator: Operator, tmp_path: Path) -> None:
    """What a pipeline asks of an edit; what was not looked at is told."""
    (tmp_path / "new.yaml").write_text(CI_ROUTES)
    for name in (*BROKER, "NOT_IN_THIS_SHELL"):
        del operator.environment[name]
    operator.environment["FORWARDER_MQTT_QOS"] = "wrong"

    said = operator.says("check", "--routes", "new.yaml")

    assert said.splitlines() == [
        "✓ routes       new.yaml: 2 endpoints, 0 devices named, 0 groups",
        "warning: not here, so not looked at: env:ACME_SECRET, file:/run/secrets/home-of-nobody",
        "everything is valid",
    ]


def test_routes_alone_that_are_wrong(operator: Operator, tmp_path: Path) -> None:
    """Also a secret that is there, and is none."""
    (tmp_path / "new.yaml").write_text(CI_ROUTES.replace('devices: "*"', "devcies: []"))
    operator.environment["ACME_SECRET"] = "hunter2"

    said = operator.fails("check", "--routes", "new.yaml")

    assert "expected whsec_" in said
    assert said.count('did you mean "devices"?') == 2
    assert "hunter2" not in said


def test_routes_alone_are_not_connected_to(operator: Operator) -> None:
    assert "leave out --connect" in operator.fails("check", "--routes", "routes.yaml", "--connect")


def test_terminal_that_knows_no_signs_gets_words(operator: Operator) -> None:
    runner = click.testing.CliRunner(charset="ascii", env=operator.environment)

    assert "ok settings     broker" in runner.invoke(cli, ["check"]).output
