"""`forwarder status`: who is well, who is not, since when, and how much waits."""

import time
from datetime import datetime
from typing import Any

import click
from rich.text import Text

from forwarder.cli.options import as_json_option
from forwarder.cli.running import Readiness, ask_readiness
from forwarder.cli.tables import (
    YIELDING,
    age,
    cell,
    console,
    count_of,
    instant,
    print_json,
    table,
)
from forwarder.dead_letters import EndpointStatus, Overview, look_at_routes, read_overview
from forwarder.outbox.sqlite import is_running
from forwarder.routes import Rejection
from forwarder.routes.load import Load
from forwarder.settings import Settings, load_settings
from forwarder.terminal import plain

_COLOURS = {"closed": "green", "open": "red", "paused": "yellow", "removed": "dim"}
_PAUSED = {
    "operator": "paused by operator",
    "gone": "paused by its 410",
    "routes": "paused in routes",
}


@click.command("status")
@as_json_option
def command(*, as_json: bool) -> None:
    """Show how the broker session, the endpoints and their queues stand; also while the service is stopped."""
    settings = load_settings()
    load = look_at_routes(settings.routes_file)
    now = time.time()
    overview = read_overview(settings.outbox_path, routes=load.routes, now=now)
    readiness = ask_readiness(settings.listen_address)
    mqtt = _mqtt(readiness, settings)
    routes = _routes(load, readiness)
    if as_json:
        print_json(_object(overview, readiness, mqtt, routes, now))
        return
    _print_lines(overview, readiness, mqtt, routes)
    _print_endpoints(overview, now)


def _mqtt(readiness: Readiness, settings: Settings) -> dict[str, Any]:
    if readiness.answered:
        return readiness.mqtt
    problem = "the service is not running"
    if is_running(settings.outbox_path.parent):
        problem = f"the service runs, but does not answer at {settings.http_listen} (FORWARDER_HTTP_LISTEN)"
    return {"connected": False, "problem": problem}


def _routes(load: Load, readiness: Readiness) -> dict[str, Any]:
    """What the running service says of its routes, else the file; `problem` is the first sentence of our own look."""
    if isinstance(load.outcome, Rejection):
        found = load.outcome
        own = {"endpoints": 0, "problems": found.count, "first": found.place}
    else:
        own = {"endpoints": len(load.outcome.endpoints), "problems": 0, "first": None}
    routes = {**own, **readiness.routes}
    return {**routes, "problem": load.problems[0] if load.problems and routes["problems"] else None}


def _routes_line(routes: dict[str, Any]) -> tuple[str, str]:
    count = routes.get("problems")
    if not count:
        return count_of(routes["endpoints"], "endpoint"), ""
    first = routes.get("problem") or f"the first at {routes.get('first')}"
    return f"{count_of(count, 'problem')}: {first}; all of them: forwarder check", "red"


def _object(
    overview: Overview,
    readiness: Readiness,
    mqtt: dict[str, Any],
    routes: dict[str, Any],
    now: float,
) -> dict[str, Any]:
    return {
        "ready": readiness.is_ready,
        "reasons": list(readiness.reasons) or ([] if readiness.is_ready else [mqtt["problem"]]),
        "mqtt": mqtt,
        "outbox": readiness.outbox,
        "routes": routes,
        "messages": overview.messages,
        "quarantine": overview.quarantine,
        "quarantine_evicted": overview.quarantine_evicted,
        "endpoints": {
            name: _endpoint_object(endpoint, now) for name, endpoint in overview.endpoints.items()
        },
    }


def _endpoint_object(endpoint: EndpointStatus, now: float) -> dict[str, Any]:
    totals, health = endpoint.totals, endpoint.health
    return {
        "state": endpoint.state,
        "enqueued": totals.enqueued,
        "delivered": totals.delivered,
        "dead": totals.dead,
        "expired": totals.expired,
        "superseded": totals.superseded,
        "pending": totals.pending,
        "oldest_pending_seconds": _oldest(endpoint, now),
        "dead_letters": endpoint.dead_letters,
        "last_error": health.last_error,
        "last_error_at": instant(health.last_error_at),
        "last_success_at": instant(health.last_success_at),
        "failures": health.failures,
        "failing_since": instant(health.failing_since),
        "next_probe_at": instant(health.open_until) if endpoint.state == "open" else None,
        "paused_by": endpoint.paused_by,
    }


