"""The routing table against a model that looks at every endpoint, and files against what they were written from."""

import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st
from support.properties import examples
from support.routing import routes_of

from forwarder.reading import Device
from forwarder.routes import EndpointName, Selection

DEVICES = [
    Device(f"{number:012X}") for number in (0, 1, 0x123456789012, 0x1E2345678901, 0xFFFFFFFFFFFF)
]
GROUPS = ["g1", "g2", "empty"]
SPELLINGS = (
    str.lower,
    lambda mac: ":".join(mac[i : i + 2] for i in range(0, 12, 2)),
    lambda mac: "-".join(mac[i : i + 2] for i in range(0, 12, 2)).lower(),
    lambda mac: ".".join(mac[i : i + 4] for i in range(0, 12, 4)),
    lambda mac: f'"{mac}"',
    lambda mac: mac,
)

some_devices = st.frozensets(st.sampled_from(DEVICES))
selections = st.builds(
    Selection,
    wants_every_device=st.booleans(),
    devices=some_devices,
    groups=st.lists(st.sampled_from(GROUPS), unique=True).map(tuple),
)
files = st.dictionaries(
    st.from_regex(r"\A[a-z0-9][a-z0-9_.-]{0,8}\Z").map(EndpointName),
    selections,
    min_size=1,
    max_size=6,
)
memberships = st.fixed_dictionaries(dict.fromkeys(GROUPS, some_devices))


@st.composite
def written(draw: st.DrawFn, devices: frozenset[Device]) -> str:
    """The devices as a YAML list, each in a spelling of its own."""
    words = [
        draw(st.sampled_from(SPELLINGS))(device)
        for device in draw(st.permutations(sorted(devices)))
    ]
    return f"[{', '.join(words)}]"


@st.composite
def dumped(
    draw: st.DrawFn, groups: Mapping[str, frozenset[Device]], file: Mapping[EndpointName, Selection]
) -> str:
    """A routing file that says just this."""
    lines = ["defaults: {url: 'https://a.example/', secret: env:KEY}", "groups:"]
    lines += [f"  {name}: {draw(written(devices))}" for name, devices in groups.items()]
    lines += ["endpoints:"]
    for name, selection in file.items():
        devices = '"*"' if selection.wants_every_device else draw(written(selection.devices))
        lines += [f"  {json.dumps(name)}:", f"    devices: {devices}"]
        lines += [f"    groups: [{', '.join(selection.groups)}]"]
    return "\n".join(lines) + "\n"


@settings(max_examples=examples(150), deadline=None)
@given(st.data(), memberships, files)
def test_each_device_reaches_those_who_want_it_and_nobody_else(
    data: st.DataObject,
    groups: Mapping[str, frozenset[Device]],
    file: Mapping[EndpointName, Selection],
) -> None:
    """What a file says is what is matched, in its order, each endpoint once, in whatever spelling."""
    text = data.draw(dumped(groups, file))

    with TemporaryDirectory() as folder:
        routes = routes_of(text, folder=Path(folder))

    for device in [*DEVICES, Device("AABBCCDDEEFF")]:
        assert routes.match(device) == tuple(
            name
            for name, wants in file.items()
            if wants.wants_every_device
            or device in wants.devices
            or any(device in groups[group] for group in wants.groups)
        )


@settings(max_examples=examples(75), deadline=None)
@given(st.data(), memberships, files)
def test_file_that_is_written_from_routes_gives_the_same_routes(
    data: st.DataObject,
    groups: Mapping[str, frozenset[Device]],
    file: Mapping[EndpointName, Selection],
) -> None:
    """Parse, dump and parse again: selections, groups and endpoints are the same."""
    with TemporaryDirectory() as folder:
        first = routes_of(data.draw(dumped(groups, file)), folder=Path(folder))
        known = {name: first.groups[name] for name in GROUPS}
        second = routes_of(data.draw(dumped(known, first.selections)), folder=Path(folder))

    assert second.selections == first.selections
    assert second.groups == first.groups
    assert second.endpoints == first.endpoints


def test_a_fleet_that_thousands_share_costs_one_tuple(tmp_path: Path) -> None:
    """Devices of the same groups share their match, however many endpoints take them."""
    devices = ", ".join(f"{number:012X}" for number in range(2000))
    endpoints = "".join(f"  e{number}: {{groups: [fleet]}}\n" for number in range(500))
    text = "defaults: {url: 'https://a.example/', secret: env:KEY}\n"

    routes = routes_of(
        f"{text}groups: {{fleet: [{devices}]}}\nendpoints:\n{endpoints}", folder=tmp_path
    )

    first, last = Device(f"{0:012X}"), Device(f"{1999:012X}")
    assert len(routes.match(first)) == 500
    assert routes.match(first) is routes.match(last)
