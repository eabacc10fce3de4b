"""What `check` says of the files themselves, and how commands take a file that was named by hand."""

import os
import threading
from pathlib import Path

import pytest
from support.installation import FILES, Installation, install
from support.shell import Operator

from forwarder.settings import load_settings


@pytest.fixture
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    monkeypatch.chdir(tmp_path)
    return install(tmp_path)


@pytest.fixture
def operator(installation: Installation) -> Operator:
    return Operator(installation.folder, dict(installation.settings))


@pytest.mark.parametrize("file", FILES)
def test_a_file_that_everybody_may_change_is_warned_of(operator: Operator, file: str) -> None:
    """Secrets, routes and .env decide who gets the readings; only their owner should."""
    assert "may be changed by everybody" not in operator.says("check")
    (operator.folder / file).chmod(0o666)

    warning = f"warning: {file} may be changed by everybody on this machine; take that right away (chmod o-w)"

    assert operator.says("check").count(warning) == 1


def test_a_data_directory_that_others_may_write_into_is_warned_of(operator: Operator) -> None:
    """Whoever may write there may take the outbox away."""
    (operator.folder / "data").mkdir(mode=0o750)
    assert "data directory" not in operator.says("check")
    (operator.folder / "data").chmod(0o777)

    assert "warning: the data directory data may be written by others" in operator.says("check")


def test_the_name_of_a_variable_forges_no_line(operator: Operator) -> None:
    """The environment may hold any name; it is told on one line."""
    operator.environment["FORWARDER_X\x1b[2J\u2028forged"] = "1"

    warnings = operator.says("check").splitlines()

    assert any("FORWARDER_X�[2J�forged is no setting" in line for line in warnings)


def test_the_proxy_s_password_may_stand_in_a_file(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then `docker inspect` does not show it."""
    for name, value in installation.settings.items():
        monkeypatch.setenv(name, value)

    proxy_url = load_settings().proxy_url

    assert proxy_url is not None
    assert proxy_url.get_secret_value() == "http://user:proxy-value@127.0.0.1:1"


@pytest.mark.parametrize("written", [b"\xef\xbb\xbf%s", b"%s \r\n", b"\n%s\n\n"])
def test_every_secret_file_is_read_alike(
    installation: Installation, written: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What editors add to the file of a setting does not count either (lima-vm/lima#5280)."""
    for name, value in installation.settings.items():
        monkeypatch.setenv(name, value)
    for name in ("mqtt-username", "mqtt-password"):
        (installation.folder / name).write_bytes(written % b"hunter2")
    (installation.folder / ".env").write_bytes(b"\xef\xbb\xbfFORWARDER_KEEP_DEAD=7d\r\n")

    settings = load_settings()

    assert settings.mqtt_password is not None
    assert (settings.mqtt_username, settings.mqtt_password.get_secret_value()) == ("hunter2",) * 2
    assert settings.keep_dead == 604800.0


def piped(folder: Path, content: bytes) -> tuple[str, threading.Thread]:
    """What a shell makes of `<(…)`."""
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(content,))
    writer.start()
    return str(pipe), writer


def test_routes_of_a_pipe_are_compared(operator: Operator) -> None:
    """`forwarder routes diff <(git show HEAD:routes.yaml)` says what the edit changes."""
    today = (operator.folder / "routes.yaml").read_bytes()
    old = today.replace(b'devices: "*"', b"devices: [001122334455]")
    pipe, writer = piped(operator.folder, old)

    assert "~ home gains every device but 001122334455\n" in operator.says("routes", "diff", pipe)
    writer.join()


def test_a_payload_of_a_pipe_is_decoded(operator: Operator) -> None:
    """`forwarder decode <(echo …)`: who named it meant it."""
    pipe, writer = piped(operator.folder, b'{"p": 1, "t": 1763461060}')

    assert '"active_power_import_kw":1' in operator.says(
        "decode", "--json", "--topic", "ext/example/ECC9FF5C7AD4", pipe
    )
    writer.join()


def test_decode_shows_the_request_of_an_endpoint(operator: Operator) -> None:
    """What the endpoint would get, without its secrets and without sending anything."""
    template = '{"kw": ${active_power_import_kw}, "who": "${device}"}'
    (operator.folder / "home.json").write_text(template)
    operator.write_routes(
        'endpoints: {home: {url: "https://home.example", secret: "env:NOT_HERE", devices: "*",'
        ' format: template, template: "file:home.json"}}'
    )
    (operator.folder / "payload").write_text('{"p": 1.5, "t": 1763461060}')
    arguments = ("decode", "--topic", "ext/example/ECC9FF5C7AD4", "--endpoint", "home", "payload")

    told = operator.says(*arguments)
    as_json = operator.json(*arguments)

    assert told.startswith("content-type: application/json\nwebhook-id: msg_")
    assert told.endswith('\n\n{"kw":1.5,"who":"ECC9FF5C7AD4"}\n')
    assert as_json["request"]["body"] == '{"kw":1.5,"who":"ECC9FF5C7AD4"}'
    assert as_json["reading"]["measurements"]


def test_a_template_of_a_pipe_is_used(operator: Operator) -> None:
    pipe, writer = piped(operator.folder, b'{"w": ${1_7_0}}')
    (operator.folder / "payload").write_text('{"w": 1}')

    said = operator.says(
        "decode", "--json", "--template", pipe, "--topic", "ext/x/ECC9FF5C7AD4", "payload"
    )

    assert '"active_power_import_kw":1' in said
    writer.join()


@pytest.mark.parametrize("arguments", [("routes", "diff"), ("decode", "--template")])
def test_a_folder_named_by_hand_has_its_sentence(
    operator: Operator, arguments: tuple[str, ...]
) -> None:
    assert "directory" in operator.fails(*arguments, "/")


def test_a_payload_that_cannot_be_read_has_its_sentence(operator: Operator) -> None:
    """What goes wrong in the middle of a file is no traceback."""
    assert operator.fails("decode", "/proc/self/mem") == (
        "cannot read /proc/self/mem: Input/output error"
    )