def _oldest(endpoint: EndpointStatus, now: float) -> float | None:
    oldest_at = endpoint.totals.oldest_pending_at
    return None if oldest_at is None else round(max(0.0, now - oldest_at), 1)


def _print_lines(
    overview: Overview, readiness: Readiness, mqtt: dict[str, Any], routes: dict[str, Any]
) -> None:
    messages = ", ".join(f"{count:,} {outcome}" for outcome, count in overview.messages.items())
    _print_line("broker", *_broker(mqtt))
    _print_line("routes", *_routes_line(routes))
    if readiness.outbox.get("problem"):
        _print_line("outbox", readiness.outbox["problem"], "red")
    _print_line("messages", messages)
    if overview.quarantine or overview.quarantine_evicted:
        _print_line("quarantine", _quarantine(overview), "yellow")


def _quarantine(overview: Overview) -> str:
    kept = f"{overview.quarantine:,}; see: forwarder quarantine list"
    evicted = ", ".join(f"{count:,} {word}" for word, count in overview.quarantine_evicted.items())
    return f"{kept}; gone for newer ones: {evicted}" if evicted else kept


def _print_line(name: str, text: str, style: str = "") -> None:
    line = Text(f"{name:<12}", style="dim")
    line.append(plain(text), style=f"not dim {style}")
    console().print(line, soft_wrap=True)


def _broker(mqtt: dict[str, Any]) -> tuple[str, str]:
    if mqtt.get("problem"):
        return str(mqtt["problem"]), "red"
    since = _since(mqtt.get("since"))
    return (
        (f"subscribed{since}", "green")
        if mqtt.get("subscribed")
        else (f"connecting{since}", "yellow")
    )


def _since(written: object) -> str:
    try:
        since = datetime.fromisoformat(str(written)).timestamp()
    except ValueError:
        return ""
    return f" for {age(time.time() - since)}"


def _print_endpoints(overview: Overview, now: float) -> None:
    shown = {name: one for name, one in overview.endpoints.items() if _matters(one)}
    if not shown:
        return
    rows = table(
        endpoint=YIELDING, state={"max_width": 20}, pending={"justify": "right"},
        oldest={"justify": "right"}, delivered={"justify": "right"}, dead={"justify": "right"},
        last_answer={"max_width": 27},
    )  # fmt: skip
    for name, endpoint in shown.items():
        oldest, dead = _oldest(endpoint, now), endpoint.dead_letters
        rows.add_row(
            cell(name, "bold"),
            cell(describe(endpoint, now), _colour(endpoint)),
            cell(f"{endpoint.totals.pending:,}"),
            cell(None if oldest is None else age(oldest)),
            cell(f"{endpoint.totals.delivered:,}"),
            cell(f"{dead:,}", "yellow" if dead else ""),
            cell(_last_answer(endpoint, now)),
        )
    console().print()
    console().print(rows)


def _matters(endpoint: EndpointStatus) -> bool:
    return endpoint.state != "removed" or bool(endpoint.totals.pending or endpoint.dead_letters)


def describe(endpoint: EndpointStatus, now: float) -> str:
    """The state in a few words, with since when."""
    health = endpoint.health
    failing = f" for {age(now - health.failing_since)}" if health.failing_since else ""
    match endpoint.state:
        case "paused":
            return _PAUSED[endpoint.paused_by or "operator"]
        case "removed":
            return "not in routes.yaml"
        case "open" if health.is_open:
            return f"failing{failing}"
        case "open":
            return f"held back for {age((health.open_until or now) - now)}"
    return f"well, {count_of(health.failures, 'failure')}" if health.failures else "well"


def _colour(endpoint: EndpointStatus) -> str:
    is_unsteady = endpoint.state == "closed" and endpoint.health.failures
    return "yellow" if is_unsteady else _COLOURS[endpoint.state]


def _last_answer(endpoint: EndpointStatus, now: float) -> str:
    health = endpoint.health
    success, error = health.last_success_at or 0.0, health.last_error_at or 0.0
    if success == error == 0.0:
        return "nothing sent yet"
    if success >= error:
        return f"2xx {age(now - success)} ago"
    return f"{health.last_error} {age(now - error)} ago"
