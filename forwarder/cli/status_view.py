"""The view of `forwarder status` for people: a few lines, a table of endpoints, and what to do next."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from forwarder.cli.grid import Grid
from forwarder.cli.running import Readiness
from forwarder.cli.tables import NAME, PROSE, STAYS, cell, console, leaves, number, table
from forwarder.operator import EndpointStatus, Status
from forwarder.operator.objects import oldest_seconds
from forwarder.operator.wording import describe, is_refusing, last_answer
from forwarder.outbox import Replica
from forwarder.settings import OutboxPlace
from forwarder.terminal import plain
from forwarder.units import age, count_of

_COLOURS = {"closed": "green", "open": "red", "paused": "yellow", "removed": "dim"}


@dataclass(frozen=True, slots=True)
class View:
    """One look at everything."""

    overview: Status
    readiness: Readiness
    mqtt: dict[str, Any]
    routes: dict[str, Any]
    not_in_force: Sequence[str]
    """Endpoints of the routing file that the running service has not taken over."""
    outbox_place: OutboxPlace
    now: float
    """UNIX seconds."""


def print_view(view: View) -> None:
    """Print a view. A terminal gets lines folded between words, other outputs get whole lines."""
    screen = console()
    if screen.is_terminal:
        screen.print(frame(view, screen, most_rows=None))
        return
    for name, text in _lines(view):
        screen.print(_line(name, text), soft_wrap=True)
    for part in _below(view, most_rows=None):
        screen.print(part)


def frame(view: View, screen: Console, *, most_rows: int | None = 0) -> RenderableType:
    """The whole view. 0 shows as many endpoints as have room on the screen, None shows all."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim", no_wrap=True, min_width=10)
    grid.add_column(overflow="fold")
    for name, text in _lines(view):
        grid.add_row(name, text)
    if most_rows == 0:
        taken = grid.row_count + (2 + len(view.overview.replicas) if view.overview.replicas else 0)
        most_rows = max(screen.height - taken - 6, 3)
    return Group(grid, *_below(view, most_rows=most_rows))


def _line(name: str, text: Text) -> Text:
    return Text(f"{name:<12}", style="dim").append_text(text)


def _lines(view: View) -> Iterator[tuple[str, Text]]:
    overview, outbox = view.overview, view.readiness.outbox
    yield "broker", _styled(*_broker(view.mqtt, view.now))
    yield "routes", _styled(*_routes(view))
    if overview.identity is None:
        yield "outbox", _styled(f"there is none at {view.outbox_place} yet", "yellow")
    elif outbox.get("problem"):
        yield "outbox", _styled(str(outbox["problem"]), "red")
    for warning in view.readiness.warnings:
        yield "warning", _styled(warning, "yellow")
    yield "messages", _styled(_messages(overview))
    if overview.quarantine or overview.quarantine_evicted:
        yield "quarantine", _styled(_quarantine(overview), "yellow")


def _styled(text: str, style: str = "") -> Text:
    return Text(plain(text), style=f"not dim {style}")


def _routes(view: View) -> tuple[str, str]:
    routes = view.routes
    count, endpoints = routes.get("problems"), count_of(routes["endpoints"], "endpoint")
    if not count:
        return endpoints, ""
    first = routes.get("problem") or f"the first at {routes.get('first')}"
    problem = f"{count_of(count, 'problem')}: {first}; all of them: forwarder check"
    is_edit = view.readiness.answered
    return f"{f'{endpoints} in force; the file has ' if is_edit else ''}{problem}", "red"


def _messages(overview: Status) -> str:
    """Accepted messages, and the other outcomes that occurred, because all four fill more than 60 columns."""
    counts = overview.messages.items()
    return ", ".join(f"{n:,} {outcome}" for outcome, n in counts if n or outcome == "accepted")


def _quarantine(overview: Status) -> str:
    kept = f"{overview.quarantine:,}; see: forwarder quarantine list"
    evicted = ", ".join(f"{count:,} {word}" for word, count in overview.quarantine_evicted.items())
    return f"{kept}; gone for newer ones: {evicted}" if evicted else kept


def _broker(mqtt: dict[str, Any], now: float) -> tuple[str, str]:
    if mqtt.get("problem"):
        return str(mqtt["problem"]), "red"
    since = _since(mqtt.get("since"), now)
    return (
        (f"subscribed{since}", "green")
        if mqtt.get("subscribed")
        else (f"connecting{since}", "yellow")
    )


