"""
What a file, a setting, a URL or a header holds is told nowhere: not by a command, a log line, a metric, a traceback.

A sentinel stands in each place in turn, in sound and in broken surroundings, and everything that is said is searched.
Quoted on purpose are keys and names of routes.yaml, paths, and placeholders of templates.
"""

import base64
import json
import signal
import traceback
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.attack import Extent, Tried
from support.installation import FILES, OF_ROUTES, SECRET, install
from support.line import Line
from support.ports import free_port
from support.receiver_policies import always
from support.routing import ENVIRON
from support.service import Service
from support.shell import Operator
from support.webhooks import RESET, Answer, Webhooks

from forwarder.outbox.sqlite import file as outbox_file
from forwarder.routes.load import read_routes
from forwarder.settings import PREFIX, Settings

SENTINEL = "s3nt1nel-7f2a91"
ENCODED = base64.b64encode(SENTINEL.encode()).decode().rstrip("=")
LOCATING = frozenset(
    {"mqtt_uri", "mqtt_username", "mqtt_client_id", "mqtt_topic", "http_listen", "outbox_url", "routes_file"}
    | {"template_file", "secrets_dir", "mqtt_ca_file", "mqtt_cert_file", "mqtt_key_file"}
    | {"deny_networks", "allow_networks"}
)  # fmt: skip
"""Settings whose values name something that errors have to name: a path, a host, a network, a topic, who we are."""

CONTENTS = {
    "a word": f"{SENTINEL}\n".encode(),
    "lines": f"first {SENTINEL}\nsecond: {SENTINEL}, x\n".encode(),
    "no UTF-8": f"{SENTINEL} \xff {SENTINEL}".encode("latin-1"),
    "YAML": f"- {SENTINEL}\n- *{SENTINEL}\n".encode(),
    "a tag": f"a: !{SENTINEL} b\nc: {SENTINEL} d: e\n".encode(),
    "a certificate": f"-----BEGIN CERTIFICATE-----\n{SENTINEL}\n-----END CERTIFICATE-----\n".encode(),
    "a key": f"{SECRET[:-8]}{SENTINEL}".encode(),
    "much of it": f"{SENTINEL}\n".encode() * 2_000,
    "too much of it": f"{SENTINEL}\n".encode() * 600_000,
    "variables": f"${{1_7_0}}{SENTINEL}${{2_7_0}}${{3_7_0}}".encode(),
    "an assignment": f"FORWARDER_MQTT_PASSWORD='{SENTINEL}\nFORWARDER_LOG_LEVEL={SENTINEL}\n".encode(),
}
COMMANDS = (
    "check",
    "status",
    "status --json",
    "routes show",
    "routes show ECC9FF5C7AD4 --json",
    "routes diff routes.yaml.sound",
    "routes diff routes.yaml.sound routes.yaml --json",
    "decode payload.json",
    "decode --json payload.json",
    "send-test acme",
    "send-test home --json",
    "dead-letters list",
    "dead-letters replay --all --to home",
    "deliveries list --json",
    "quarantine list",
    "quarantine replay --all",
    "endpoints pause acme",
    "endpoints resume acme",
    "purge --device ECC9FF5C7AD4 --yes",
    "outbox check",
    "health",
    "schema settings",
)
QUICK = ("check", "status --json", "routes show", "decode payload.json", "send-test acme")


@pytest.fixture
def operator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Operator:
    """Someone at a shell beside a whole installation, whose service is not running."""
    monkeypatch.chdir(tmp_path)
    installation = install(tmp_path)
    outbox_file.create(tmp_path / "data" / "outbox.db")
    (tmp_path / "routes.yaml.sound").write_text((tmp_path / "routes.yaml").read_text())
    (tmp_path / "payload.json").write_text('{"p": 1, "t": 1763461060}')
    return Operator(tmp_path, dict(installation.settings))


def said_by(operator: Operator, command: str) -> str:
    """Everything that a command writes, and the traceback of how it ended, with every cause."""
    result = operator.run(*command.split())
    error = result.exception
    trace = "".join(traceback.format_exception(error)) if error else ""
    assert not isinstance(error, Exception) or error.__class__.__module__.startswith("forwarder"), (
        trace
    )
    return f"{result.output}{error!r}{trace}"


def assert_unsaid(said: str, *where: object) -> None:
    assert SENTINEL not in said, (*where, said)
    assert ENCODED not in said, (*where, said)


