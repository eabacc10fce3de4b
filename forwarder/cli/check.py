"""`forwarder check`: everything an operator wrote, looked over without starting anything."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import click

from forwarder.cli.answer_view import advice
from forwarder.errors import ConfigurationError, OperationError, RoutesError
from forwarder.files import foreign_writers, printable
from forwarder.normalise import Template, load_template
from forwarder.reading import Device
from forwarder.routes import EndpointName, Routes, Selection
from forwarder.routes.fields import field_remarks
from forwarder.routes.keys import key_remarks
from forwarder.routes.load import read_routes
from forwarder.sender import Guard
from forwarder.sender.proxy import parse_proxy
from forwarder.sender.reach import reach
from forwarder.settings import (
    PREFIX,
    Broker,
    Settings,
    environment,
    load_settings,
    unknown_settings,
)
from forwarder.settings.environment import ENV_FILE
from forwarder.subscriber import try_session
from forwarder.terminal import plain

T = TypeVar("T")

CONNECT_SECONDS = 10.0
_SHOWN = 10


@dataclass(slots=True)
class Findings:
    """What was found; a part that cannot be used is None, and its problems are told."""

    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    settings: Settings | None = None
    broker: Broker | None = None
    routes: Routes | None = None
    template: Template | None = None

    def attempt(self, load: Callable[[], T]) -> T | None:
        try:
            return load()
        except RoutesError as error:
            self.problems.extend(error.problems)
        except ConfigurationError as error:
            self.problems.extend(str(error).splitlines())
        return None


@click.command("check", short_help="Validate settings, routes and template")
@click.option("--connect", is_flag=True, help="Try the broker and each endpoint's host, too.")
def command(*, connect: bool) -> None:
    """Validate settings, routes and template without starting; exit 2 when something is invalid."""
    findings = look_over(environment())
    for warning in findings.warnings:
        click.echo(f"warning: {plain(warning)}", err=True)
    if findings.problems:
        raise ConfigurationError("\n".join(findings.problems))
    click.echo("\n".join(map(plain, summary(findings))))
    if connect:
        try_connections(findings)


def look_over(environ: Mapping[str, str]) -> Findings:
    """Settings, routes and template, each as far as it can be read."""
    findings = Findings(warnings=unknown_settings(environ))
    settings = findings.settings = findings.attempt(load_settings)
    routes_file = Path(environ.get(f"{PREFIX}ROUTES_FILE") or "routes.yaml")
    secrets_dir = settings.secrets_dir if settings else None
    if settings:
        routes_file = settings.routes_file
        findings.broker = findings.attempt(settings.broker)
        if outbox := findings.attempt(lambda: settings.outbox_path):
            _look_at_data(findings, outbox.parent)
        _look_at_proxy(findings, settings)
    load = read_routes(routes_file, environ=environ, secrets_dir=secrets_dir)
    findings.routes = findings.attempt(load.require)
    if findings.routes:
        findings.warnings += key_remarks(findings.routes.endpoints.values())
        findings.warnings += field_remarks(findings.routes.endpoints.values())
    _look_at_writers(findings, environ, [wanted.path for wanted in load.seen])
    if settings and settings.template_file:
        _look_at_template(findings, settings.template_file)
    return findings


def summary(findings: Findings) -> list[str]:
    """What is valid, in a few lines, with what may not be meant."""
    lines = []
    if findings.broker:
        topics = ", ".join(findings.broker.topics)
        lines.append(f"broker: {findings.broker.address}, topics {topics}")
    if findings.template:
        lines.append(f"template: {_count(len(findings.template.findings), 'variable')}")
        lines += [f"  {finding.sentence}" for finding in findings.template.findings]
    if findings.routes:
        lines += _routes_summary(findings.routes)
    return [*lines, "everything is valid"]


def try_connections(findings: Findings) -> None:
    """Tell of the broker and each endpoint whether it can be reached. Raises OperationError unless all can."""
    failures = 0
    for line, is_fine in asyncio.run(_connections(findings)):
        click.echo(plain(line))
        failures += not is_fine
    if failures:
        noun = "connection" if failures == 1 else "connections"
        raise OperationError(f"{failures} {noun} failed; what is to be done stands above")


async def _connections(findings: Findings) -> list[tuple[str, bool]]:
    told = []
    if findings.broker:
        sentence = await try_session(findings.broker, timeout_seconds=CONNECT_SECONDS)
        told.append((f"broker: {sentence or 'connects and lets us subscribe'}", sentence is None))
    if findings.routes and findings.settings:
        outcomes = await reach(
            findings.routes.endpoints.values(),
            proxy_url=_proxy_url(findings.settings),
            guard=_guard(findings.settings),
            timeout_seconds=CONNECT_SECONDS,
        )
        for name, failure in outcomes.items():
            how = f"{failure.detail}; {advice(failure.word)}" if failure else "connects"
            told.append((f"endpoint {name}: {how}", failure is None))
    return told


def _look_at_writers(
    findings: Findings, environ: Mapping[str, str], of_routes: Sequence[Path]
) -> None:
    """Warn of what decides who gets which readings, and may be changed by everybody."""
    named = [path for name, path in environ.items() if path and _names_a_file(name)]
    for path in sorted({Path(ENV_FILE), *map(Path, named), *of_routes}):
        if foreign_writers(path) == "everybody":
            findings.warnings.append(
                f"{printable(path)} may be changed by everybody on this machine; take that right away (chmod o-w)"
            )


def _names_a_file(variable: str) -> bool:
    return variable.startswith(PREFIX) and variable.endswith("_FILE")


def _look_at_data(findings: Findings, directory: Path) -> None:
    if foreign_writers(directory):
        findings.warnings.append(
            f"the data directory {printable(directory)} may be written by others; take that right away (chmod go-w)"
        )


def _look_at_proxy(findings: Findings, settings: Settings) -> None:
    url = _proxy_url(settings)
    if url is None:
        return
    findings.attempt(lambda: parse_proxy(url))
    findings.warnings.append(
        f"{PREFIX}PROXY_URL is set: the proxy resolves names, so the guard against private addresses does not apply"
    )
    if settings.deny_networks or settings.allow_networks:
        findings.warnings.append(
            f"{PREFIX}DENY_NETWORKS and {PREFIX}ALLOW_NETWORKS do not apply either; set such rules in the proxy"
        )


def _look_at_template(findings: Findings, file: Path) -> None:
    template = findings.template = findings.attempt(lambda: load_template(file))
    if template:
        findings.warnings += [f"{printable(file)}: {remark}" for remark in template.remarks]
        findings.warnings += [
            f"{printable(file)}: ${{{variable.variable}}} is not in it: {variable.wanted}"
            for variable in template.lacks()
        ]


def _proxy_url(settings: Settings) -> str | None:
    return settings.proxy_url.get_secret_value() if settings.proxy_url else None


def _guard(settings: Settings) -> Guard:
    return Guard(settings.deny_networks, settings.allow_networks, settings.listen_address)


def _routes_summary(routes: Routes) -> Iterator[str]:
    named = _devices(routes)
    yield (
        f"routes: {_count(len(routes.endpoints), 'endpoint')}, {_count(len(named), 'device')} named, "
        f"{_count(len(routes.groups), 'group')}"
    )
    if nobody := sorted(device for device in named if not routes.match(device)):
        yield f"devices that nobody gets: {_some(nobody)}"
    if nothing := [name for name in routes.endpoints if not _gets_something(routes, name)]:
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
