"""`forwarder init`: whatwatt's five facts become a set-up that `check` finds nothing wrong with."""

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.certificates import Authority
from support.shell import Operator

from forwarder.cli.init import Facts, written
from forwarder.routes.load import read_routes
from forwarder.routes.spec import is_name
from forwarder.settings import settings_of
from forwarder.settings.env_file import parse

PASSWORD = "it's $5 #net"
GIVEN = (
    "init", "--uri", "mqtts://mqtt.example:8883", "--username", "whatwatt.integration.client.acmeenergy",
    "--password", "file:password",
)  # fmt: skip


@pytest.fixture
def newcomer(operator: Operator, tmp_path: Path) -> Operator:
    """Somebody in an empty folder, but for a file with the password."""
    (tmp_path / "routes.yaml").unlink()
    (tmp_path / "password").write_text(PASSWORD + "\n")
    return operator


def variables(folder: Path) -> dict[str, str]:
    return dict(parse((folder / ".env").read_text(), name=".env").values)


def test_facts_become_a_set_up(newcomer: Operator, tmp_path: Path) -> None:
    """With flags, for scripts; nothing is asked, and the secrets are said nowhere."""
    Authority(tmp_path).ca_file.rename(tmp_path / "whatwatt.pem")
    said = newcomer.says(
        *GIVEN, "--certificate", "whatwatt.pem", "--url", "https://acme.example/in"
    )

    found = variables(tmp_path)
    secret = found.pop("ACME_SECRET")
    assert found == {
        "FORWARDER_MQTT_URI": "mqtts://mqtt.example:8883",
        "FORWARDER_MQTT_CA_FILE": "whatwatt.pem",
        "FORWARDER_MQTT_USERNAME": "whatwatt.integration.client.acmeenergy",
        "FORWARDER_MQTT_PASSWORD": PASSWORD,
    }
    assert 'url: "https://acme.example/in"' in (tmp_path / "routes.yaml").read_text()
    assert "everything is valid" in said
    assert "forwarder send-test acme" in said
    assert secret not in said
    assert PASSWORD not in said


def test_only_its_owner_can_read_env_file(newcomer: Operator, tmp_path: Path) -> None:
    """Also where one that others could read is written over."""
    newcomer.says(*GIVEN)
    first = variables(tmp_path)["ACME_SECRET"]
    (tmp_path / ".env").chmod(0o644)
    with (tmp_path / ".env").open("a") as file:
        file.write("# more than is written anew" * 100)
    newcomer.says(*GIVEN, "--force")

    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    assert variables(tmp_path)["ACME_SECRET"] != first


@pytest.mark.parametrize("name", [".env", "routes.yaml"])
def test_nothing_is_written_over_unasked(newcomer: Operator, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")

    assert newcomer.fails(*GIVEN) == f"{name} is there already; --force writes over it"
    assert (tmp_path / name).read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} == {name, "password"}


def test_receiver_of_one_s_own_is_ready_for_listen(newcomer: Operator, tmp_path: Path) -> None:
    """Whoever has no receiver yet gets the routes for `forwarder listen`."""
    said = newcomer.says(*GIVEN)

    assert "forwarder listen --secret env:ACME_SECRET" in said
    routes = read_routes(tmp_path / "routes.yaml", environ=variables(tmp_path)).require()
    (endpoint,) = routes.endpoints.values()
    assert (endpoint.url, endpoint.allow_private) == ("http://127.0.0.1:9000/", True)


WRONG = [
    (("--uri", "https://mqtt.example"), "FORWARDER_MQTT_URI: expected mqtt://host"),
    (("--certificate", "password"), "FORWARDER_MQTT_CA_FILE: password holds no certificate"),
    (("--username", "energy24"), "FORWARDER_MQTT_TOPIC is not set and cannot be derived"),
    (("--password", "hunter2"), "--password: expected env:NAME or file:PATH"),
    (("--password", "env:NOWHERE"), '--password: the environment variable "NOWHERE" is not set'),
    (("--endpoint", "a b"), "--endpoint: expected a name"),
    (("--url", "http://acme.example/"), "https"),
]


@pytest.mark.parametrize(("given", "why"), WRONG)
def test_wrong_fact_has_its_sentence(
    newcomer: Operator, tmp_path: Path, given: tuple[str, ...], why: str
) -> None:
    """And nothing is written."""
    said = newcomer.fails(*GIVEN, *given)

    assert why in said
    assert "hunter2" not in said
    assert [path.name for path in tmp_path.iterdir()] == ["password"]


@pytest.mark.parametrize("option", ["--uri", "--username", "--password"])
def test_nobody_is_asked_without_a_terminal(newcomer: Operator, option: str) -> None:
    """A script ends instead of waiting for an answer."""
    place = GIVEN.index(option)

    said = newcomer.fails(*GIVEN[:place], *GIVEN[place + 2 :])

    assert said == f"{option} is missing, and there is no terminal to ask"


@given(
    st.text(st.characters(exclude_characters="\n\0", exclude_categories=["Cs"]), min_size=1),
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", fullmatch=True).filter(is_name),
)
def test_any_password_and_any_name_come_through(password: str, endpoint: str) -> None:
    """What is written is read as it was given."""
    facts = Facts("mqtts://h", "", "u", password, "a/#", endpoint, "https://a.example/")

    env_file, routes = written(facts, secret="whsec_" + "A" * 32)

    found = parse(env_file, name=".env")
    assert found.problems == ()
    settings = settings_of(found.values)
    assert settings.mqtt_password is not None
    assert settings.mqtt_password.get_secret_value() == password
    loaded = read_routes(Path("routes.yaml"), environ=found.values, content=routes.encode())
    assert list(loaded.require().endpoints) == [endpoint]
