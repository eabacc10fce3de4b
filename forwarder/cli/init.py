"""`forwarder init` makes `.env` and `routes.yaml` from whatwatt's five facts."""

import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import click

from forwarder.addresses import is_loopback_host
from forwarder.cli.check import Report, check_everything
from forwarder.cli.options import secret_of
from forwarder.cli.secret import fresh_secret
from forwarder.errors import ConfigurationError, OperationError
from forwarder.files import printable, write_own
from forwarder.routes.load import read_routes
from forwarder.routes.spec import is_name
from forwarder.settings import PREFIX, settings_of
from forwarder.settings.broker import check_authority, parse_topics, parse_uri
from forwarder.settings.env_file import quote
from forwarder.settings.environment import ENV_FILE

ROUTES_FILE = "routes.yaml"
OWN_RECEIVER = "http://127.0.0.1:9000/"
"""The address of `forwarder listen`, which is a receiver for people who have none yet."""


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts that whatwatt sent, and the first receiver. The topic is empty if the username implies it."""

    uri: str
    certificate: str
    username: str
    password: str
    topic: str
    endpoint: str
    url: str

    @property
    def variable(self) -> str:
        """The name of the receiver's secret in `.env`. It is none of our settings, which routes.yaml may not name."""
        name = re.sub(r"[^A-Z0-9]", "_", self.endpoint.upper()) + "_SECRET"
        is_fit = name[0].isalpha() and not name.startswith(PREFIX)
        return name if is_fit else f"ENDPOINT_{name}"

    @property
    def is_on_this_machine(self) -> bool:
        return is_loopback_host(urlsplit(self.url).hostname or "")

    def settings(self) -> Mapping[str, str]:
        given = {
            "MQTT_URI": self.uri,
            "MQTT_CA_FILE": self.certificate,
            "MQTT_USERNAME": self.username,
            "MQTT_PASSWORD": self.password,
            "MQTT_TOPIC": self.topic,
        }
        return {PREFIX + name: value for name, value in given.items() if value}


@click.command("init", short_help="Write .env and routes.yaml, and check them")
@click.option("--uri", help="The URI of the MQTT service: mqtts://host:8883.")
@click.option(
    "--certificate", metavar="FILE", help="Its public certificate (PEM); '' for the system's CAs."
)
@click.option("--username", help="As whatwatt sent it.")
@click.option(
    "--password",
    metavar="env:NAME|file:PATH",
    help="Where the password stands; asked for, hidden, otherwise.",
)
@click.option("--topic", help="Only where it is not ext/<integration>/#.")
@click.option(
    "--endpoint", default="acme", show_default=True, help="A name for the first receiver."
)
@click.option(
    "--url", help=f"Its URL.  [default: {OWN_RECEIVER}, where `forwarder listen` listens]"
)
@click.option("--force", is_flag=True, help="Write over a .env and a routes.yaml that are there.")
def command(
    uri: str | None,
    certificate: str | None,
    username: str | None,
    password: str | None,
    topic: str | None,
    endpoint: str,
    url: str | None,
    *,
    force: bool,
) -> None:
    """Write .env and routes.yaml from what whatwatt sent, then check them."""
    if not force:
        _refuse_what_is_there()
    facts = Facts(
        uri=uri or _ask("URI of the MQTT service", "--uri", check=parse_uri),
        certificate=_ask_for_certificate() if certificate is None else certificate,
        username=(name := username or _ask("Username", "--username")),
        password=_password(password),
        topic=topic or _ask_for_topic(name),
        endpoint=endpoint,
        url=url or _ask("URL of the first receiver", "--url", default=OWN_RECEIVER),
    )
    env_file, routes = written(facts, secret=fresh_secret())
    _write(Path(ENV_FILE), env_file, mode=0o600, force=force)
    _write(Path(ROUTES_FILE), routes, mode=0o644, force=force)
    click.echo(f"wrote {ENV_FILE}, which only you can read, and {ROUTES_FILE}")
    check_everything(Report(), connect=False)
    click.echo(_next_steps(facts))