@pytest.mark.timeout(900)
def test_no_command_tells_what_is_in_a_file(
    operator: Operator, extent: Extent, tried: list[Tried]
) -> None:
    """Whatever is in the place of a file that settings or routes.yaml name."""
    commands = COMMANDS if extent == "full" else QUICK
    count = 0
    for file, (name, content) in product(FILES, CONTENTS.items()):
        path = operator.folder / file
        sound = path.read_bytes()
        path.write_bytes(content)
        # A wrong setting ends each command in the same way, so that one of them will do.
        for command in commands if file in OF_ROUTES else commands[:2]:
            assert_unsaid(said_by(operator, command), file, name, command)
            count += 1
        path.write_bytes(sound)
    tried.append(Tried("files", "a sentinel in each configured file", count, "said by no command"))


@pytest.mark.timeout(900)
def test_no_command_tells_a_setting(operator: Operator, extent: Extent, tried: list[Tried]) -> None:
    """Values are not repeated, sound or not, but for what names a path, a host, a network, a topic or ourselves."""
    commands = COMMANDS if extent == "full" else QUICK
    names = [name for name in Settings.model_fields if name not in LOCATING]
    for name, command in product(names, commands):
        variable = PREFIX + name.upper()
        kept = dict(operator.environment)
        operator.environment.pop(f"{variable}_FILE", None)
        operator.environment[variable] = SENTINEL
        assert_unsaid(said_by(operator, command), name, command)
        operator.environment = kept
    tried.append(
        Tried("settings", "a sentinel in each", len(names) * len(commands), "said by no command")
    )


CREDENTIALS = {
    "MQTT_URI": f"mqtts://us:{SENTINEL}@127.0.0.1:1",
    "PROXY_URL": f"http://us:{SENTINEL}@127.0.0.1:1",
    "PROXY_URL ": f"ftp://us:{SENTINEL}@127.0.0.1:1/{SENTINEL}",
    "OUTBOX_URL": f"postgresql://us:{SENTINEL}@127.0.0.1/db",
    "OUTBOX_URL ": f"mysql://us:{SENTINEL}@127.0.0.1/db?x={SENTINEL}",
    "HTTP_LISTEN": SENTINEL,
    "MQTT_QOS": SENTINEL,
    "ADMIN_TOKEN": SENTINEL[:15],
    "PUBLIC_URL": f"https://us:{SENTINEL}@forwarder.example",
}


@pytest.mark.parametrize("name", CREDENTIALS)
@pytest.mark.parametrize("is_in_env_file", [True, False])
def test_no_command_tells_what_is_secret_in_a_url(
    operator: Operator, name: str, is_in_env_file: bool
) -> None:
    """Passwords in settings, in the environment and in .env alike."""
    variable = PREFIX + name.strip()
    operator.environment.pop(f"{variable}_FILE", None)
    operator.environment.pop(variable, None)
    if is_in_env_file:
        (operator.folder / ".env").write_text(f"{variable}={CREDENTIALS[name]}\n")
    else:
        operator.environment[variable] = CREDENTIALS[name]
    for command in QUICK:
        assert_unsaid(said_by(operator, command), name, command)


