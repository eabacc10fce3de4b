"""`forwarder check` looks over everything that an operator wrote, without starting anything, and tells as it goes."""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import click

from forwarder.cli.answer_view import advice
from forwarder.cli.marks import mark
from forwarder.cli.running import ask_readiness
from forwarder.errors import ConfigurationError, OperationError, OutboxError, RoutesError
from forwarder.files import foreign_writers, printable
from forwarder.normalise import Template, load_template
from forwarder.notice import OPERATOR
from forwarder.outbox import is_running, opened, refuse_strangers, remarks
from forwarder.reading import Device
from forwarder.routes import Endpoint, EndpointName, OAuth2, Routes, Selection
from forwarder.routes.elsewhere import AnyEnvironment, AnyFiles
from forwarder.routes.fields import field_remarks
from forwarder.routes.keys import key_remarks
from forwarder.routes.load import Load, read_routes
from forwarder.sender import Guard
from forwarder.sender.proxy import parse_proxy
from forwarder.sender.reach import Visit, reach
from forwarder.sender.tokens import token_endpoint
from forwarder.settings import (
    PREFIX,
    Broker,
    Database,
    OutboxPlace,
    Settings,
    settings_of,
    unknown_settings,
)
from forwarder.settings.environment import ENV_FILE, read_env_file
from forwarder.subscriber import try_session
from forwarder.terminal import columns_of, folded, plain
from forwarder.web.server import bound_to

T = TypeVar("T")

CONNECT_SECONDS = 10.0
MOST_NAME_WIDTH = 24
_SHOWN = 10


@dataclass(slots=True)
class Report:
    """Tells each thing once it has been looked at, and keeps the problems for the end."""

    problems: list[str] = field(default_factory=list)
    failures: int = 0
    """Connections that could not be made."""
    names_width: int = 11
    """Columns that names take, so that the words behind them are aligned."""

    def fine(self, name: str, *lines: str) -> None:
        """Tell that a thing is fine. The first line stands beside its name, the others below."""
        self._tell(name, lines, is_fine=True)

    def wrong(self, name: str, problems: Sequence[str]) -> None:
        self.problems += problems
        self._tell(name, [_count(len(problems), "problem")], is_fine=False)

    def warn(self, warning: str) -> None:
        line = f"warning: {plain(warning)}"
        click.echo(folded(line, width=columns_of(sys.stderr), indent=2), err=True)

    def connection(self, name: str, outcome: str, *, is_fine: bool) -> None:
        self.failures += not is_fine
        self._tell(name, [outcome], is_fine=is_fine)

    def _tell(self, name: str, lines: Sequence[str], *, is_fine: bool) -> None:
        name = f"{mark(is_fine=is_fine)} {plain(name):<{self.names_width}}  "
        width = columns_of(sys.stdout)
        for line in lines:
            click.echo(folded(name + plain(line), width=width, indent=len(name)))
            name = " " * len(name)
        sys.stdout.flush()


@click.command("check", short_help="Validate settings, routes and template")
@click.option("--connect", is_flag=True, help="Try the broker and each endpoint's host, too.")
@click.option(
    "--routes",
    "routes_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Look at this routing file alone, where settings and secrets are not: in CI.",
)
def command(*, connect: bool, routes_file: Path | None) -> None:
    """Validate settings, routes and template without starting; exit 2 when something is invalid."""
    if connect and routes_file:
        raise ConfigurationError("--routes looks at a file alone: leave out --connect, or --routes")
    report = Report()
    if routes_file:
        check_routes(report, routes_file)
    else:
        check_everything(report, connect=connect)


def check_everything(report: Report, *, connect: bool) -> None:
    """
    Look over settings, routes and template, and try connections if asked to.

    Raises ConfigurationError with every problem, or OperationError when a connection cannot be made.
    """
    findings = _look_over(report)
    _conclude(report)
    if connect and findings is not None:
        asyncio.run(_try_connections(report, findings))
        if report.failures:
            failed = _count(report.failures, "connection")
            raise OperationError(f"{failed} failed; what is to be done stands above")


