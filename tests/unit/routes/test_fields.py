"""`fields` that name nothing: found before a receiver goes without its values."""

import json
from fnmatch import fnmatchcase

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from support.posting import endpoint_at

from forwarder.render.fields import keep_fields
from forwarder.routes.fields import field_remarks, require_name
from forwarder.routes.model import EndpointName
from forwarder.variables import ALWAYS, SECTIONS, variables


def everything() -> dict[str, object]:
    """The data object of a reading that has a value of each name, and no `extra`."""
    members: dict[str, object] = dict.fromkeys(ALWAYS, "")
    for one in variables():
        if not one.section:
            members.setdefault(one.key, 1)
            continue
        section = members.setdefault(one.section, {})
        assert isinstance(section, dict)
        section[one.key] = 1
    members["volumes"] = [members["volumes"]]
    return members


DATA = json.dumps(everything()).encode()
HEAD = dict.fromkeys(ALWAYS, "")
NAMES = sorted({one.field for one in variables()} | SECTIONS | ALWAYS)


def names_something(field: str) -> bool:
    """Whether it passes, and no payload of its own is needed to fill it."""
    try:
        require_name(field)
    except ValueError:
        return False
    endpoint = endpoint_at("https://hooks.example/", name=EndpointName("acme"), fields=(field,))
    return not field_remarks([endpoint])


@st.composite
def near_names(draw: st.DrawFn) -> str:
    """A name of the event with something done to it: cut, misspelt, or with a glob in it."""
    name = draw(st.sampled_from(NAMES))
    start, end = sorted((draw(st.integers(0, len(name))), draw(st.integers(0, len(name)))))
    return name[:start] + draw(st.sampled_from(["", "*", "?", ".", "x", "[a-m]"])) + name[end:]


@given(field=near_names())
def test_what_passes_is_what_sends_something(field: str) -> None:
    """A field passes when, and only when, a reading that has everything keeps something by it."""
    assume(field and field != "extra" and not field.startswith("extra."))
    sends_more = json.loads(keep_fields(DATA, fields=(field,))) != HEAD
    assert names_something(field) == (sends_more or any(fnmatchcase(one, field) for one in ALWAYS))


@pytest.mark.parametrize("name", NAMES)
def test_every_name_of_an_event_passes(name: str) -> None:
    """Those that are always sent, too."""
    require_name(name)


@pytest.mark.parametrize(
    ("field", "hint"),
    [
        pytest.param("active_powr", 'did you mean "active_power_*"?', id="misspelt"),
        pytest.param("voltage", 'did you mean "voltage_*"?', id="a beginning"),
        pytest.param("Voltage_L1_V", 'did you mean "voltage_l1_v"?', id="in capitals"),
        pytest.param("1_7_0", 'did you mean "active_power_import_kw"?', id="as templates have it"),
        pytest.param("1.7.0", 'did you mean "active_power_import_kw"?', id="as meters have it"),
        pytest.param("P_In", 'did you mean "active_power_import_kw"?', id="as a shape has it"),
        pytest.param("vendor", 'did you mean "meter.vendor"?', id="without its section"),
        pytest.param("wifi.*", 'did you mean "network.wifi.*"?', id="a glob without its section"),
        pytest.param("meter.vendorr", 'did you mean "meter.vendor"?', id="misspelt in a section"),
        pytest.param("volumes[0].bus", 'did you mean "volumes.bus"?', id="one of a list"),
        pytest.param("measurements.active_powr", 'did you mean "active_power_*"?', id="too long"),
        pytest.param("report.x", "known in report: id, interval_s", id="nothing like it there"),
        pytest.param("qwertz", "`forwarder schema event` lists them", id="nothing like it at all"),
    ],
)
def test_what_is_meant_is_told(field: str, hint: str) -> None:
    """The name that was probably meant, or where the names are."""
    with pytest.raises(ValueError, match="no event has such a name; ") as wrong:
        require_name(field)
    assert str(wrong.value).endswith(hint)


def test_names_in_extra_are_remarked_on() -> None:
    """What `extra` holds depends on the payload: a name in it passes, and is told."""
    fields = ("extra.*", "extra", "extra.co2", "*.co2", "tariff")
    endpoint = endpoint_at("https://hooks.example/", name=EndpointName("acme"), fields=fields)
    assert field_remarks([endpoint]) == [
        f'endpoint "acme": fields "{field}" names nothing that is known; it is sent where a payload holds it'
        for field in ("extra.co2", "*.co2")
    ]


def test_without_fields_there_is_nothing_to_remark_on() -> None:
    """Everything is sent, whatever it is called."""
    assert field_remarks([endpoint_at("https://hooks.example/")]) == []