ENDPOINT = """\
groups: {{fleet: [ECC9FF5C7AD4]}}
endpoints:
  acme:
    url: {url}
    secret: {secret}
    devices: "*"
    headers: {headers}
    auth: {auth}
"""
SOUND = {"url": "https://127.0.0.1:1/", "secret": SECRET, "headers": "{}", "auth": "null"}
BASIC = "{{basic: {{username: {}, password: {}}}}}"
PLACES = (
    ("url", f"https://us:{SENTINEL}@acme.example/"),
    ("url", f"https://{SENTINEL}@acme.example/"),
    ("url", f"https://acme.example/{SENTINEL}"),
    ("url", f"https://acme.example/?token={SENTINEL}"),
    ("url", f"https://acme.example/?{SENTINEL}"),
    ("url", f"https://acme.example/#{SENTINEL}"),
    ("url", f"https://acme.example/{SENTINEL} x"),
    ("url", f"https://acme.example/{{{SENTINEL}}}"),
    ("url", f"https://acme.example:{SENTINEL}/"),
    ("url", f"http://acme.example/{SENTINEL}"),
    ("url", f"ftp://acme.example/{SENTINEL}"),
    ("url", f"https://127.0.0.1:1/{SENTINEL}"),
    ("url", f"[{SENTINEL}]"),
    ("url", SENTINEL),
    ("secret", SENTINEL),
    ("secret", f"whsec_{SENTINEL}"),
    ("secret", f"[{SECRET}, {SENTINEL}]"),
    ("secret", f"whsk_{SENTINEL}"),
    ("secret", f"[[{SENTINEL}]]"),
    ("headers", f"{{X-Key: {SENTINEL}}}"),
    ("headers", f'{{X-Key: "{SENTINEL}\\n"}}'),
    ("headers", f"{{X-Key: [{SENTINEL}]}}"),
    ("headers", f"{{X Key: {SENTINEL}}}"),
    ("headers", f"{{Host: {SENTINEL}}}"),
    ("headers", f"[{SENTINEL}]"),
    ("headers", SENTINEL),
    ("auth", f"{{bearer: {SENTINEL}}}"),
    ("auth", f'{{bearer: "{SENTINEL} x"}}'),
    ("auth", f"{{bearer: {{token: [{SENTINEL}]}}}}"),
    ("auth", f"{{bearer: {SENTINEL}, basic: {{username: us, password: {SENTINEL}}}}}"),
    ("auth", BASIC.format("us", SENTINEL)),
    ("auth", BASIC.format("us", f'"{SENTINEL}\\n"')),
    ("auth", BASIC.format(f'"{SENTINEL}:"', "us")),
    ("auth", f"{{basic: [{SENTINEL}]}}"),
    ("auth", SENTINEL),
)


@pytest.mark.timeout(900)
def test_no_command_tells_a_secret_of_the_routes(
    operator: Operator, extent: Extent, tried: list[Tried]
) -> None:
    """Secrets, parts of URLs, headers and credentials: in endpoints, in defaults, sound or not."""
    commands = COMMANDS if extent == "full" else QUICK
    for (setting, value), command in product(PLACES, commands):
        operator.write_routes(ENDPOINT.format(**{**SOUND, setting: value}))
        assert_unsaid(said_by(operator, command), setting, value, command)
    for setting, value in PLACES:
        text = ENDPOINT.format(**SOUND).replace(
            "endpoints:", f"defaults: {{{setting}: {value}}}\nendpoints:"
        )
        operator.write_routes(text)
        assert_unsaid(said_by(operator, "check"), "defaults", setting, value)
    count = len(PLACES) * (len(commands) + 1)
    tried.append(
        Tried("routes.yaml", "a sentinel in each secret place", count, "said by no command")
    )


AROUND = st.text(alphabet="*!&%@`#|>'\"\\-~ .;$^()", max_size=4)
"""What passwords and YAML both use; what would make a key of the sentinel is left out, because keys are quoted."""


@given(before=AROUND, after=AROUND, setting=st.sampled_from(sorted(SOUND)))
def test_no_way_to_write_a_secret_has_it_repeated(before: str, after: str, setting: str) -> None:
    """Unquoted passwords that mean something in YAML: an alias, a tag, an anchor, a block, a broken quote."""
    value = f"{before}{SENTINEL}{after}"
    written = {"auth": f"{{bearer: {value}}}", "headers": f"{{X-Key: {value}}}"}.get(setting, value)
    text = ENDPOINT.format(**{**SOUND, setting: written})
    load = read_routes(Path("routes.yaml"), environ=ENVIRON, content=text.encode())
    assert_unsaid(f"{load.problems}{load.routes and load.routes.endpoints}", value)


_TOLD = {
    "an edit has": "routes.rejected",
    "an edit is in force": "routes.reloaded",
    "a file changed": "routes.unchanged",
}
"""What of the log for people tells an event that the test waits for."""


class AnyLog(Service):
    """A service whose log may be in the form for people: what is searched are its lines as they come."""

    def _take_log_line(self, line: str) -> None:
        told = next((event for words, event in _TOLD.items() if words in line), "")
        self.events.append(
            json.loads(line) if line.startswith("{") else {"event": told, "line": line}
        )


def _sentinels(line: Line) -> Iterator[tuple[str, dict[str, object]]]:
    """An endpoint for each place, and a sentinel in it."""
    yield "path", {"url": f"http://127.0.0.1:{free_port()}/{SENTINEL}"}
    yield "query", {"url": f"http://127.0.0.1:{free_port()}/?token={SENTINEL}"}
    yield "header", {"headers": {"X-Key": SENTINEL}}
    yield "bearer", {"auth": {"bearer": f"file:{line.folder}/bearer"}}
    yield "basic", {"auth": {"basic": {"username": "us", "password": "env:BASIC"}}}