def check_routes(report: Report, file: Path) -> None:
    """Look over a routing file whose secrets may be elsewhere. Raises ConfigurationError with every problem."""
    environ = AnyEnvironment({**_env_file(report, is_told=False), **os.environ})
    secrets_dir = os.environ.get(f"{PREFIX}SECRETS_DIR")
    files = AnyFiles(file.parent, Path(secrets_dir) if secrets_dir else None)
    _told_routes(report, file, read_routes(file, environ=environ, files=files))
    if environ.missing or files.missing:
        missing = [f"env:{name}" for name in environ.missing]
        missing += [f"file:{printable(path)}" for path in files.missing]
        report.warn(f"not here, so not looked at: {_some(sorted(missing))}")
    _conclude(report)


def _conclude(report: Report) -> None:
    if report.problems:
        raise ConfigurationError("\n".join(report.problems))
    click.echo("everything is valid")


@dataclass(frozen=True, slots=True)
class _Findings:
    """The valid parts, whose connections can be tried."""

    settings: Settings
    broker: Broker
    routes: Routes


def _look_over(report: Report) -> _Findings | None:
    """Look over settings, routes and template, each as far as it can be read. Returns None unless all can be."""
    environ = {**_env_file(report), **os.environ}
    for warning in unknown_settings(environ):
        report.warn(warning)
    settings, broker = _settings(report, environ)
    if settings:
        _look_at_proxy(report, settings)
    routes = _routes(report, environ, settings)
    if settings and settings.template_file:
        _look_at_template(report, settings.template_file)
    if settings and (outbox := _attempt(lambda: settings.outbox_place)[0]):
        if isinstance(outbox, Path):
            _look_at_data(report, outbox)
        else:
            _look_at_database(report, outbox, broker)
        _look_at_port(report, settings.listen_address, outbox)
    return _Findings(settings, broker, routes) if settings and broker and routes else None


def _env_file(report: Report, *, is_told: bool = True) -> Mapping[str, str]:
    """The variables of `.env`."""
    found = read_env_file(Path(ENV_FILE))
    if found.problems:
        report.wrong(ENV_FILE, found.problems)
    elif is_told and os.path.lexists(ENV_FILE):
        report.fine(ENV_FILE, _count(len(found.values), "variable"))
    elif is_told:
        report.fine(ENV_FILE, f"none in {printable(Path.cwd())}")
    return found.values


def _settings(report: Report, environ: Mapping[str, str]) -> tuple[Settings | None, Broker | None]:
    settings, problems = _attempt(lambda: settings_of(environ))
    broker = None
    if settings:
        broker, problems = _attempt(settings.broker)
        problems += _attempt(lambda: settings.outbox_place)[1]
        if url := _proxy_url(settings):
            problems += _attempt(partial(parse_proxy, url))[1]
    if problems or broker is None:
        report.wrong("settings", problems)
    else:
        report.fine("settings", f"broker {broker.address}, topics {', '.join(broker.topics)}")
        if broker.ca_file:
            report.fine("certificate", f"{printable(broker.ca_file)} is trusted, and nothing else")
    return settings, broker


def _routes(report: Report, environ: Mapping[str, str], settings: Settings | None) -> Routes | None:
    file = Path(environ.get(f"{PREFIX}ROUTES_FILE") or "routes.yaml")
    secrets_dir = settings.secrets_dir if settings else None
    if settings:
        file = settings.routes_file
    load = read_routes(file, environ=environ, secrets_dir=secrets_dir)
    routes = _told_routes(report, file, load)
    _look_at_writers(report, environ, [wanted.path for wanted in load.seen])
    return routes


