import pytest
from support.payloads import PAYLOADS, message, normaliser, read

from forwarder.reading import JsonValue, rfc3339


@pytest.mark.parametrize(
    ("name", "measured_at"),
    [
        pytest.param("template-small.{}", "2025-11-17T14:52:50Z", id="nested JSON"),
        pytest.param("template-influx.{}", "2025-11-18T08:57:40Z", id="InfluxDB line protocol"),
        pytest.param("template-unresolved.{}", "2025-11-18T08:57:40Z", id="an unknown variable"),
    ],
)
def test_documented_templates_read_their_payloads(name: str, measured_at: str) -> None:
    """The text given to whatwatt is all that is needed."""
    template = (PAYLOADS / name.format("txt")).read_text()
    payload = next(PAYLOADS.glob(name.format("message.*"))).read_bytes()
    reading = read(payload, template=template, topic="lab/whatwatt-001")

    assert rfc3339(reading.measured_at) == measured_at
    assert reading.measurements["active_power_import_kw"] in (0.014, 1.5, 0.036)
    assert reading.extra == {}


@pytest.mark.parametrize(
    ("template", "payload", "measurements"),
    [
        pytest.param(
            '{"a":{"b":[${1_7_0},{"c":"${2_7_0}"}]}}',
            '{"a":{"b":[1,{"c":"2"}]}}',
            {"active_power_import_kw": 1, "active_power_export_kw": 2},
            id="objects and arrays",
        ),
        pytest.param(
            '{ "a" : ${1_7_0} }', '\n{"b":5,\n"a":1}', {"active_power_import_kw": 1}, id="white space and order"
        ),
        pytest.param(
            "[${1_7_0}, ${2_7_0}]",
            "[1,2,3]",
            {"active_power_import_kw": 1, "active_power_export_kw": 2},
            id="an array at the top",
        ),
        pytest.param('{"a":"${1_7_0} kW"}', '{"a":"1.5 kW"}', {"active_power_import_kw": 1.5}, id="a unit"),
        pytest.param(
            '{"a":"${1_7_0}/${2_7_0}"}',
            '{"a":"1/2"}',
            {"active_power_import_kw": 1, "active_power_export_kw": 2},
            id="two in one string",
        ),
        pytest.param('{"a":-${1_7_0}}', '{"a":-1.5}', {"active_power_import_kw": 1.5}, id="a sign before it"),
        pytest.param('{"a":-${1_7_0}}', '{"a":--1.5}', {"active_power_import_kw": -1.5}, id="a second sign"),
        pytest.param('{"a":${1_7_0}.0}', '{"a":1.0}', {"active_power_import_kw": 1}, id="digits behind it"),
        pytest.param(
            '{"${meter.id}":{"a":${1_7_0}}}', '{"X1":{"a":1}}', {"active_power_import_kw": 1}, id="a key"
        ),
        pytest.param(
            '{"a":${1_7_0},"b":${power.in}}', '{"a":1,"b":1}', {"active_power_import_kw": 1}, id="the same twice"
        ),
        pytest.param('{"a\\"b":${1_7_0}}', '{"a\\"b":1}', {"active_power_import_kw": 1}, id="an escape"),
        pytest.param("a=${1_7_0}", "a=1.5", {"active_power_import_kw": 1.5}, id="key=value"),
        pytest.param("a=${1_7_0}\n", "a=1.5", {"active_power_import_kw": 1.5}, id="the file's last line end"),
        pytest.param("a=${1_7_0}\r\nb", "a=1.5\nb\n", {"active_power_import_kw": 1.5}, id="a file from Windows"),
        pytest.param(
            "${1_7_0};${2_7_0}", "1;", {"active_power_import_kw": 1}, id="the last is empty"
        ),
        pytest.param("${1_7_0}", "1.5", {"active_power_import_kw": 1.5}, id="nothing but a variable"),
        pytest.param(
            "${1_7_0}\n${meter.id}\n${meter.model}",
            "1\n\n",
            {"active_power_import_kw": 1},
            id="lines, the last ones empty",
        ),
        pytest.param(
            "${sys.id}-${timestamp}-${1_7_0}",
            "ECC9FF5C7AD4-1763456260--1.5",
            {"active_power_import_kw": -1.5},
            id="a sign where no sign can be",
        ),
        pytest.param(
            "${1_7_0} ${x_y} ${2_7_0}",
            "1 ${x_y} 2",
            {"active_power_import_kw": 1, "active_power_export_kw": 2},
            id="a name that the device leaves as it stands",
        ),
        pytest.param(
            "${13_7_0}_${meter.model} ${1_7_0}",
            "${13_7_0}_E_450 1",
            {"active_power_import_kw": 1},
            id="an unresolved number with the separator in its name",
        ),
    ],
)  # fmt: skip
def test_templates_say_where_values_are(
    template: str, payload: str, measurements: dict[str, float]
) -> None:
    """Whatever its form, a template turned round gives back the values that were put into it."""
    assert read(payload, template=template).measurements == measurements


