"""Messages in quarantine are listed, shown, replayed and discarded."""

import base64
from datetime import UTC, datetime
from typing import cast

from forwarder import operator
from forwarder.api.resources.call import Call, Raw, Resources, discarded, page_of, part_of
from forwarder.api.resources.payloads import decoded_by
from forwarder.operator.objects import quarantined_object
from forwarder.outbox import Chosen, OutboxAccess, Quarantined
from forwarder.reading import Message


def listed(resources: Resources, call: Call) -> object:
    with resources.readable() as outbox:
        part, routes = part_of(call.query), call.situation.routes
        chosen = operator.quarantined_meant(outbox, (), part, routes=routes)
        # One at a time, because each may be a message of the largest size.
        messages = [
            {"id": found.id, **quarantined_object(found)}
            for numbers in chosen.chunks()
            for number in numbers
            for found in outbox.quarantined([number])
        ]
    return page_of(call.query, messages, dict, lambda one: (cast("int", one["id"]),))


def one(resources: Resources, call: Call) -> object:
    found = _named(resources, call)
    payload = base64.b64encode(found.payload).decode()
    return {**quarantined_object(found), "payload_base64": payload}


def raw(resources: Resources, call: Call) -> Raw:
    return Raw(_named(resources, call).payload, "application/octet-stream")


def decoded(resources: Resources, call: Call) -> object:
    found = _named(resources, call)
    received_at = datetime.fromtimestamp(found.received_at, UTC)
    return decoded_by(resources.normaliser, Message(found.topic, found.payload, received_at))


def _named(resources: Resources, call: Call) -> Quarantined:
    with resources.readable() as outbox:
        return operator.quarantined_message(outbox, operator.quarantined_id(call.path["id"]))


def replay(resources: Resources, call: Call) -> object:
    decode, now = operator.decoder(resources.normaliser, call.situation.routes), call.situation.now
    with resources.writable() as outbox:
        chosen = _meant(outbox, call)
        if call.query.dry_run:
            return {"count": chosen.count}
        with call.audited(outbox, "replay_quarantined", chosen.count) as change:
            outcomes = operator.replay_quarantined(outbox, chosen, decode=decode, now=now)
            replayed = change.count = outcomes["replayed"]
    others = {str(name): n for name, n in outcomes.items() if name not in ("replayed", "gone")}
    return call.done("replay_quarantined", replayed, answer={"count": replayed, **others})


def discard(resources: Resources, call: Call) -> object:
    erase = operator.discard_quarantined
    return discarded(resources, call, "discard_quarantined", meant=_meant, discard=erase)


def _meant(outbox: OutboxAccess, call: Call) -> Chosen[int]:
    return operator.quarantined_meant(
        outbox, call.body.ids, call.body.selection(), routes=call.situation.routes
    )
