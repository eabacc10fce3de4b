"""`forwarder routes`, `schema` and `check`: what an operator sees, and the exit codes."""

import base64
import hashlib
import json
import re
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from support.routing import endpoint_with, secret
from support.token_server import serving_tokens

from forwarder.cli.main import main
from forwarder.settings import environment

FILE = "groups: {zurich: [ECC9FF5C7AD4, 001122334455], spare: [AABBCCDDEEFF]}\n" + endpoint_with(
    "groups: [zurich]", "devices: []"
)
ARCHIVE = (
    "  archive: {url: 'https://b.example/', secret: env:ARCHIVE_KEY, devices: [ECC9FF5C7AD4]}\n"
)

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs the program in a folder with a good routes.yaml: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)
    for name in environment():
        if name.startswith("FORWARDER_"):
            monkeypatch.delenv(name)
    (tmp_path / "routes.yaml").write_text(FILE + ARCHIVE)

    def run(*arguments: str, **variables: str) -> tuple[int, str, str]:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("sys.argv", ["forwarder", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        told = capfd.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    return run


def test_show_lists_every_endpoint_with_its_devices(run: Run) -> None:
    """Who gets what, and because of which lists and groups; no secret has to be set for it."""
    code, out, _ = run("routes", "show")

    rows = [line.split("  ") for line in out.splitlines()]
    assert code == 0
    assert [row[0].strip() for row in rows] == ["endpoint", "acme", "archive"]
    assert "001122334455, ECC9FF5C7AD4" in out
    assert "group zurich (2)" in out


def test_show_device_tells_who_gets_it_and_why(run: Run) -> None:
    """In any spelling of its MAC."""
    code, out, _ = run("routes", "show", "ec:c9:ff:5c:7a:d4")

    assert (code, out.splitlines()) == (
        0,
        ["acme gets ECC9FF5C7AD4: group zurich", "archive gets ECC9FF5C7AD4: its own list"],
    )


def test_show_device_that_nobody_gets_names_its_group(run: Run) -> None:
    """The usual reason is a group that no endpoint names."""
    code, out, _ = run("routes", "show", "AABBCCDDEEFF")

    assert (code, out) == (
        0,
        "nobody gets AABBCCDDEEFF, although it is in group spare, which no endpoint names\n",
    )


def test_show_as_json_is_for_programs(run: Run) -> None:
    _, everyone, _ = run("routes", "show", "--json")
    _, one, _ = run("routes", "show", "001122334455", "--json")

    assert json.loads(everyone)["endpoints"]["acme"]["groups"] == ["zurich"]
    assert json.loads(one) == {
        "device": "001122334455",
        "endpoints": [{"endpoint": "acme", "because": ["group zurich"]}],
    }


def test_show_of_what_is_no_device_is_an_error(run: Run) -> None:
    code, out, err = run("routes", "show", "meter-7")

    assert (code, out) == (2, "")
    assert err == (
        "forwarder: 'meter-7' is not a device: expected a MAC of 12 hexadecimal digits such as ECC9FF5C7AD4\n"
    )


def test_diff_tells_what_changes_to_the_file_in_use(run: Run, tmp_path: Path) -> None:
    """OLD alone is compared with the routes in use; the direction is said first, and nothing twice."""
    (tmp_path / "old.yaml").write_text(FILE)

    assert run("routes", "diff", "old.yaml") == (
        0,
        "from old.yaml to routes.yaml:\n+ archive is added, gets 1 device: ECC9FF5C7AD4\n",
        "",
    )
    assert run("routes", "diff", "old.yaml", "old.yaml") == (
        0,
        "nothing changes from old.yaml to old.yaml\n",
        "",
    )
    assert json.loads(run("routes", "diff", "old.yaml", "--json")[1])["removed"] == []


def test_diff_with_an_invalid_file_is_an_error(run: Run, tmp_path: Path) -> None:
    (tmp_path / "old.yaml").write_text("endpoints: {}\n")

    code, out, err = run("routes", "diff", "old.yaml")

    assert (code, out) == (2, "")
    assert err == "forwarder: old.yaml:1:1: endpoints is empty; at least one endpoint is needed\n"


@pytest.mark.parametrize("which", ["routes", "event", "settings"])
def test_schema_prints_json(which: str, run: Run) -> None:
    code, out, _ = run("schema", which)

    assert code == 0
    assert json.loads(out)["$schema"].startswith("https://json-schema.org/")


KEY, ARCHIVE_KEY, IDLE_KEY = (
    "whsec_" + base64.b64encode(hashlib.sha256(name).digest()).decode()
    for name in (b"a", b"b", b"c")
)
GOOD = {
    "FORWARDER_MQTT_URI": "mqtt://127.0.0.1:1",
    "FORWARDER_MQTT_TOPIC": "a/#",
    "FORWARDER_HTTP_LISTEN": "127.0.0.1:0",
    "KEY": KEY,
    "ARCHIVE_KEY": ARCHIVE_KEY,
    "IDLE_KEY": IDLE_KEY,
}


def test_check_sums_up_what_is_valid(run: Run, tmp_path: Path) -> None:
    """Endpoints, devices and groups are counted; what nobody gets, and who gets nothing, is named."""
    with (tmp_path / "routes.yaml").open("a") as file:
        file.write(
            "  idle: {url: 'https://c.example/', secret: env:IDLE_KEY, devices: [], paused: true}\n"
        )

    code, out, err = run("check", **GOOD)

    assert (code, err) == (0, "")
    assert out.splitlines() == [
        f"✓ .env         none in {tmp_path}",
        "✓ settings     broker 127.0.0.1:1, topics a/#",
        "✓ routes       routes.yaml: 3 endpoints, 3 devices named, 2 groups",
        "               devices that nobody gets: AABBCCDDEEFF",
        "               endpoints that get nothing: idle",
        "               endpoints that are paused: idle",
        "✓ data         data is not there yet, and can be made",
        "✓ port         127.0.0.1:0 is free",
        "everything is valid",
    ]


def test_check_tells_every_mistake_of_every_part(run: Run, tmp_path: Path) -> None:
    """Settings, routes and template together; exit 2, and nothing is called valid."""
    (tmp_path / "template.txt").write_text("no variable")

    code, out, err = run("check", FORWARDER_TEMPLATE_FILE="template.txt", FORWARDER_OUTBOX_URL="x")

    assert code == 2
    assert [line.split()[:2] for line in out.splitlines()] == [
        ["✓", ".env"],
        ["✗", "settings"],
        ["✗", "routes"],
        ["✗", "template"],
    ]
    starts = [
        line.removeprefix("forwarder: ").split(":")[0].split()[0] for line in err.splitlines()
    ]
    assert starts == [
        "FORWARDER_MQTT_URI",
        "FORWARDER_MQTT_TOPIC",
        "FORWARDER_OUTBOX_URL",
        "routes.yaml",
        "routes.yaml",
        "template.txt",
    ]


def test_check_looks_at_routes_although_settings_are_wrong(run: Run) -> None:
    """One run tells all."""
    code, _, err = run("check", FORWARDER_MQTT_QOS="7")

    assert code == 2
    assert "FORWARDER_MQTT_QOS: expected at most 1" in err
    assert (
        'routes.yaml:5:13: endpoint "acme": secret: the environment variable "KEY" is not set'
        in err
    )


def test_check_warns_of_what_may_not_be_meant(run: Run) -> None:
    """A misspelt setting, and a proxy that takes the place of the guard and of the operator's networks."""
    code, _, err = run(
        "check",
        **GOOD,
        FORWARDER_MQTT_QSO="1",
        FORWARDER_PROXY_URL="http://u:hunter2@proxy.example",
        FORWARDER_DENY_NETWORKS="10.0.0.0/8",
    )

    assert code == 0
    misspelt, unguarded, ruleless = err.splitlines()
    assert misspelt == (
        "warning: FORWARDER_MQTT_QSO is no setting and is ignored; did you mean FORWARDER_MQTT_QOS?"
    )
    assert unguarded == (
        "warning: FORWARDER_PROXY_URL is set: the proxy resolves names, "
        "so the guard against private addresses does not apply"
    )
    assert ruleless.startswith("warning: FORWARDER_DENY_NETWORKS and FORWARDER_ALLOW_NETWORKS do")


def test_check_warns_of_fields_that_may_name_nothing(run: Run, tmp_path: Path) -> None:
    """A name within `extra` is no mistake, and may be one: it is told, and the rest is valid."""
    file = tmp_path / "routes.yaml"
    file.write_text(file.read_text().replace("  acme:\n", "  acme:\n    fields: [extra.co2]\n"))
    code, out, err = run("check", **GOOD)
    assert (code, out.splitlines()[-1]) == (0, "everything is valid")
    assert 'warning: endpoint "acme": fields "extra.co2" names nothing that is known;' in err


def test_check_warns_of_keys_that_are_shared_or_weak(run: Run) -> None:
    """Both are valid, and neither is what a signature is for; exit 0."""
    code, _, err = run("check", **GOOD | {"KEY": secret(), "ARCHIVE_KEY": secret()})

    assert code == 0
    assert err.splitlines() == [
        (
            "warning: endpoints acme, archive share a key: what one receiver was sent, another takes for its own;"
            " give each its own: `forwarder secret` prints a random one"
        ),
        'warning: endpoint "acme" has a key that can be guessed; `forwarder secret` prints a random one',
        'warning: endpoint "archive" has a key that can be guessed; `forwarder secret` prints a random one',
    ]


def test_no_command_prints_a_secret(run: Run, tmp_path: Path) -> None:
    """Whatever is asked, in good and in bad files, the key and the password stay where they are."""
    (tmp_path / "old.yaml").write_text(FILE.replace("env:KEY", secret(40)))
    (tmp_path / "bad.yaml").write_text(FILE.replace("secret: env:KEY", f"scret: {secret()}"))
    asked = [
        ["check"],
        ["routes", "show"],
        ["routes", "show", "--json"],
        ["routes", "diff", "old.yaml"],
    ]
    asked += [["routes", "diff", "bad.yaml"], ["schema", "settings"]]

    told = [run(*arguments, **GOOD, FORWARDER_MQTT_PASSWORD="hunter2") for arguments in asked]

    assert "hunter2" not in str(told)
    assert KEY[6:] not in str(told)
    assert secret()[6:] not in str(told)
    assert secret(40)[6:] not in str(told)


def test_check_connect_tells_each_connection(run: Run, tmp_path: Path) -> None:
    """What cannot be reached is told with what to do; the exit code says that it failed, not that it is invalid."""
    (tmp_path / "routes.yaml").write_text(
        endpoint_with("url: http://127.0.0.1:1/", "allow_private: true")
    )

    code, out, err = run("check", "--connect", **GOOD)

    told = sorted(out.splitlines()[-2:])
    assert code == 1
    assert told[0].startswith("✗ broker         nothing listens on 127.0.0.1:1")
    assert told[1].startswith("✗ endpoint acme  connection refused")
    assert err == "forwarder: 2 connections failed; what is to be done stands above\n"


def test_check_connect_is_content_with_a_host_that_takes_connections(
    run: Run, tmp_path: Path
) -> None:
    """Nothing is sent: a connection is enough."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"url: http://127.0.0.1:{server.getsockname()[1]}/"
        (tmp_path / "routes.yaml").write_text(endpoint_with(url, "allow_private: true"))

        _, out, err = run("check", "--connect", **GOOD)
        assert _received(server) == b""

    assert re.search(r"^✓ endpoint acme  connects, \d+ ms$", out, re.MULTILINE)
    assert err == "forwarder: 1 connection failed; what is to be done stands above\n"


def _received(server: socket.socket) -> bytes:
    """What came over the connection that waits at the server."""
    taken, _ = server.accept()
    with taken, suppress(ConnectionResetError):
        return taken.recv(1024)
    return b""


def test_check_connect_tries_a_token_server_once(run: Run, tmp_path: Path) -> None:
    """Under the first endpoint that asks it; where nobody listens that is told, and never the client's secret."""
    auth = "auth: {oauth2: {token_url: http://127.0.0.1:1/token, client_id: me, client_secret: s3cret-of-ours}}"
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"url: http://127.0.0.1:{server.getsockname()[1]}/"
        text = endpoint_with(url, "allow_private: true", auth)
        other = text.partition("endpoints:\n")[2].replace("acme:", "home:")
        (tmp_path / "routes.yaml").write_text(text + other)

        code, out, err = run("check", "--connect", **GOOD)

    told = {line.partition("  ")[0]: line for line in out.splitlines() if "endpoint" in line[:12]}
    lines = [line for line in out.splitlines() if " (tokens)" in line]
    assert (code, len(lines)) == (1, 1)
    assert lines[0].startswith("✗ endpoint acme (tokens)  connection refused")
    assert told["✓ endpoint acme"]
    assert told["✓ endpoint home"]
    assert "s3cret-of-ours" not in out + err


def test_check_connect_is_content_with_a_token_server_that_takes_connections(
    run: Run, tmp_path: Path
) -> None:
    """No token is asked for: nothing but a connection is tried."""
    with serving_tokens() as tokens:
        auth = f"auth: {{oauth2: {{token_url: {tokens.token_url}, client_id: me, client_secret: s3cret-of-ours}}}}"
        (tmp_path / "routes.yaml").write_text(
            endpoint_with(f"url: {tokens.hook_url}", "allow_private: true", auth)
        )
        _, out, err = run("check", "--connect", **GOOD)
    assert re.search(r"^✓ endpoint acme \(tokens\)  connects, \d+ ms$", out, re.MULTILINE)
    assert tokens.forms == []
    assert "s3cret-of-ours" not in out + err
