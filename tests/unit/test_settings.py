"""Settings: where they come from, what they may be, and what is said when they may not."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from forwarder.errors import SettingsError
from forwarder.settings import (
    Broker,
    Settings,
    environment,
    load_settings,
    settings_schema,
    unknown_settings,
)
from forwarder.settings.broker import parse_topics
from forwarder.settings.model import settings_of

USERNAME = "whatwatt.integration.client.acmeenergy"
GIVEN = {
    "MQTT_URI": "mqtts://broker.example",
    "MQTT_USERNAME": USERNAME,
    "MQTT_PASSWORD": "hunter2",
}

Environ = Callable[[Mapping[str, str]], None]


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Environ:
    """Gives the process these settings, and no others; it works in an empty folder."""
    monkeypatch.chdir(tmp_path)
    for name in environment():
        if name.startswith("FORWARDER_"):
            monkeypatch.delenv(name)

    def give(values: Mapping[str, str]) -> None:
        for name, value in values.items():
            monkeypatch.setenv(f"FORWARDER_{name}", value)

    return give


def problems(settings: Callable[[], object]) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        settings()
    return str(caught.value).splitlines()


def test_what_whatwatt_sends_is_enough(environ: Environ) -> None:
    """URI, username and password: topic and client id follow from the username."""
    environ(GIVEN)

    assert load_settings().broker() == Broker(
        host="broker.example",
        port=8883,
        use_tls=True,
        client_id=USERNAME,
        topics=("ext/acmeenergy/#",),
        username=USERNAME,
        password="hunter2",
    )


def test_defaults_need_no_environment(environ: Environ) -> None:
    """Nothing is required to look at routes or the outbox."""
    settings = load_settings()

    assert settings.outbox_place == Path("data/outbox.db")
    assert settings.listen_address == ("127.0.0.1", 8080)
    assert (settings.mqtt_session_expiry, settings.keep_dead) == (604800.0, 2592000.0)
    assert settings.outbox_max_bytes == 10 * 2**30


def test_environment_comes_before_the_env_file(environ: Environ, tmp_path: Path) -> None:
    """`.env` gives what the process was not given."""
    (tmp_path / ".env").write_text(
        "FORWARDER_MQTT_QOS=0\nFORWARDER_LOG_LEVEL=debug\nKEY=from file\n"
    )
    environ({"LOG_LEVEL": "error"})

    settings = load_settings()

    assert (settings.mqtt_qos, settings.log_level) == (0, "error")
    assert environment()["KEY"] == "from file"


def test_empty_variable_is_as_good_as_none(environ: Environ) -> None:
    """Compose files pass on what is not set as an empty text."""
    environ({"MQTT_CLIENT_ID": "", "LOG_FORMAT": "", "KEEP_DEAD": ""})

    assert load_settings() == Settings()


@pytest.mark.parametrize("from_env_file", [False, True])
def test_secret_is_read_from_its_file(
    from_env_file: bool, environ: Environ, tmp_path: Path
) -> None:
    """A container's secret: without the line end, and also when `.env` names the file."""
    (tmp_path / "password").write_text("hunter2\n")
    if from_env_file:
        (tmp_path / ".env").write_text("FORWARDER_MQTT_PASSWORD_FILE=password\n")
    else:
        environ({"MQTT_PASSWORD_FILE": "password"})

    password = load_settings().mqtt_password

    assert password is not None
    assert password.get_secret_value() == "hunter2"


