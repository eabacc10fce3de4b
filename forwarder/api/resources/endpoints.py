"""Endpoints are shown, paused, resumed and tested."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from forwarder import operator
from forwarder.api.resources import line
from forwarder.api.resources.call import Call, Resources
from forwarder.errors import OperationError
from forwarder.operator.objects import endpoint_object, outcome_object


def listed(resources: Resources, call: Call) -> object:
    return {"items": list(_every(resources, call))}


def one(resources: Resources, call: Call) -> object:
    return _one(resources, call)


def _every(resources: Resources, call: Call) -> Iterator[dict[str, Any]]:
    now = call.situation.now
    for name, endpoint in line.overview(resources, call.situation).endpoints.items():
        yield {"name": name, **endpoint_object(endpoint, now)}


def _one(resources: Resources, call: Call) -> dict[str, Any]:
    name = call.path["name"]
    for endpoint in _every(resources, call):
        if endpoint["name"] == name:
            return endpoint
    raise OperationError(f"there is no endpoint {name!r}; GET endpoints lists them")


def pause(resources: Resources, call: Call) -> object:
    return _change(resources, call, operator.pause, would=lambda by: by != "operator")


def resume(resources: Resources, call: Call) -> object:
    return _change(resources, call, operator.resume, would=lambda by: by in ("operator", "gone"))


def _change(
    resources: Resources,
    call: Call,
    change: Callable[..., bool],
    *,
    would: Callable[[str | None], bool],
) -> object:
    endpoint = _one(resources, call)
    if call.query.dry_run:
        return {"count": int(would(endpoint["paused_by"]))}
    with resources.writable() as outbox:
        changed = change(outbox, endpoint["name"], actor=call.actor, now=call.situation.now)
    return call.done(change.__name__, int(changed), endpoint=endpoint["name"])


def send_test(resources: Resources, call: Call) -> object:
    routes = call.situation.routes
    endpoint = operator.find_endpoint(routes, name_meant(call, list(routes.endpoints)))
    # A loop of its own, as the command has it. The line's loop goes on meanwhile.
    answered = asyncio.run(operator.send_test(endpoint, transport_for=resources.transports()))
    answer = outcome_object(endpoint.name, answered)
    return call.done("send_test", 1, answer=answer, endpoint=endpoint.name)


def name_meant(call: Call, known: Sequence[str]) -> str:
    """The name in the path. Raises OperationError when there is no such endpoint."""
    name = call.path["name"]
    if name not in known:
        raise OperationError(operator.not_an_endpoint(name, known, call.situation.routes))
    return name
