"""Devices are listed, all that were heard of, and shown with all about each."""

from forwarder import operator
from forwarder.api.resources.call import Call, Resources, page_of
from forwarder.operator.objects import device_file_object, device_object


def listed(resources: Resources, call: Call) -> object:
    query, now = call.query, call.situation.now
    with resources.readable() as outbox:
        rows = operator.devices_behind(
            outbox,
            call.situation.routes,
            query.last,
            limit=query.limit + 1,
            silent=query.silent,
            unrouted=query.unrouted,
        )
    return page_of(query, rows, lambda one: device_object(one, now), lambda one: (one.device,))


def one(resources: Resources, call: Call) -> object:
    device, now = operator.parse_device(call.path["device"]), call.situation.now
    with resources.readable() as outbox:
        operator.require_device(outbox, device, call.situation.routes)
        found = operator.read_device_file(outbox, device, call.situation.routes)
    return device_file_object(found, now)