def _told_routes(report: Report, file: Path, load: Load) -> Routes | None:
    routes = load.routes
    if routes is None:
        report.wrong("routes", load.problems)
        return None
    first, *others = _routes_summary(routes)
    report.fine("routes", f"{printable(file)}: {first}", *others)
    endpoints = routes.endpoints.values()
    for remark in (*key_remarks(endpoints), *field_remarks(endpoints)):
        report.warn(remark)
    return routes


def _attempt(load: Callable[[], T]) -> tuple[T | None, list[str]]:
    """The result of `load`, or the problems that it raises."""
    try:
        return load(), []
    except RoutesError as error:
        return None, list(error.problems)
    except ConfigurationError as error:
        return None, str(error).splitlines()


async def _try_connections(report: Report, findings: _Findings) -> None:
    """Try the broker and each endpoint, and tell as they answer."""
    longest = max(len(_endpoint_title(name)) for name in findings.routes.endpoints)
    report.names_width = max(report.names_width, min(longest, MOST_NAME_WIDTH))
    async with asyncio.TaskGroup() as group:
        group.create_task(_try_broker(report, findings.broker))
        group.create_task(_try_endpoints(report, findings))


async def _try_broker(report: Report, broker: Broker) -> None:
    began = time.monotonic()
    sentence = await try_session(broker, timeout_seconds=CONNECT_SECONDS)
    outcome = sentence or f"connects and lets us subscribe, {_ms(time.monotonic() - began)}"
    report.connection("broker", outcome, is_fine=sentence is None)


async def _try_endpoints(report: Report, findings: _Findings) -> None:
    settings = findings.settings
    visits = reach(
        _reached(findings.routes),
        proxy_url=_proxy_url(settings),
        guard=Guard(settings.deny_networks, settings.allow_networks, settings.listen_address),
        timeout_seconds=CONNECT_SECONDS,
    )
    async for visit in visits:
        title = _endpoint_title(visit.name)
        report.connection(title, _outcome(visit), is_fine=visit.failure is None)


def _endpoint_title(name: str) -> str:
    return f"endpoint {name}"


def _reached(routes: Routes) -> Iterator[Endpoint]:
    """Each endpoint to try, and each token server once, under the name of the first endpoint that asks it."""
    known: set[str] = set()
    for endpoint in routes.endpoints.values():
        yield endpoint
        if isinstance(endpoint.auth, OAuth2) and endpoint.auth.token_url not in known:
            known.add(endpoint.auth.token_url)
            yield replace(token_endpoint(endpoint), name=EndpointName(f"{endpoint.name} (tokens)"))


def _outcome(visit: Visit) -> str:
    failure = visit.failure
    if failure is None:
        return f"connects, {_ms(visit.seconds)}"
    return f"{failure.detail}; {advice(failure.word)}"


def _look_at_writers(report: Report, environ: Mapping[str, str], of_routes: Sequence[Path]) -> None:
    """Warn of files that decide who gets which readings and that everybody may change."""
    named = [path for name, path in environ.items() if path and _names_a_file(name)]
    for path in sorted({Path(ENV_FILE), *map(Path, named), *of_routes}):
        if foreign_writers(path) == "everybody":
            report.warn(
                f"{printable(path)} may be changed by everybody on this machine; take that right away (chmod o-w)"
            )


def _names_a_file(variable: str) -> bool:
    return variable.startswith(PREFIX) and variable.endswith("_FILE")


def _look_at_data(report: Report, outbox: Path) -> None:
    directory = outbox.parent
    if foreign_writers(directory):
        report.warn(
            f"the data directory {printable(directory)} may be written by others; take that right away (chmod go-w)"
        )
    if why := _unwritable(outbox):
        problem = f"{PREFIX}OUTBOX_URL: {why}; let the forwarder's user write there, or name another folder"
        report.wrong("data", [problem])
    elif directory.exists():
        report.fine("data", f"{printable(directory)} can be written")
    else:
        report.fine("data", f"{printable(directory)} is not there yet, and can be made")


