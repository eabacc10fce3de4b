"""The routes as they are written today, for commands that need no secret of them."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from forwarder.errors import ConfigurationError
from forwarder.outbox import OutboxAccess
from forwarder.routes.load import Load, read_routes
from forwarder.routes.problems import nearest

_ANY_SECRET = "whsec_" + base64.b64encode(bytes(24)).decode()


class _AnyEnvironment(Mapping[str, str]):
    """
    An environment in which every variable is set, to a key that nobody has.

    A service's secrets are often not in the shell of the one who looks after it; which endpoint gets which device
    does not depend on them.
    """

    def __getitem__(self, name: str) -> str:
        return _ANY_SECRET

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def look_at_routes(path: Path, *, content: bytes | None = None) -> Load:
    """
    The routes, or what is wrong with them; `content` is read already.

    Nothing may be sent by them: their secrets may be placeholders, and no folder confines where they come from.
    """
    return read_routes(path, environ=_AnyEnvironment(), content=content)


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
