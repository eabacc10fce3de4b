"""Dead letters are listed (the first died first), shown, replayed and discarded."""

from forwarder import operator
from forwarder.api.resources.call import Call, Resources, discarded, page_of, part_of
from forwarder.api.resources.deliveries import files_of, records_of, written
from forwarder.operator.objects import dead_letter_object
from forwarder.outbox import Chosen, DeliveryId, OutboxAccess


def listed(resources: Resources, call: Call) -> object:
    with resources.readable() as outbox:
        part, routes = part_of(call.query), call.situation.routes
        chosen = operator.dead_letters_meant(outbox, (), part, routes=routes)
        records = records_of(outbox, chosen.chunks())
    return page_of(
        call.query, records, dead_letter_object, lambda one: (one.settled_at or 0.0, *one.id)
    )


def one(resources: Resources, call: Call) -> object:
    with resources.readable() as outbox:
        found = files_of(outbox, operator.name_dead_letters(outbox, [call.path["id"]]), call)
    return written(found)


def replay(resources: Resources, call: Call) -> object:
    routes, to = call.situation.routes, call.body.to
    with resources.writable() as outbox:
        if to is not None:
            operator.require_endpoint(to, list(routes.endpoints), routes)
        chosen = _meant(outbox, call)
        operator.require_same_kind(outbox.endpoints_of(chosen), to)
        if to is None:
            operator.require_routed(outbox.endpoints_of(chosen), routes)
        if call.query.dry_run:
            return {"count": chosen.count}
        with call.audited(outbox, "replay", chosen.count) as change:
            came_to = _replay(outbox, chosen, call)
            change.count = came_to.replayed
    answer = {"count": came_to.replayed}
    if came_to.already_there:
        answer["already_there"] = came_to.already_there
    return call.done("replay", came_to.replayed, answer=answer)


def _replay(outbox: OutboxAccess, chosen: Chosen[DeliveryId], call: Call) -> operator.Replayed:
    now = call.situation.now
    if call.body.to is None:
        return operator.replay(outbox, chosen, now=now)
    return operator.replay_to(outbox, chosen, endpoint=call.body.to, now=now)


def discard(resources: Resources, call: Call) -> object:
    return discarded(resources, call, "discard", meant=_meant, discard=operator.discard)


def _meant(outbox: OutboxAccess, call: Call) -> Chosen[DeliveryId]:
    return operator.dead_letters_meant(
        outbox, call.body.ids, call.body.selection(), routes=call.situation.routes
    )
