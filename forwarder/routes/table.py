"""The routing table holds the endpoints that want a device, for each device that is named anywhere."""

from collections import defaultdict
from collections.abc import Mapping

from forwarder.reading import Device
from forwarder.routes.model import Endpoint, EndpointName, Routes, Selection


def build_table(
    endpoints: Mapping[EndpointName, Endpoint],
    selections: Mapping[EndpointName, Selection],
    groups: Mapping[str, frozenset[Device]],
) -> Routes:
    """
    Routes whose match is one look-up.

    Devices that are in the same groups and the same lists share one tuple: a fleet of 100,000 devices that
    thousands of endpoints take costs one entry a device, not one for each device and endpoint.
    """
    by_group = _users(selections)
    order = {name: index for index, name in enumerate(endpoints)}
    every = tuple(name for name in endpoints if selections[name].wants_every_device)
    shared: dict[tuple[str, ...], tuple[EndpointName, ...]] = {}
    table: dict[Device, tuple[EndpointName, ...]] = {}
    for device, sources in _sources(selections, groups).items():
        key = tuple(sources)
        if key not in shared:
            wanting = {name for source in key for name in by_group[source]}
            shared[key] = tuple(sorted(wanting.union(every), key=order.__getitem__))
        table[device] = shared[key]
    return Routes(
        endpoints, every_device=every, by_device=table, groups=groups, selections=selections
    )


def _users(selections: Mapping[EndpointName, Selection]) -> dict[str, list[EndpointName]]:
    """The endpoints that use a source of devices: `group:zurich`, or `list:acme`, which is acme's own list."""
    users: dict[str, list[EndpointName]] = defaultdict(list)
    for name, selection in selections.items():
        users[f"list:{name}"].append(name)
        for group in selection.groups:
            users[f"group:{group}"].append(name)
    return users


def _sources(
    selections: Mapping[EndpointName, Selection], groups: Mapping[str, frozenset[Device]]
) -> dict[Device, list[str]]:
    used = {group for selection in selections.values() for group in selection.groups}
    sources: dict[Device, list[str]] = defaultdict(list)
    for group in sorted(used):
        for device in groups[group]:
            sources[device].append(f"group:{group}")
    for name, selection in selections.items():
        for device in selection.devices:
            sources[device].append(f"list:{name}")
    return sources
