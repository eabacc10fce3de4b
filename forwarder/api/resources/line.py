"""The line as a whole: its state, the routes in force, and the record of changes."""

from forwarder.api.resources.call import Call, Resources, Situation, page_of
from forwarder.operator import Status, read_status
from forwarder.operator.objects import (
    audit_object,
    routes_object,
    routes_of_device_object,
    status_object,
)
from forwarder.outbox import Minute


def status(resources: Resources, call: Call) -> object:
    situation = call.situation
    readiness = situation.readiness
    return status_object(
        overview(resources, situation),
        ready=readiness["ready"],
        reasons=readiness["reasons"],
        mqtt=readiness["mqtt"],
        outbox=readiness["outbox"],
        routes={**readiness["routes"], "problem": situation.problem, "not_in_force": []},
        now=situation.now,
    )


def overview(resources: Resources, situation: Situation) -> Status:
    """The status as it is read from the outbox."""
    endpoints = situation.routes.endpoints
    return read_status(
        resources.outbox_place,
        in_force={str(name): one.paused for name, one in endpoints.items()},
        refused={str(name): one.refused for name, one in endpoints.items()},
        now=situation.now,
    )


def minutes(resources: Resources, endpoint: str, *, since: float) -> list[Minute]:
    """The counts of each minute, of an endpoint, or of the line, whose name is empty."""
    with resources.readable() as outbox:
        return outbox.minutes(endpoint, since=since)


def routes(_: Resources, call: Call) -> object:
    in_force, device = call.situation.routes, call.query.device
    return routes_object(in_force) if device is None else routes_of_device_object(in_force, device)


def audit(resources: Resources, call: Call) -> object:
    query = call.query
    with resources.readable() as outbox:
        records = outbox.audit(limit=query.limit + 1, before=query.before)
    return page_of(query, records, audit_object, lambda one: (one.number,))