@pytest.mark.parametrize("log_format", ["console", "json"])
async def test_the_running_service_tells_none(
    line: Line, log_format: str, extent: Extent, tried: list[Tried]
) -> None:
    """At debug level, through failures and broken files; in both forms of the log, over HTTP and by every command."""
    (line.folder / "bearer").write_text(SENTINEL)
    settings = {"LOG_LEVEL": "debug", "LOG_FORMAT": log_format, "HTTP_LISTEN": line.service.address}
    own = {**line.service.settings, **{PREFIX + name: value for name, value in settings.items()}}
    async with AnyLog(line.folder, {**own, "BASIC": SENTINEL}) as service:
        service.address = line.service.address
        line.service = service
        await _name_endpoints(line)
        await line.start()
        await line.publish(3)
        for name in line.endpoints:
            await line.service.settled(name, lambda totals: totals.enqueued)
        asked = await _ask_everything(line, extent)
        for file, (_, content) in product(("routes.yaml", "bearer", "fleet.txt"), CONTENTS.items()):
            asked += await _break(line, file, content)
        assert await service.stop() == 0
        assert_unsaid(service.output, log_format)
        assert "Traceback" not in service.output
    tried.append(
        Tried("logs", f"sentinels in the running service, {log_format}", asked, "said nowhere")
    )


async def test_username_in_a_file_is_not_told(line: Line, tried: list[Tried]) -> None:
    """The file of the password may have been named in its place: the broker's refusal does not have it said."""
    (line.folder / "name").write_text(SENTINEL)
    line.service.settings["FORWARDER_MQTT_USERNAME_FILE"] = "name"
    line.service.settings["FORWARDER_MQTT_TOPIC"] = "ext/partner/#"
    del line.service.settings["FORWARDER_MQTT_USERNAME"]
    await line.receiver("acme")
    line.write_routes()
    await line.service.start()
    await line.service.logged("mqtt.failed", reason="credentials")
    await line.service.readiness(lambda status, _: status == 503)
    await line.service.command("check", "--connect")
    assert await line.service.stop() == 0
    assert_unsaid(line.service.output, "the username")
    tried.append(Tried("logs", "a username in a file, refused by the broker", 1, "said nowhere"))


async def _name_endpoints(line: Line) -> None:
    (line.folder / "fleet.txt").write_text("ECC9FF5C7AD4\n")
    line.routes["groups"] = {"fleet": {"file": "fleet.txt"}}
    await line.receiver("refusing", always(Answer(400)), headers={"X-Key": SENTINEL})
    await line.receiver("resetting", always(RESET), auth={"bearer": SENTINEL})
    for name, settings in _sentinels(line):
        line.name_endpoint(Webhooks(name, port=free_port()), **settings)


async def _ask_everything(line: Line, extent: Extent) -> int:
    commands = COMMANDS if extent == "full" else ("check", "status --json", "dead-letters export")
    (line.folder / "payload.json").write_text('{"p": 1}')
    (line.folder / "routes.yaml.sound").write_text(line.routes_text())
    views = ("/", "/endpoints", "/devices", "/deliveries", "/quarantine", f"/{SENTINEL[:4]}")
    endpoints = [f"/endpoints/{quote(name, safe='')}" for name in line.endpoints]
    paths = ["/healthz", "/readyz", "/metrics", *views, *endpoints]
    for path in paths:
        assert await line.service.ask(path) is not None
    for command in commands:
        await line.service.command(*command.split())
    return len(commands) + len(paths)


async def _break(line: Line, file: str, content: bytes) -> int:
    """Have the service look at a broken file at once, and ask what it thinks of it."""
    path = line.folder / file
    sound, count = path.read_bytes(), len(line.service.events)
    path.write_bytes(content)
    told = ("routes.rejected", "routes.unchanged", "routes.reloaded")
    line.service.send(signal.SIGHUP)
    await line.service.logged(*told, after=count)
    assert await line.service.ask("/readyz") is not None
    path.write_bytes(sound)
    count = len(line.service.events)
    line.service.send(signal.SIGHUP)
    await line.service.logged(*told, after=count)
    return 1
