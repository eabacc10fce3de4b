"""How far an editor of routes.yaml reaches: not to the service's own settings, nor out of FORWARDER_SECRETS_DIR."""

from pathlib import Path

import pytest
import yaml
from support.clock import HandClock
from support.routing import ENDPOINT, ENVIRON, endpoint_with, problems_of, secret

from forwarder.operator import look_at_routes
from forwarder.routes import LOOK_EVERY_SECONDS, Applied, EndpointName, RoutesFile, load_routes
from forwarder.routes.load import read_routes
from forwarder.routes.syntax import explain

ACME = EndpointName("acme")
OWN = {**ENVIRON, "FORWARDER_MQTT_PASSWORD": "hunter2", "forwarder_mqtt_password": "hunter2"}
PLACES = [
    "secret: {reference}",
    "headers: {{X-Key: '{reference}'}}",
    "auth: {{bearer: '{reference}'}}",
    "auth: {{basic: {{username: us, password: '{reference}'}}}}",
    "auth: {{basic: {{username: '{reference}', password: us}}}}",
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", ["FORWARDER_MQTT_PASSWORD", "forwarder_mqtt_password"])
def test_the_service_s_own_settings_are_sent_to_nobody(
    place: str, name: str, tmp_path: Path
) -> None:
    """Whoever edits routes.yaml must not have the password of the broker sent to a host of theirs."""
    text = endpoint_with(place.format(reference=f"env:{name}"))

    (problem,) = problems_of(text, folder=tmp_path, environ=OWN)

    assert f'"{name}" is a setting of the forwarder itself' in problem
    assert "hunter2" not in problem


def test_commands_that_need_no_secrets_refuse_it_too(tmp_path: Path) -> None:
    """`routes show` and `diff` say what the service will say."""
    file = tmp_path / "routes.yaml"
    file.write_text(endpoint_with("secret: env:FORWARDER_MQTT_PASSWORD"))

    assert look_at_routes(file).routes is None


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """A folder of secrets, laid out as Kubernetes mounts it, and files outside of it."""
    folder = tmp_path / "secrets"
    dated = folder / "..2025_11_18"
    dated.mkdir(parents=True)
    (dated / "acme").write_text(f"{secret()}\n")
    (folder / "..data").symlink_to(dated.name)
    (folder / "acme").symlink_to("..data/acme")
    (folder / "escape").symlink_to("../outside")
    (tmp_path / "outside").write_text(secret(40))
    return folder


def problems_within(folder: Path, secrets: Path, text: str) -> list[str]:
    file = folder / "routes.yaml"
    file.write_text(text)
    return list(read_routes(file, environ=ENVIRON, secrets_dir=secrets).problems)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "path", ["outside", "secrets/escape", "secrets/../outside", "{folder}/outside"]
)
def test_no_reference_leads_out_of_the_folder(
    place: str, path: str, tmp_path: Path, secrets: Path
) -> None:
    """By whichever way: what is outside is not read, and the sentence says where it belongs."""
    text = endpoint_with(place.format(reference=f"file:{path.format(folder=tmp_path)}"))

    (problem,) = problems_within(tmp_path, secrets, text)

    assert problem.endswith(f"leads out of FORWARDER_SECRETS_DIR ({secrets}); move it there")


@pytest.mark.parametrize("place", PLACES)
def test_a_kubernetes_mount_stays_inside(place: str, tmp_path: Path, secrets: Path) -> None:
    """Its links lead from one place in the folder to another."""
    text = endpoint_with(place.format(reference="file:secrets/acme"))

    assert problems_within(tmp_path, secrets, text) == []


def test_a_key_outside_the_folder_is_not_used(tmp_path: Path, secrets: Path) -> None:
    """Whoever names a certificate's key speaks in its name; a CA is public, and is not confined."""
    for name in ("cert", "key", "ca"):
        (tmp_path / name).write_text("none")

    pair = problems_within(
        tmp_path, secrets, endpoint_with("tls: {cert_file: cert, key_file: key}")
    )
    authority = problems_within(tmp_path, secrets, endpoint_with("tls: {ca_file: ca}"))

    assert "leads out of FORWARDER_SECRETS_DIR" in pair[0]
    assert "holds no certificate" in authority[0]


def test_lists_of_devices_are_not_confined(tmp_path: Path, secrets: Path) -> None:
    """They lie beside routes.yaml, and what is in them goes nowhere."""
    (tmp_path / "fleet.txt").write_text("ECC9FF5C7AD4\n")
    text = "groups: {fleet: {file: fleet.txt}}\n" + ENDPOINT

    assert problems_within(tmp_path, secrets, text) == []


