"""
Asks the running service about itself.

`http.client` asks, because a container's health check starts a process each time, and httpx doubles what that costs.
The address is this machine's own, and the request holds no secret.
"""

import http.client
import json
from dataclasses import dataclass, field
from typing import Any

TIMEOUT_SECONDS = 2.0
_LARGEST_ANSWER = 4 << 20
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what a server listens on, not what we dial


@dataclass(frozen=True, slots=True)
class Readiness:
    """The answer of /readyz. Its parts are empty when there was none."""

    answered: bool = False
    is_ready: bool = False
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    mqtt: dict[str, Any] = field(default_factory=dict)
    routes: dict[str, Any] = field(default_factory=dict)
    outbox: dict[str, Any] = field(default_factory=dict)
    endpoints: dict[str, bool] = field(default_factory=dict)
    """The endpoints in force, and whether the routes pause them."""


def ask(address: tuple[str, int], path: str, *, timeout_seconds: float) -> tuple[int, bytes]:
    """Status and body of GET `path` at the service's address. Raises OSError when nothing answers."""
    host, port = address
    connection = http.client.HTTPConnection(
        _ANY_ADDRESS.get(host, host), port, timeout=timeout_seconds
    )
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read(_LARGEST_ANSWER)
    except http.client.HTTPException as foreign:
        raise ConnectionError("what listens there does not speak HTTP") from foreign
    finally:
        connection.close()


def ask_readiness(address: tuple[str, int]) -> Readiness:
    """The answer of GET /readyz at the service's address. It never raises."""
    try:
        _, body = ask(address, "/readyz?endpoints", timeout_seconds=TIMEOUT_SECONDS)
        return _understood(json.loads(body))
    except (OSError, ValueError):
        return Readiness()


def _understood(answer: object) -> Readiness:
    if not isinstance(answer, dict) or not isinstance(answer.get("mqtt"), dict):
        # Another program listens there.
        return Readiness()
    return Readiness(
        answered=True,
        is_ready=answer.get("ready") is True,
        reasons=tuple(str(reason) for reason in _part(answer, "reasons", list)),
        warnings=tuple(str(warning) for warning in _part(answer, "warnings", list)),
        mqtt=answer["mqtt"],
        routes=_part(answer, "routes", dict),
        outbox=_part(answer, "outbox", dict),
        endpoints={
            str(name): isinstance(said, dict) and said.get("paused") is True
            for name, said in _part(answer, "endpoints", dict).items()
        },
    )


def _part(answer: dict[str, Any], name: str, kind: type[Any]) -> Any:
    value = answer.get(name)
    return value if isinstance(value, kind) else kind()
