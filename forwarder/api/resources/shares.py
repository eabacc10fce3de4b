"""Links that show an endpoint's deliveries to its people are listed, made and revoked."""

from forwarder import operator
from forwarder.api.resources.call import Call, Resources
from forwarder.api.resources.endpoints import name_meant
from forwarder.operator.objects import share_object
from forwarder.outbox import OutboxAccess, Share


def listed(resources: Resources, call: Call) -> object:
    with resources.readable() as outbox:
        name = _endpoint_of(outbox, call)
        found = operator.shares_in_force(outbox, now=call.situation.now, endpoint=name)
    return {"items": [share_object(one) for one in found]}


def make(resources: Resources, call: Call) -> object:
    seconds, now = call.body.seconds, call.situation.now
    with resources.writable() as outbox:
        name = _endpoint_of(outbox, call)
        made = operator.share_endpoint(outbox, name, seconds=seconds, actor=call.actor, now=now)
    answer = {**share_object(made.share), "url": made.url(resources.page_url)}
    return call.done("share", 1, answer=answer, endpoint=name)


def revoke(resources: Resources, call: Call) -> object:
    identity, name, now = call.path["id"], call.path["name"], call.situation.now
    with resources.writable() as outbox:
        operator.require_share(outbox, identity, now=now, endpoint=name)
        if call.query.dry_run:
            return {"count": 1}
        operator.revoke_share(outbox, identity, actor=call.actor, now=now, endpoint=name)
    return call.done("unshare", 1, endpoint=name)


def opened_by(resources: Resources, token: str, *, now: float) -> Share | None:
    """The share that a link's token opens; None if it opens nothing."""
    with resources.readable() as outbox:
        return operator.opened_by(outbox, token, now=now)


def _endpoint_of(outbox: OutboxAccess, call: Call) -> str:
    return name_meant(call, operator.known_endpoints(outbox, call.situation.routes))