def test_a_file_that_is_also_a_list_of_devices_is_confined_all_the_same(
    tmp_path: Path, secrets: Path
) -> None:
    """What was read for one purpose is not at hand for another."""
    text = "groups: {fleet: {file: outside}}\n" + endpoint_with("secret: file:outside")

    problems = problems_within(tmp_path, secrets, text)

    assert any("leads out of FORWARDER_SECRETS_DIR" in problem for problem in problems)


def test_a_swapped_mount_is_noticed(tmp_path: Path, secrets: Path) -> None:
    """A new Secret takes effect, although the path that was resolved for the old one is gone."""
    file, clock = tmp_path / "routes.yaml", HandClock()
    file.write_text(endpoint_with("secret: file:secrets/acme"))
    running = RoutesFile(file, environ=ENVIRON, clock=clock, secrets_dir=secrets)
    running.load()
    renewed = secrets / "..2025_11_19"
    renewed.mkdir()
    (renewed / "acme").write_text(secret(40))
    (secrets / "..data.new").symlink_to(renewed.name)
    (secrets / "..data.new").rename(secrets / "..data")

    told = []
    for _ in range(4):
        clock.advance(LOOK_EVERY_SECONDS)
        told.append(running.check())

    (applied,) = [reload for reload in told if reload is not None]
    assert isinstance(applied, Applied)
    assert applied.diff.lines() == ["~ acme: secret changed"]


@pytest.mark.parametrize(
    "written", [b"\xef\xbb\xbf%s\r\n", b"%s  \t\n\n", b"\r\n%s", b"\xef\xbb\xbf%s"]
)
def test_a_secret_is_read_as_every_other_is(written: bytes, tmp_path: Path) -> None:
    """Byte order mark, Windows line ends and trailing blanks do not count (lima-vm/lima#5280)."""
    (tmp_path / "acme").write_bytes(written % secret().encode())
    file = tmp_path / "routes.yaml"
    file.write_text(endpoint_with("secret: file:acme"))

    assert load_routes(file, environ={}).endpoints[ACME].keys[0].secret == bytes(range(32))


FORGED = [
    endpoint_with('headers: {"x\\nforged: line": y}'),
    endpoint_with('headers: {"x\\u2028forged: line": {}}'),
    endpoint_with('"x\\nforged: line": y'),
    endpoint_with('secret: "file:x\\nforged: line"'),
    endpoint_with('tls: {ca_file: "x\\nforged: line"}'),
    endpoint_with('auth: {"x\\nforged: line": y}'),
    'groups: {g: {file: "x\\nforged: line"}}\n' + ENDPOINT,
    '"x\\nforged: line": 1\n' + ENDPOINT,
]


@pytest.mark.parametrize("text", FORGED)
def test_no_name_forges_a_line(text: str, tmp_path: Path) -> None:
    """A line break in a name or path does not make a second line of an error."""
    problems = problems_of(text, folder=tmp_path)

    assert problems
    assert all(problem.isprintable() for problem in problems)


QUOTED = [
    pytest.param("secret: *hunter2", "this alias names no anchor", id="an alias"),
    pytest.param("secret: !hunter2", "tags are not supported", id="a tag"),
    pytest.param('secret: "\\q hunter2"', "", id="an escape that YAML does not know"),
    pytest.param("secret: %hunter2", "", id="a character that begins nothing"),
    pytest.param("secret: @hunter2", "", id="a reserved character"),
    pytest.param("secret: hunter2: x", "", id="a second colon"),
    pytest.param("url: http://a.example/?hunter2 x", "", id="a URL with a space"),
    pytest.param("auth: {bearer: [hunter2]}", "", id="a list for a text"),
    pytest.param("headers: {x: [hunter2]}", "", id="a list for a header"),
    pytest.param("headers: hunter2", "", id="a text for headers"),
]


@pytest.mark.parametrize(("setting", "expected"), QUOTED)
def test_a_password_that_means_something_in_yaml_is_not_repeated(
    setting: str, expected: str, tmp_path: Path
) -> None:
    """Passwords begin with any character; the sentence tells the place, and to quote them."""
    problems = problems_of(endpoint_with(setting), folder=tmp_path)

    assert expected in str(problems)
    assert "hunter2" not in str(problems)


@pytest.mark.parametrize("text", ["secret: !hunter2!x y", "secret: !<hunter2 x> y", "%hunter2 x\n"])
def test_a_parser_without_libyaml_quotes_nothing_either(text: str) -> None:
    """PyYAML's own parser quotes what it complains about; of that only single characters are passed on."""
    with pytest.raises(yaml.YAMLError) as complaint:
        list(yaml.parse(text, Loader=yaml.SafeLoader))

    assert "hunter2" not in explain(complaint.value, text).text
