"""Deliveries in any state are listed, the newest first, and shown with their attempts."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from forwarder import operator
from forwarder.api import requests as forms
from forwarder.api.resources.call import Call, Raw, Resources, page_of, part_of
from forwarder.errors import OperationError
from forwarder.operator.objects import delivery_file_object, delivery_object, with_raw
from forwarder.outbox import DeliveryFile, DeliveryId, DeliveryRecord, OutboxAccess

_NO_ENDPOINT = -1


def listed(resources: Resources, call: Call) -> object:
    with resources.readable() as outbox:
        part = part_of(call.query)
        within = outbox.outlook(part, most=resources.most_looked_at)
        part = replace(part, readings=(within.lowest, within.highest))
        chosen = operator.deliveries_meant(outbox, (), part, routes=call.situation.routes)
        records = records_of(outbox, chosen.chunks())
    page = page_of(call.query, records, delivery_object, lambda one: one.id)
    if not within.is_whole:
        page.setdefault("next", forms.encode_cursor((within.lowest - 1, _NO_ENDPOINT)))
    return page


def one(resources: Resources, call: Call) -> object:
    return written(files(resources, call))


def files(resources: Resources, call: Call) -> list[DeliveryFile]:
    """All about the deliveries of one reading, as it is read from the outbox."""
    with resources.readable() as outbox:
        return files_of(outbox, operator.name_deliveries(outbox, [call.path["id"]]), call)


def records_of(
    outbox: OutboxAccess, chunks: Iterable[Sequence[DeliveryId]]
) -> list[DeliveryRecord]:
    """The records of chosen deliveries, in their order."""
    return [record for keys in chunks for record in outbox.records(keys)]


def files_of(outbox: OutboxAccess, keys: Sequence[DeliveryId], call: Call) -> list[DeliveryFile]:
    """All about these deliveries of one reading. Raises OperationError if none is to the endpoint of the query."""
    wanted = call.query.endpoint
    found = [operator.delivery_file(outbox, key) for key in keys]
    chosen = [one for one in found if wanted in (None, one.record.endpoint)]
    if not chosen:
        raise OperationError(f"{found[0].record.webhook_id} is not owed to {wanted!r}")
    return chosen


def written(found: Sequence[DeliveryFile]) -> Raw:
    """The answer, whose reading keeps its digits as they came."""
    items = [with_raw(delivery_file_object(one), "data", one.data) for one in found]
    return Raw(f'{{"items": [{", ".join(items)}]}}'.encode())
