"""`forwarder status` shows which endpoints are well, which are not, since when, and how much waits."""

import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
from rich.live import Live
from rich.text import Text

from forwarder.cli.options import as_json_option
from forwarder.cli.running import Readiness, ask_readiness
from forwarder.cli.status_view import View, frame, print_view
from forwarder.cli.tables import console, print_json
from forwarder.errors import ConfigurationError, ForwarderError, OperationError
from forwarder.operator import look_at_routes, read_status
from forwarder.operator.objects import status_object
from forwarder.outbox import is_running
from forwarder.routes import Rejection
from forwarder.routes.load import Load
from forwarder.settings import Database, Settings, load_settings
from forwarder.terminal import plain

REDRAW_SECONDS = 1.0


@click.command("status", short_help="Show how broker, endpoints and queues stand")
@click.option("--watch", is_flag=True, help="Look again each second, until Ctrl-C.")
@as_json_option
def command(*, watch: bool, as_json: bool) -> None:
    """Show how the broker session, the endpoints and their queues stand; also while the service is stopped."""
    if watch and (as_json or not sys.stdout.isatty()):
        raise ConfigurationError("--watch is for a terminal; for programs ask again for --json")
    settings = load_settings()
    view = look(settings, now=time.time())
    if as_json:
        print_json(as_object(view))
    elif watch:
        _watch(settings, view)
    else:
        print_view(view)


def look(settings: Settings, *, now: float) -> View:
    """Everything to show. Raises OperationError when the service that answers works on another outbox."""
    readiness = ask_readiness(settings.listen_address)
    load = look_at_routes(settings.routes_file)
    written = _written(load)
    in_force = readiness.endpoints if readiness.answered else written
    overview = read_status(
        settings.outbox_place, in_force=in_force, refused=_refused(load), now=now
    )
    if readiness.answered:
        _require_ours(readiness, overview.identity, settings)
    return View(
        overview=overview,
        readiness=readiness,
        mqtt=_mqtt(readiness, settings),
        routes=_routes(load, readiness),
        not_in_force=[name for name in written or () if name not in (in_force or {})],
        outbox_place=settings.outbox_place,
        now=now,
    )


def _written(load: Load) -> dict[str, bool] | None:
    """The endpoints of the file as it is now, and whether it pauses them; None when it cannot be used."""
    if isinstance(load.outcome, Rejection):
        return None
    return {str(name): endpoint.paused for name, endpoint in load.outcome.endpoints.items()}


def _refused(load: Load) -> dict[str, frozenset[int]]:
    """The statuses by which the file's endpoints refuse a reading for good."""
    if isinstance(load.outcome, Rejection):
        return {}
    return {str(name): endpoint.refused for name, endpoint in load.outcome.endpoints.items()}


def _require_ours(readiness: Readiness, identity: str | None, settings: Settings) -> None:
    """
    Raises OperationError unless the service that answers works on our outbox.

    A lock tells our file from a copy, which has its identity. A database may have no leader, and needs no lock.
    """
    place = settings.outbox_place
    is_ours = isinstance(place, Database) or is_running(place)
    if identity == readiness.outbox.get("id") and is_ours:
        return
    where = place.absolute() if isinstance(place, Path) else place
    state = "where there is none yet" if identity is None else "whose service does not run"
    if identity is not None and is_running(place):
        state = "whose service listens elsewhere"
    raise OperationError(
        f"another outbox: the forwarder that answers at {settings.http_listen} does not work on {where},"
        f" {state}; go to the folder of that forwarder, or set FORWARDER_OUTBOX_URL or FORWARDER_HTTP_LISTEN"
    )


def as_object(view: View) -> dict[str, Any]:
    """The status for programs."""
    readiness = view.readiness
    return status_object(
        view.overview,
        ready=readiness.is_ready,
        reasons=list(readiness.reasons) or ([] if readiness.is_ready else [view.mqtt["problem"]]),
        mqtt=view.mqtt,
        outbox=readiness.outbox,
        routes={**view.routes, "not_in_force": view.not_in_force},
        now=view.now,
    )


def _watch(settings: Settings, view: View) -> None:
    """Redraw until Ctrl-C. A look that fails is shown, and tried again a second later."""
    screen = console()
    with (
        suppress(KeyboardInterrupt),
        Live(frame(view, screen), console=screen, screen=True, auto_refresh=False) as live,
    ):
        while True:
            live.refresh()
            time.sleep(REDRAW_SECONDS)
            try:
                view = look(settings, now=time.time())
                live.update(frame(view, screen))
            except ForwarderError as problem:
                live.update(Text(plain(str(problem)), style="red"))
    print_view(view)


def _mqtt(readiness: Readiness, settings: Settings) -> dict[str, Any]:
    if readiness.answered:
        return readiness.mqtt
    problem = "the service is not running"
    if is_running(settings.outbox_place):
        problem = f"the service runs, but does not answer at {settings.http_listen} (FORWARDER_HTTP_LISTEN)"
    return {"connected": False, "problem": problem}


def _routes(load: Load, readiness: Readiness) -> dict[str, Any]:
    """The routes by the running service, else by the file. `problem` is the first sentence of our own look."""
    if isinstance(load.outcome, Rejection):
        found = load.outcome
        own = {"endpoints": 0, "problems": found.count, "first": found.place}
    else:
        own = {"endpoints": len(load.outcome.endpoints), "problems": 0, "first": None}
    routes = {**own, **readiness.routes}
    return {**routes, "problem": load.problems[0] if load.problems and routes["problems"] else None}
