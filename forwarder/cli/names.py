"""The names that a shell completes: endpoints and devices of the routing file. A wrong file has none."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import click

from forwarder.operator import look_at_routes
from forwarder.outbox import opened
from forwarder.routes import Routes
from forwarder.settings import PREFIX, load_settings
from forwarder.settings.environment import ENV_FILE, read_env_file

Complete = Callable[[click.Context, click.Parameter, str], list[str]]


def endpoint_names(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """The endpoints whose names begin with `begun`."""
    return _named(lambda routes: routes.endpoints, begun)


def device_names(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """The devices in groups or lists of endpoints that begin with `begun`. MACs are in capitals, as we write them."""
    return _named(_devices, begun) or _named(_devices, begun.upper())


def heard_device_names(
    _context: click.Context, _parameter: click.Parameter, begun: str
) -> list[str]:
    """The devices of `device_names`, and those that the outbox has heard of."""
    named = _named(_devices, begun) or _named(_devices, begun.upper())
    return sorted({*named, *_heard(begun), *_heard(begun.upper())})


def _heard(begun: str) -> list[str]:
    try:
        with opened(load_settings().outbox_place, is_read_only=True) as outbox:
            return [one.device for one in outbox.devices() if one.device.startswith(begun)]
    except Exception:  # noqa: BLE001 - as below
        return []


def _devices(routes: Routes) -> Iterable[str]:
    listed = [routes.devices_of(name) for name in routes.endpoints]
    return frozenset[str]().union(*listed, *routes.groups.values())


def _named(names: Callable[[Routes], Iterable[str]], begun: str) -> list[str]:
    try:
        environ = {**read_env_file(Path(ENV_FILE)).values, **os.environ}
        routes = look_at_routes(Path(environ.get(f"{PREFIX}ROUTES_FILE") or "routes.yaml")).routes
        return sorted(name for name in names(routes) if name.startswith(begun)) if routes else []
    except Exception:  # noqa: BLE001 - a traceback would land in the line that somebody is typing
        return []