def _since(written: object, now: float) -> str:
    try:
        since = datetime.fromisoformat(str(written)).timestamp()
    except ValueError:
        return ""
    return f" for {age(now - since)}"


def _below(view: View, *, most_rows: int | None) -> Iterator[RenderableType]:
    if view.overview.replicas:
        yield ""
        yield _replicas(view.overview.replicas)
    shown = {name: one for name, one in view.overview.endpoints.items() if _matters(one)}
    if not (shown or view.not_in_force):
        return
    left_out = 0 if most_rows is None else max(len(shown) - most_rows, 0)
    if left_out:
        worst_first = sorted(shown, key=lambda name: describe(shown[name], view.now) == "well")
        shown = {name: shown[name] for name in worst_first[:most_rows]}
    yield ""
    yield _endpoints(view, shown)
    if left_out:
        yield Text(f"and {count_of(left_out, 'endpoint')} more", style="dim")
    if hints := list(_hints(view)):
        yield Group("", *(Text(hint) for hint in hints))


def _replicas(replicas: Sequence[Replica]) -> Grid:
    """The replicas. A digest of routes shows the one whose own differ; a beat is about a second."""
    built = table(
        replica=NAME, _=STAYS, endpoints=number(), routes=STAYS, version=leaves(1),
        beat=number(leaves=2),
    )  # fmt: skip
    for one in replicas:
        built.add_row(
            cell(one.name, "bold"),
            cell("leads" if one.leads else ""),
            cell(f"{len(one.endpoints):,}"),
            cell(one.routes),
            cell(one.version),
            cell(f"{one.beat:,}"),
        )
    return built


def _endpoints(view: View, shown: dict[str, EndpointStatus]) -> Grid:
    built = table(
        endpoint=NAME, state=PROSE, pending=number(), oldest=number(leaves=2),
        delivered=number(leaves=1), dead=number(), last_answer=leaves(3),
    )  # fmt: skip
    for name, endpoint in shown.items():
        built.add_row(*_row(name, endpoint, view.now))
    for name in view.not_in_force:
        if name not in shown:
            built.add_row(cell(name, "bold"), cell("not in force", "yellow"), *[Text()] * 5)
    return built


def _row(name: str, endpoint: EndpointStatus, now: float) -> tuple[Text, ...]:
    oldest, dead = oldest_seconds(endpoint, now), endpoint.dead_letters
    return (
        cell(name, "bold"),
        cell(describe(endpoint, now), _colour(endpoint)),
        cell(f"{endpoint.totals.pending:,}"),
        cell(None if oldest is None else age(oldest)),
        cell(f"{endpoint.totals.delivered:,}"),
        cell(f"{dead:,}", "yellow" if dead else ""),
        cell(last_answer(endpoint, now)),
    )


def _hints(view: View) -> Iterator[str]:
    endpoints = view.overview.endpoints
    if dead := sum(one.dead_letters for one in endpoints.values()):
        yield f"{count_of(dead, 'dead letter')}; see forwarder dead-letters list"
    failing = [
        name for name, one in endpoints.items() if describe(one, view.now).startswith("failing")
    ]
    if failing:
        yield f"{_some(failing)} failing; see forwarder send-test {failing[0]}"
    if view.not_in_force:
        yield f"{_some(view.not_in_force)} in the file, and not in force; see forwarder check"


def _some(names: Sequence[str]) -> str:
    """`acme is`, `acme and home are`, `acme, home and 5 more are`."""
    if len(names) == 1:
        return f"{names[0]} is"
    last = names[2] if len(names) == 3 else f"{len(names) - 2} more"
    return (
        f"{' and '.join(names)} are"
        if len(names) == 2
        else f"{names[0]}, {names[1]} and {last} are"
    )


def _matters(endpoint: EndpointStatus) -> bool:
    return endpoint.state != "removed" or bool(endpoint.totals.pending or endpoint.dead_letters)


def _colour(endpoint: EndpointStatus) -> str:
    is_unsteady = endpoint.state == "closed" and (endpoint.health.failures or is_refusing(endpoint))
    return "yellow" if is_unsteady else _COLOURS[endpoint.state]