WRONG = [
    ("MQTT_QOS", "2", "expected at most 1"),
    ("MQTT_QOS", "one", "expected a whole number"),
    ("MQTT_PROTOCOL", "4", "expected 3.1.1 or 5"),
    ("MQTT_TLS_HOSTNAME_CHECK", "maybe", "expected true or false"),
    ("MQTT_KEEPALIVE", "60", "expected a duration such as 500ms, 10s, 5m, 24h or 7d"),
    ("MQTT_KEEPALIVE", "1s", "expected at least 5s"),
    ("MAX_MESSAGE_BYTES", "64kB", "expected a size such as 65536, 64KiB, 512MiB or 10GiB"),
    ("OUTBOX_MAX_BYTES", "1KiB", "expected at least 1048576"),
    ("QUARANTINE_MAX_BYTES", "5%", "expected a size such as 65536, 64KiB, 512MiB or 10GiB"),
    ("QUARANTINE_MAX_BYTES", "6GiB", "expected at most half of FORWARDER_OUTBOX_MAX_BYTES"),
    ("TIMEZONE", "Zurich", "expected an IANA time zone such as Europe/Zurich"),
    ("HTTP_LISTEN", "8080", "expected host:port such as 127.0.0.1:8080"),
    ("LOG_FORMAT", "xml", "expected console or json"),
    ("LOG_LEVEL", "loud", "expected debug, info, warning or error"),
    ("DRAIN_TIMEOUT", "soon", "expected a duration such as 500ms, 10s, 5m, 24h or 7d"),
]


@pytest.mark.parametrize(("name", "value", "expected"), WRONG)
def test_wrong_setting_has_its_sentence(
    name: str, value: str, expected: str, environ: Environ
) -> None:
    environ({name: value})

    assert problems(load_settings) == [f"FORWARDER_{name}: {expected}"]


def test_all_wrong_settings_are_told_at_once(environ: Environ) -> None:
    """Files and values together, one line each."""
    environ({"MQTT_QOS": "7", "LOG_LEVEL": "loud", "MQTT_PASSWORD_FILE": "nowhere"})

    assert problems(load_settings) == [
        "FORWARDER_MQTT_PASSWORD_FILE: cannot read nowhere: No such file or directory",
        "FORWARDER_MQTT_QOS: expected at most 1",
        "FORWARDER_LOG_LEVEL: expected debug, info, warning or error",
    ]


def test_username_in_a_file_is_hidden(environ: Environ, tmp_path: Path) -> None:
    """What a file says is not told, also where it names who we are."""
    (tmp_path / "name").write_text("somebody\n")
    environ({"MQTT_URI": "mqtts://a", "MQTT_USERNAME_FILE": "name", "MQTT_TOPIC": "ext/#"})
    broker = load_settings().broker()
    assert (broker.username, "somebody" in broker.told_client_id) == ("somebody", False)
    assert "somebody" not in broker.deployment
    assert broker.deployment != replace(broker, username="other", client_id="other").deployment


SECRET_FILES = [
    (b"", "FORWARDER_MQTT_PASSWORD_FILE: the file secret is empty"),
    (b"\xff\xfe", "FORWARDER_MQTT_PASSWORD_FILE: secret is not UTF-8 text (line 1)"),
]


