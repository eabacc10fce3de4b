"""The routes as they are written today, for commands that need none of their secrets."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from forwarder.errors import ConfigurationError
from forwarder.notice import OPERATOR
from forwarder.outbox import OutboxAccess
from forwarder.reading import Device, parse_mac
from forwarder.routes import EndpointName, Routes
from forwarder.routes.elsewhere import AnyEnvironment
from forwarder.routes.load import Load, read_routes
from forwarder.routes.problems import nearest

_SHOWN = 5
WrittenRoutes: TypeAlias = Path | Routes
"""The routing file, which is read only if a name has to be looked up, or the routes in force."""


def look_at_routes(path: Path, *, content: bytes | None = None) -> Load:
    """
    The routes, or their problems. `content` is the file's, if it is read already.

    Nothing may be sent by these routes, because their secrets may be placeholders, and no folder confines their files.
    """
    return read_routes(path, environ=AnyEnvironment(), content=content)


def routes_written(where: WrittenRoutes) -> Routes | None:
    """The routes; None if the file cannot be used."""
    return where if isinstance(where, Routes) else look_at_routes(where).routes


def known_endpoints(outbox: OutboxAccess, routes: Routes | None) -> list[str]:
    """The names of endpoints that the routes or the outbox know."""
    named = routes.endpoints if routes is not None else ()
    return list(dict.fromkeys([*named, *outbox.endpoint_names()]))


def require_endpoint(name: str, known: Sequence[str], routes: Routes | None) -> None:
    """Raises ConfigurationError for a name that is not among the known ones."""
    if name not in known:
        raise ConfigurationError(not_an_endpoint(name, known, routes))


def require_device(outbox: OutboxAccess, device: Device | None, routes: WrittenRoutes) -> None:
    """Raises ConfigurationError for a name that is no MAC, and no device of the outbox."""
    if device is not None and not parse_mac(device) and not outbox.knows_device(device):
        sentence = not_a_device(device, routes_written(routes))
        raise ConfigurationError(f"{sentence}, and nothing in the outbox goes by that name")


def not_an_endpoint(name: str, known: Sequence[str], routes: Routes | None) -> str:
    """The sentence for a name that is no endpoint. It tells what else the name is, the nearest endpoint, or all."""
    if routes is not None and (known_as := _not_as_endpoint(name, routes)):
        return known_as
    there_are = f"; there are: {', '.join(known)}" if known else "; there is none yet"
    return f"there is no endpoint {name!r}{nearest(name, known) or there_are}"


def not_a_device(name: str, routes: Routes | None) -> str:
    """The sentence for a name that is no device. It tells what else the name is, and what was expected."""
    if routes is not None and name in routes.groups:
        devices = sorted(routes.groups[name])
        more = f" and {len(devices) - _SHOWN:,} more" if len(devices) > _SHOWN else ""
        return (
            f"{name!r} is a group, and no device; its devices: {', '.join(devices[:_SHOWN])}{more}"
        )
    kind = "an endpoint, and no device" if _is_endpoint(name, routes) else "not a device"
    return f"{name!r} is {kind}: expected a MAC of 12 hexadecimal digits such as ECC9FF5C7AD4"


def _is_endpoint(name: str, routes: Routes | None) -> bool:
    return routes is not None and name in routes.endpoints


def _not_as_endpoint(name: str, routes: Routes) -> str | None:
    if name == OPERATOR and routes.operator is None:
        return "routes.yaml names nobody to be told; `operator:` beside `endpoints:` does"
    if name in routes.groups:
        takers = [str(one) for one, wanted in routes.selections.items() if name in wanted.groups]
        return f"{name!r} is a group, and no endpoint; it goes to: {_names(takers)}"
    if device := parse_mac(name):
        return f"{name!r} is a device, and no endpoint; it goes to: {_names(routes.match(device))}"
    return None


def _names(endpoints: Sequence[EndpointName] | Sequence[str]) -> str:
    return ", ".join(endpoints) or "nobody"
