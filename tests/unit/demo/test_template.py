import pytest
from hypothesis import given
from hypothesis import strategies as st

from forwarder.demo.template import KNOWN_NAMES, Value, plain, render_template


@pytest.mark.parametrize(
    ("template", "values", "expected", "reason"),
    [
        ('{"kw":${1_7_0}}', {"1_7_0": 1.5}, '{"kw":1.5}', "a number"),
        ('{"kw":${1_7_0}}', {"1_7_0": 0}, '{"kw":0}', "zero is a value"),
        (
            '{"kw":"${power.in}"}',
            {"power.in": 1.5},
            '{"kw":"1.5"}',
            "quotes are the template's own",
        ),
        ('{"l2":${41_7_0}}', {}, '{"l2":null}', "a numeric variable without value"),
        ('{"id":"${meter.id}"}', {}, '{"id":""}', "a text variable without value"),
        ('{"x":${nonsense}}', {}, '{"x":${nonsense}}', "a name that the device does not know"),
        ("${vol[0].bus},${vol[1].cumulative}", {"vol[0].bus": 1}, "1,null", "a volume's numbers"),
        ("[${vol[0].meter_id}]", {}, "[]", "a volume's text"),
        (
            "p=${1_7_0} t=${timestamp}",
            {"1_7_0": 2, "timestamp": 1763456260},
            "p=2 t=1763456260",
            "no JSON",
        ),
        ("$ {1_7_0} ${} 5$", {"1_7_0": 2}, "$ {1_7_0} ${} 5$", "no placeholders"),
    ],
)
def test_template_renders_like_the_device(
    template: str, values: dict[str, Value], expected: str, reason: str
) -> None:
    assert render_template(template, values) == expected, reason


def test_name_outside_the_firmware_stays_literal() -> None:
    """An older firmware leaves a name of the table that it does not know as it stands."""
    rendered = render_template("${13_7_0},${1_7_0}", {}, known=KNOWN_NAMES - {"13_7_0"})
    assert rendered == "${13_7_0},null"


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_number_is_written_as_a_plain_decimal(number: float) -> None:
    """Whatever its size, a number has no exponent and reads back the same."""
    written = plain(number)
    assert "e" not in written.lower()
    assert float(written) == number