@pytest.mark.parametrize(
    ("template", "payload", "extra"),
    [
        pytest.param('{"a":${1_7_0},"s":"Basel"}', '{"a":1,"s":"Basel"}', {"s": "Basel"}, id="constants"),
        pytest.param('{"a":${1_7_0},"n":1.0}', '{"a":1,"n":1}', {"n": 1}, id="equal constants"),
        pytest.param('{"a":${1_7_0}}', '{"a":1,"P_Out":2}', {"P_Out": 2}, id="keys of another shape"),
        pytest.param('{"a":${1_7_0},"b":"${x_y}"}', '{"a":1,"b":"2"}', {"b": "2"}, id="unknown names"),
        pytest.param("${1_7_0} ${x_y}", "1 7", {"x_y": "7"}, id="unknown names in text"),
        pytest.param("${1_7_0} ${13_7_0}", "1 abc", {"13_7_0": "abc"}, id="no number, in text"),
        pytest.param(
            '{"a":${1_7_0},"b":"${13_7_0} x"}', '{"a":1,"b":"? x"}', {"b": "? x"}, id="no number, in a string"
        ),
        pytest.param('["k", ${1_7_0}]', '["k", 1, "m"]', {"0": "k", "2": "m"}, id="array places"),
        pytest.param('{"${sys.id}":${1_7_0}}', '{"ECC9FF5C7AD4":1,"b":2}', {"b": 2}, id="keys that fit no pattern"),
    ],
)  # fmt: skip
def test_what_a_template_does_not_name_is_carried(
    template: str, payload: str, extra: dict[str, JsonValue]
) -> None:
    """Constants, further keys and unknown names are kept under the place that they came from."""
    reading = read(payload, template=template)

    assert reading.extra == extra
    assert reading.measurements == {"active_power_import_kw": 1}


@pytest.mark.parametrize(
    ("template", "payload", "meter"),
    [
        pytest.param(
            "${meter.vendor},${1_7_0}", "Foo, Bar,1", {"vendor": "Foo, Bar"}, id="the kinds tell which comma"
        ),
        pytest.param(
            "${meter.vendor} ${meter.model};${1_7_0}",
            "Landis+Gyr E450 X;1",
            {"vendor": "Landis+Gyr", "model": "E450 X"},
            id="of two texts the first is the shorter",
        ),
        pytest.param(
            "${meter.date_time}-${meter.id};${1_7_0}".replace("}-${", "}/${"),
            "2025-11-18T11:00:00Z/a/b;1",
            {"date_time": "2025-11-18T11:00:00Z", "id": "a/b"},
            id="a time, then a text with the separator",
        ),
        pytest.param(
            '{"m":"${meter.model}","a":${1_7_0}}', '{"m":"E"450"","a":1}', {"model": 'E"450"'}, id="a bare quote"
        ),
        pytest.param(
            '{"m":"${meter.model}","a":${1_7_0}}', '{"m":"E\\"450","a":+-}1', {}, id="both broken"
        ),
        pytest.param(
            '{"m":"${meter.model}","a":"${meter.id}","b":${1_7_0}}',
            '{"m":"E\\"450","a":""x","b":1}',
            {"model": 'E"450', "id": '"x'},
            id="an escaped quote beside a bare one",
        ),
        pytest.param('{"m":${meter.id},"a":${1_7_0}}', '{"m":LGZ1,"a":1}', {"id": "LGZ1"}, id="unquoted text"),
        pytest.param('{"m":${meter.id},"a":${1_7_0}}', '{"m":,"a":1}', {}, id="unquoted text, absent"),
        pytest.param('{"m":${meter.id},"a":${1_7_0}}', '{"m":1E5,"a":1}', {"id": "1E5"}, id="unquoted, like a number"),
        pytest.param('{"m":${meter.id},"a":${1_7_0}}', '{"m":007,"a":1}', {"id": "007"}, id="with leading zeros"),
        pytest.param(
            '{"m":"${meter.vendor} ${meter.model}","a":${1_7_0}}',
            '{"m":"Landis+Gyr E450","a":1}',
            {"vendor": "Landis+Gyr", "model": "E450"},
            id="two texts in one string",
        ),
    ],
)  # fmt: skip
def test_texts_may_hold_what_separates_them(
    template: str, payload: str, meter: dict[str, str]
) -> None:
    """A name that breaks the JSON or holds the separator is read where there is one sensible way to."""
    outcome = normaliser(template).normalise(message(payload))

    assert getattr(outcome, "meter", {}) == meter
    assert not meter or getattr(outcome, "measurements", {}) == {"active_power_import_kw": 1}


def test_a_suffix_makes_other_units_of_a_timestamp() -> None:
    """InfluxDB wants nanoseconds: whatwatt's seconds with nine zeros behind."""
    text = read("p v=1 1763456260000000000", template="p v=${1_7_0} ${timestamp}000000000")
    json = read('{"t":1763456260000,"p":1}', template='{"t":${timestamp}000,"p":${1_7_0}}')

    assert rfc3339(text.measured_at) == rfc3339(json.measured_at) == "2025-11-18T08:57:40Z"


def test_volumes_of_any_number_are_read() -> None:
    """vol[n] is known for every n, and the entries come in their order."""
    reading = read(
        "7.5 2 20000741", template="${vol[12].cumulative} ${vol[3].bus} ${vol[12].meter_id}"
    )

    assert reading.volumes == ({"bus": 2}, {"cumulative": 7.5, "meter_id": "20000741"})


def test_a_constant_decides_between_templates() -> None:
    """Two templates that differ in a constant are not mistaken for each other."""
    template = '{"v":2,"a":${1_7_0}}'

    assert read('{"v":2,"a":1}', template=template).measurements
    assert normaliser(template).normalise(message('{"v":3,"a":1}')) != read('{"P_In":1}')