def written(facts: Facts, *, secret: str) -> tuple[str, str]:
    """The text of `.env` and of `routes.yaml`. Raises ConfigurationError when a fact cannot be used."""
    settings_of(facts.settings()).broker()
    if not is_name(facts.endpoint):
        raise ConfigurationError(
            "--endpoint: expected a name of letters, digits, _, . and -, at most 63"
        )
    routes = _routes(facts)
    environ = {facts.variable: secret}
    read_routes(Path(ROUTES_FILE), environ=environ, content=routes.encode()).require()
    return _env_file(facts, secret), routes


def _env_file(facts: Facts, secret: str) -> str:
    given = [f"{name}={quote(value)}" for name, value in facts.settings().items()]
    return "\n".join(
        [
            "# What whatwatt sent. Values stand in single quotes and mean what stands there.",
            *given,
            "",
            f"# What {facts.endpoint} verifies signatures with; its people need it too.",
            f"{facts.variable}={quote(secret)}",
            "",
        ]
    )


def _routes(facts: Facts) -> str:
    private = (
        "    allow_private: true   # it is on this machine\n" if facts.is_on_this_machine else ""
    )
    return (
        "endpoints:\n"
        f"  {facts.endpoint}:\n"
        f"    url: {json.dumps(facts.url)}\n"
        f"    secret: env:{facts.variable}\n"
        '    devices: "*"          # every device; or a list of MACs\n'
        f"{private}"
    )


def _refuse_what_is_there() -> None:
    for name in (ENV_FILE, ROUTES_FILE):
        if os.path.lexists(name):
            raise ConfigurationError(f"{name} is there already; --force writes over it")


def _write(path: Path, text: str, *, mode: int, force: bool) -> None:
    try:
        write_own(path, text, mode=mode, replaces=force)
    except OSError as error:
        raise OperationError(f"cannot write {printable(path)}: {error.strerror}") from error


def _ask(
    what: str, option: str, *, default: str = "", check: Callable[[str], object] | None = None
) -> str:
    """The typed text, once `check` takes it. Without a terminal it is the default, or ConfigurationError is raised."""
    if not sys.stdin.isatty():
        if default:
            return default
        raise ConfigurationError(f"{option} is missing, and there is no terminal to ask")

    def proved(text: str) -> str:
        try:
            if check is not None:
                check(text)
        except ValueError as wrong:
            raise click.UsageError(str(wrong)) from None
        return text.strip()

    answer: str = click.prompt(what, default=default or None, value_proc=proved)
    return answer


def _ask_for_certificate() -> str:
    """A path, or nothing for the system's CAs, which is also the answer without a terminal."""
    if not sys.stdin.isatty():
        return ""
    answer = _ask(
        "File of its certificate (- for none)",
        "--certificate",
        check=lambda text: None if text == "-" else check_authority(Path(text)),
    )
    return "" if answer == "-" else answer


def _ask_for_topic(username: str) -> str:
    """A topic, or nothing if it follows from the username. Nobody is asked without a terminal."""
    try:
        (implied,) = parse_topics(None, username=username)
    except ValueError:
        implied = ""
    if not sys.stdin.isatty():
        return ""
    answer = _ask(
        "Topic",
        "--topic",
        default=implied,
        check=lambda text: parse_topics(text, username=username),
    )
    return "" if answer == implied else answer


def _password(reference: str | None) -> str:
    if reference is None:
        if not sys.stdin.isatty():
            raise ConfigurationError("--password is missing, and there is no terminal to ask")
        answer: str = click.prompt("Password (hidden)", hide_input=True)
        return answer
    if not reference.startswith(("env:", "file:")):
        raise ConfigurationError(
            "--password: expected env:NAME or file:PATH, because what stands on a command line shows in the list of"
            " processes"
        )
    return secret_of(reference, option="--password")


def _next_steps(facts: Facts) -> str:
    steps = [
        ("forwarder check --connect", "can everybody be reached?"),
        (f"forwarder send-test {facts.endpoint}", "one signed event, and its answer"),
        ("forwarder run", "until Ctrl-C"),
    ]
    if facts.url == OWN_RECEIVER:
        listen = f"forwarder listen --secret env:{facts.variable}"
        steps.insert(0, (listen, "a receiver, in another terminal"))
    width = max(len(step) for step, _ in steps)
    return "\n".join(["next:", *(f"  {step:<{width}}   # {why}" for step, why in steps)])