def _look_at_database(report: Report, database: Database, broker: Broker | None) -> None:
    """Look whether a start could use the database. Raises OutboxError as a start would."""
    if broker:
        refuse_strangers(database, deployment=broker.deployment)
    for remark in remarks(database):
        report.warn(remark)
    report.fine("database", f"{database} can be used")


def _unwritable(outbox: Path) -> str | None:
    """Why the outbox cannot be written; None if it can. A nameless file in its folder tests that, and is gone again."""
    folder = outbox.parent.absolute()
    while not os.path.lexists(folder):
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return f"cannot write into {printable(folder)}: {error.strerror}"
    if outbox.exists() and not os.access(outbox, os.R_OK | os.W_OK):
        return f"cannot write {printable(outbox)}: it belongs to another user"
    return None


def _look_at_port(report: Report, address: tuple[str, int], outbox: OutboxPlace) -> None:
    host, port = address
    _, problems = _attempt(lambda: bound_to(host, port).close())
    if not problems:
        report.fine("port", f"{host}:{port} is free")
    elif is_running(outbox) and _serves(address, outbox):
        report.fine("port", f"{host}:{port} is held by the service of this outbox")
    else:
        report.wrong("port", problems)


def _serves(address: tuple[str, int], outbox: OutboxPlace) -> bool:
    """Whether the service that answers there works on this outbox."""
    try:
        with opened(outbox, is_read_only=True) as access:
            return bool(ask_readiness(address).outbox.get("id") == access.identity())
    except (OperationError, OutboxError):
        return False


def _look_at_proxy(report: Report, settings: Settings) -> None:
    if settings.proxy_url is None:
        return
    report.warn(
        f"{PREFIX}PROXY_URL is set: the proxy resolves names, so the guard against private addresses does not apply"
    )
    if settings.deny_networks or settings.allow_networks:
        report.warn(
            f"{PREFIX}DENY_NETWORKS and {PREFIX}ALLOW_NETWORKS do not apply either; set such rules in the proxy"
        )


def _look_at_template(report: Report, file: Path) -> None:
    template, problems = _attempt(lambda: load_template(file))
    if template is None:
        report.wrong("template", problems)
        return
    variables = f"{printable(file)}: {_count(len(template.findings), 'variable')}"
    report.fine("template", variables, *(f"  {found.sentence}" for found in template.findings))
    for remark in _template_remarks(template):
        report.warn(f"{printable(file)}: {remark}")


def _template_remarks(template: Template) -> Iterator[str]:
    yield from template.remarks
    for variable in template.lacks():
        yield f"${{{variable.variable}}} is not in it: {variable.wanted}"


def _proxy_url(settings: Settings) -> str | None:
    return settings.proxy_url.get_secret_value() if settings.proxy_url else None


def _routes_summary(routes: Routes) -> Iterator[str]:
    named = _devices(routes)
    yield (
        f"{_count(len(routes.endpoints), 'endpoint')}, {_count(len(named), 'device')} named, "
        f"{_count(len(routes.groups), 'group')}"
    )
    if nobody := sorted(device for device in named if not routes.match(device)):
        yield f"devices that nobody gets: {_some(nobody)}"
    readers = [name for name in routes.endpoints if name != OPERATOR]
    if nothing := [name for name in readers if not _gets_something(routes, name)]:
        yield f"endpoints that get nothing: {_some(nothing)}"
    if paused := [name for name, endpoint in routes.endpoints.items() if endpoint.paused]:
        yield f"endpoints that are paused: {_some(paused)}"


def _devices(routes: Routes) -> frozenset[Device]:
    grouped = frozenset[Device]().union(*routes.groups.values())
    return grouped.union(*(routes.devices_of(name) for name in routes.endpoints))


def _gets_something(routes: Routes, name: EndpointName) -> bool:
    selection = routes.selections.get(name, Selection())
    return selection.wants_every_device or bool(routes.devices_of(name))


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"