@pytest.mark.parametrize(("content", "expected"), SECRET_FILES)
def test_unusable_secret_file_has_its_sentence(
    content: bytes, expected: str, environ: Environ, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_bytes(content)
    environ({"MQTT_PASSWORD_FILE": "secret"})

    assert problems(load_settings) == [expected]


def test_secret_given_twice_is_refused(environ: Environ, tmp_path: Path) -> None:
    """Nobody should have to know which of the two wins."""
    (tmp_path / "secret").write_text("hunter2")
    environ({"MQTT_PASSWORD_FILE": "secret", "MQTT_PASSWORD": "hunter3"})

    assert problems(load_settings) == [
        "FORWARDER_MQTT_PASSWORD and FORWARDER_MQTT_PASSWORD_FILE are both set; keep one of them"
    ]


def test_unreadable_env_file_has_its_sentence(environ: Environ, tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes("FORWARDER_TIMEZONE=Zürich".encode("latin-1"))

    assert problems(load_settings) == [".env is not UTF-8 text (line 1)"]


URIS = [
    ("mqtt://broker.example", ("broker.example", 1883, False)),
    ("mqtts://broker.example/", ("broker.example", 8883, True)),
    ("mqtt://broker.example:2883", ("broker.example", 2883, False)),
    ("mqtts://[2606:4700::1]:443", ("2606:4700::1", 443, True)),
]


@pytest.mark.parametrize(("uri", "expected"), URIS)
def test_uri_is_taken_apart(uri: str, expected: tuple[str, int, bool], environ: Environ) -> None:
    environ({**GIVEN, "MQTT_URI": uri, "MQTT_ALLOW_PLAIN": "true"})

    broker = load_settings().broker()

    assert (broker.host, broker.port, broker.use_tls) == expected


WRONG_URIS = [
    "broker.example",
    "https://broker.example",
    "mqtt://",
    "mqtt://broker.example:0",
    "mqtt://broker.example:99999",
    "mqtt://broker.example/topic",
    "mqtt://broker.example?x=1",
    "mqtt://[::1",
]


@pytest.mark.parametrize("uri", WRONG_URIS)
def test_other_uri_has_its_sentence(uri: str, environ: Environ) -> None:
    environ({**GIVEN, "MQTT_URI": uri})

    assert problems(load_settings().broker) == [
        "FORWARDER_MQTT_URI: expected mqtt://host[:1883] or mqtts://host[:8883]"
    ]


@pytest.mark.parametrize("host", ["broker.example", "10.1.2.3", "[fd00::1]", "localhost.example"])
def test_password_is_not_sent_in_clear_unasked(host: str, environ: Environ) -> None:
    """Whoever listens on the way would have the password, and every reading with it."""
    environ({**GIVEN, "MQTT_URI": f"mqtt://{host}"})

    (told,) = problems(load_settings().broker)

    assert told.startswith("FORWARDER_MQTT_URI: mqtt:// sends the password in clear; use mqtts://")
    assert "FORWARDER_MQTT_ALLOW_PLAIN=true" in told


@pytest.mark.parametrize("uri", ["mqtt://localhost", "mqtt://127.3.2.1", "mqtt://[::1]:1884"])
def test_password_may_go_to_this_machine_in_clear(uri: str, environ: Environ) -> None:
    """Nobody listens between a machine and itself."""
    environ({**GIVEN, "MQTT_URI": uri})

    assert load_settings().broker().password == "hunter2"


def test_without_a_password_nothing_is_given_away(environ: Environ) -> None:
    """An anonymous broker may be spoken to in clear."""
    given = {name: value for name, value in GIVEN.items() if name != "MQTT_PASSWORD"}
    environ({**given, "MQTT_URI": "mqtt://broker.example"})

    assert not load_settings().broker().use_tls


def test_hostname_check_is_off_for_pinned_certificates_alone(environ: Environ) -> None:
    """With the system's CAs, whoever has a certificate for any name could be the broker."""
    environ({**GIVEN, "MQTT_TLS_HOSTNAME_CHECK": "false"})

    assert problems(load_settings().broker) == [
        "FORWARDER_MQTT_TLS_HOSTNAME_CHECK=false needs FORWARDER_MQTT_CA_FILE with the broker's own certificate"
    ]


def test_networks_are_lists_of_cidrs(environ: Environ) -> None:
    """Separated by spaces or commas; empty means none."""
    environ({**GIVEN, "DENY_NETWORKS": "10.0.0.0/8, fd00::/8", "ALLOW_NETWORKS": ""})

    settings = load_settings()

    assert [str(network) for network in settings.deny_networks] == ["10.0.0.0/8", "fd00::/8"]
    assert settings.allow_networks == ()


def test_wrong_network_has_its_sentence(environ: Environ) -> None:
    """A slip must not open what was meant to be closed."""
    environ({**GIVEN, "DENY_NETWORKS": "10.0.0.0/33"})

    assert problems(load_settings) == [
        'FORWARDER_DENY_NETWORKS: "10.0.0.0/33" is no network; write networks as 10.0.0.0/8 or 2001:db8::/32'
    ]


def test_credentials_in_the_uri_are_refused_and_not_repeated(environ: Environ) -> None:
    environ({**GIVEN, "MQTT_URI": "mqtts://user:hunter2@broker.example"})

    assert problems(load_settings().broker) == [
        "FORWARDER_MQTT_URI holds credentials; move them to FORWARDER_MQTT_USERNAME and FORWARDER_MQTT_PASSWORD"
    ]


def test_all_that_is_missing_for_the_broker_is_told_at_once(environ: Environ) -> None:
    """No URI, no topic, half a client certificate, and a password without its username."""
    environ({"MQTT_PASSWORD": "hunter2", "MQTT_CERT_FILE": "nowhere.pem"})

    told = problems(load_settings().broker)

    assert [line.split()[0].rstrip(":") for line in told] == [
        "FORWARDER_MQTT_URI",
        "FORWARDER_MQTT_TOPIC",
        "FORWARDER_MQTT_CERT_FILE",
        "FORWARDER_MQTT_CERT_FILE",
        "FORWARDER_MQTT_PASSWORD",
    ]


@pytest.mark.parametrize(
    ("setting", "topic", "trusts"),
    [
        pytest.param("", "", False, id="whatwatt's own topic"),
        pytest.param("auto", "lab/#", True, id="a topic that the operator chose"),
        pytest.param("true", "", True, id="whatwatt's topic, and everybody is trusted"),
        pytest.param("false", "lab/#", False, id="nobody is"),
    ],
)
def test_who_may_name_a_device(setting: str, topic: str, trusts: bool, environ: Environ) -> None:
    """The payload's own MAC counts where the operator says so, or has chosen whom he listens to."""
    environ(GIVEN | {"TRUST_PAYLOAD_DEVICE": setting, "MQTT_TOPIC": topic})
    assert load_settings().trusts_payload_device is trusts


def test_several_topics_are_separated_by_spaces(environ: Environ) -> None:
    """Each once, in their order."""
    environ({**GIVEN, "MQTT_TOPIC": "ext/acme/# lab/+/power  ext/acme/#"})

    assert load_settings().broker().topics == ("ext/acme/#", "lab/+/power")


@pytest.mark.parametrize("topic", ["a/#/b", "a#", "#/a", "a/b+", "+a/b"])
def test_wildcard_in_a_wrong_place_is_refused(topic: str) -> None:
    """The broker would end the connection without a word (MQTT 3.1.1 §4.7.1)."""
    with pytest.raises(ValueError, match="is no topic filter"):
        parse_topics(topic, username=None)


@pytest.mark.parametrize("integration", ["acmeenergy", "energy24", "my-co", "a_b"])
def test_topic_follows_from_the_username(integration: str) -> None:
    """Names that whatwatt may come to give out are taken as they stand."""
    username = f"whatwatt.integration.client.{integration}"

    assert parse_topics(None, username=username) == (f"ext/{integration}/#",)


UNDERIVABLE = [
    ("Acme", "is not of the form whatwatt.integration.client.<integration>"),
    ("whatwatt.integration.client.Acme", "is not of lower-case letters"),
    ("whatwatt.integration.client.", "is not of lower-case letters"),
    ("whatwatt.integration.client.a/#", "is not of lower-case letters"),
    (None, "is not of the form"),
]


@pytest.mark.parametrize(("username", "why"), UNDERIVABLE)
def test_topic_that_does_not_follow_says_why(username: str | None, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_topics(None, username=username)


OUTBOXES = [
    ("sqlite:///data/outbox.db", Path("data/outbox.db")),
    ("sqlite:////var/lib/forwarder/outbox.db", Path("/var/lib/forwarder/outbox.db")),
    ("sqlite:///with%20space.db", Path("with space.db")),
]


@pytest.mark.parametrize(("url", "path"), OUTBOXES)
def test_outbox_url_names_a_file(url: str, path: Path, environ: Environ) -> None:
    """Three slashes: relative; four: absolute."""
    environ({"OUTBOX_URL": url})

    assert load_settings().outbox_place == path


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://outbox.db",
        "outbox.db",
        "sqlite:///",
        "postgresql://u:hunter2@db",
        "mysql://u:hunter2@db/x",
    ],
)
def test_other_outbox_url_has_its_sentence_without_its_password(url: str, environ: Environ) -> None:
    environ({"OUTBOX_URL": url})

    (problem,) = problems(lambda: load_settings().outbox_place)

    assert problem.startswith("FORWARDER_OUTBOX_URL: ")
    assert "hunter2" not in problem


def test_settings_do_not_show_their_secrets(environ: Environ) -> None:
    """Neither the settings nor the broker repeat a password when they are printed."""
    environ(
        {
            **GIVEN,
            "OUTBOX_URL": "sqlite:///hunter2",
            "PROXY_URL": "http://u:hunter2@proxy",
            "HEARTBEAT_URL": "https://ping.example/hunter2",
        }
    )

    settings = load_settings()

    assert "hunter2" not in f"{settings!r} {settings} {settings.broker()!r}"


@pytest.mark.parametrize(
    "url", ["hunter2", "ftp://hunter2", "https:///hunter2", "http://[hunter2", "https://h:hunter2"]
)
def test_heartbeat_url_that_is_none_is_refused_without_being_repeated(
    environ: Environ, url: str
) -> None:
    environ({"HEARTBEAT_URL": url})

    with pytest.raises(SettingsError, match="FORWARDER_HEARTBEAT_URL: expected a URL") as refused:
        load_settings()

    assert "hunter2" not in str(refused.value)


def test_unknown_variable_is_told_with_the_nearest_setting() -> None:
    """A misspelt setting would silently have no effect."""
    names = {
        "FORWARDER_MQTT_QSO": "1",
        "FORWARDER_COLOUR": "1",
        "PATH": "/",
    }

    assert unknown_settings(names) == [
        "FORWARDER_COLOUR is no setting and is ignored",
        "FORWARDER_MQTT_QSO is no setting and is ignored; did you mean FORWARDER_MQTT_QOS?",
    ]


def test_schema_knows_every_setting_and_its_default() -> None:
    """Also the files of secrets; defaults as people write them."""
    schema = settings_schema()
    Draft202012Validator.check_schema(schema)

    known = schema["properties"]

    assert {f"FORWARDER_{name.upper()}" for name in Settings.model_fields} <= known.keys()
    assert known["FORWARDER_KEEP_DELIVERED"]["default"] == "1d"
    assert known["FORWARDER_OUTBOX_MAX_BYTES"]["default"] == "10GiB"
    assert known["FORWARDER_LOG_FORMAT"]["enum"] == ["console", "json"]
    assert "FORWARDER_MQTT_PASSWORD_FILE" in known
    assert all(value["description"] for value in known.values())
    assert json.dumps(schema)


@given(st.text(alphabet="ab/#+$ ", min_size=1))
def test_topics_are_filters_or_refused(text: str) -> None:
    """Whatever is written: what is accepted has its wildcards alone in their levels, # at the end."""
    try:
        topics = parse_topics(text, username=USERNAME)
    except ValueError:
        return
    for topic in topics:
        *before, last = topic.split("/")
        assert last == "#" or "#" not in last
        assert all("#" not in level and ("+" not in level or level == "+") for level in before)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://Forwarder.example/", "https://forwarder.example"),
        ("http://10.0.0.1:8080", "http://10.0.0.1:8080"),
        ("forwarder.example", None),
        ("https://forwarder.example/page", None),
        ("https://u:p@forwarder.example", None),
        ("ftp://forwarder.example", None),
        ("https://[::1", None),
    ],
)
def test_public_url_is_an_address_alone(given: str, kept: str | None) -> None:
    """A scheme and a host, which Host and Origin are compared with."""
    environ = {"FORWARDER_PUBLIC_URL": given}
    if kept is None:
        with pytest.raises(SettingsError, match="FORWARDER_PUBLIC_URL: expected http"):
            settings_of(environ)
    else:
        assert settings_of(environ).public_url == kept


def test_short_admin_token_is_refused() -> None:
    """It could be guessed; the sentence says how long one has to be, and nothing of it."""
    with pytest.raises(SettingsError) as refused:
        settings_of({"FORWARDER_ADMIN_TOKEN": "sesame"})
    assert "FORWARDER_ADMIN_TOKEN" in str(refused.value)
    assert "16" in str(refused.value)
    assert "sesame" not in str(refused.value)
