"""The routes as they are written today, for commands that need no secret of them."""

from collections.abc import Sequence
from pathlib import Path

from forwarder.errors import ConfigurationError
from forwarder.outbox import OutboxAccess
from forwarder.routes.elsewhere import AnyEnvironment
from forwarder.routes.load import Load, read_routes
from forwarder.routes.problems import nearest


def look_at_routes(path: Path, *, content: bytes | None = None) -> Load:
    """
    The routes, or what is wrong with them; `content` is read already.

    Nothing may be sent by them: their secrets may be placeholders, and no folder confines where they come from.
    """
    return read_routes(path, environ=AnyEnvironment(), content=content)


def known_endpoints(outbox: OutboxAccess, routes_file: Path | None) -> list[str]:
    """The names that the routing file or the outbox knows."""
    routes = look_at_routes(routes_file).routes if routes_file is not None else None
    named = routes.endpoints if routes is not None else ()
    return list(dict.fromkeys([*named, *outbox.endpoint_names()]))


def require_endpoint(name: str, known: Sequence[str]) -> None:
    """Raises ConfigurationError that tells the nearest name."""
    if name in known:
        return
    there_are = f"; there are: {', '.join(known)}" if known else "; there is none yet"
    raise ConfigurationError(f"there is no endpoint {name!r}{nearest(name, known) or there_are}")
