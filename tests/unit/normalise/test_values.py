from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.payloads import message, normaliser, read

from forwarder.normalise.values import parse_number
from forwarder.reading import JsonValue, Number


@pytest.mark.parametrize(
    ("written", "number"),
    [
        pytest.param("7.8497", 7.8497, id="a plain decimal"),
        pytest.param('"1.23"', 1.23, id="in quotes, as most templates write it"),
        pytest.param('" 1.23 "', 1.23, id="with spaces inside the quotes"),
        pytest.param("8306146.123", 8306146.123, id="a large register"),
        pytest.param("200.9340", 200.934, id="only the trailing zero goes"),
        pytest.param("-0.5", -0.5, id="negative"),
        pytest.param('"+0.5"', 0.5, id="a plus sign in quotes"),
        pytest.param("+0.5", 0.5, id="a plus sign, which is not JSON"),
        pytest.param("007", 7, id="leading zeros, which are not JSON"),
        pytest.param(".5", 0.5, id="no digit before the point, which is not JSON"),
        pytest.param("1.5E3", 1500, id="an exponent"),
        pytest.param('"1e-3"', 0.001, id="an exponent in quotes"),
        pytest.param("9007199254740993", 9007199254740993, id="an integer beyond 2^53"),
        pytest.param('"9007199254740993"', 9007199254740993, id="the same in quotes"),
        pytest.param("0.1234567890123456789", Decimal("0.1234567890123456789"), id="19 digits"),
        pytest.param(
            '"8306146.123456789012"', Decimal("8306146.123456789012"), id="19 digits in quotes"
        ),
    ],
)
def test_numbers_keep_their_digits(written: str, number: Number) -> None:
    """A number is read from every form that devices write, and no digit of it changes."""
    value = read(f'{{"P_In":{written}}}').measurements["active_power_import_kw"]

    assert value == number
    assert isinstance(value, Decimal) == isinstance(number, Decimal)


def test_an_integer_stays_an_integer() -> None:
    """8306146 is not delivered as 8306146.0, whether it was quoted or not."""
    measurements = read('{"E_In":8306146,"E_Out":"8306146"}').measurements

    assert [str(value) for value in measurements.values()] == ["8306146", "8306146"]


@pytest.mark.parametrize(
    "written",
    [
        pytest.param("null", id="a number that the meter does not send"),
        pytest.param('"null"', id="the same in a quoted template"),
        pytest.param('""', id="an empty text"),
        pytest.param('"  "', id="a blank text"),
        pytest.param('"${13_7_0}"', id="a name that the device does not know, quoted"),
        pytest.param("${13_7_0}", id="unquoted, so that the payload is not JSON"),
        pytest.param("-${13_7_0}", id="with a sign before it"),
        pytest.param("NaN", id="what Python's json accepts"),
        pytest.param("-Infinity", id="likewise"),
        pytest.param("nan", id="what C's printf writes"),
        pytest.param("-inf", id="likewise, negative"),
        pytest.param('"NaN"', id="quoted"),
        pytest.param("", id="nothing at all behind the colon"),
    ],
)
def test_absent_values_are_left_out(written: str) -> None:
    """Whatever stands for no value gives none, is not carried elsewhere, and the rest of the reading stands."""
    reader = normaliser()
    reading = reader.normalise(message(f'{{"P_In":1,"PF":{written},"meter_id":"a"}}'))

    assert reading == read('{"P_In":1,"meter_id":"a"}')
    assert reader.misfits == 0


@pytest.mark.parametrize(
    ("written", "carried"),
    [
        pytest.param('"abc"', "abc", id="a text"),
        pytest.param("true", True, id="true is not 1"),
        pytest.param('"1,5"', "1,5", id="a decimal comma"),
        pytest.param('"1_000"', "1_000", id="Python's separator is no number"),
        pytest.param('"0x10"', "0x10", id="hexadecimal"),
        pytest.param('"١٢"', "١٢", id="digits of another script"),
        pytest.param("1e999", "1e999", id="more than a double holds would arrive as Infinity"),
        pytest.param("1e-999", "1e-999", id="less than a double holds would arrive as zero"),
        pytest.param("9" * 100, "9" * 100, id="longer than any register"),
        pytest.param("9" * 5000, "9" * 5000, id="longer than Python converts"),
        pytest.param("[1]", [1], id="an array"),
        pytest.param('{"a":1}', {"a": 1}, id="an object"),
    ],
)
def test_what_is_no_number_is_carried_and_counted(written: str, carried: JsonValue) -> None:
    """A misfit in a numeric place is kept in extra where it stood, and counted; the rest of the reading stands."""
    reader = normaliser()
    reading = reader.normalise(message(f'{{"P_In":1,"report":{{"power_factor":{written}}}}}'))

    assert reading == replace(read('{"P_In":1}'), extra={"report": {"power_factor": carried}})
    assert reader.misfits == 1


@pytest.mark.parametrize(
    ("written", "tariff"),
    [
        pytest.param("2", 2, id="a number"),
        pytest.param('"1"', 1, id="quoted"),
        pytest.param('"0002"', 2, id="as P1 meters write it"),
        pytest.param("0", None, id="zero is unknown"),
        pytest.param("null", None, id="absent"),
        pytest.param("1.5", None, id="no tariff is a fraction"),
        pytest.param("-1", None, id="nor negative"),
        pytest.param("21", None, id="nor a temperature under the same key"),
    ],
)
def test_tariff_is_a_positive_integer_or_left_out(written: str, tariff: int | None) -> None:
    """Zero or absent means unknown."""
    assert read(f'{{"P_In":1,"tariff":{written}}}').tariff == tariff


def test_conversion_factor_is_carried_and_never_applied() -> None:
    """The device has multiplied by it already."""
    reading = read('{"1_7_0":1.5,"conv_factor":40}')

    assert reading.measurements["active_power_import_kw"] == 1.5
    assert reading.conversion_factor == 40


def test_a_bare_number_in_a_text_place_is_text() -> None:
    """A meter id without quotes is delivered with the type that ids always have."""
    assert read('{"P_In":1,"meter_id":20000741}').meter == {"id": "20000741"}


def test_nan_is_a_wifi_mode() -> None:
    """In a text place nan is a word."""
    assert read('{"wifi.mode":"nan"}').network == {"wifi.mode": "nan"}


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20))
def test_any_decimal_keeps_its_value(number: Decimal) -> None:
    """Whatever digits a device writes, the number read has exactly that value."""
    written = format(number, "f")
    value = parse_number(written)

    assert len(written) > 64 or (value is not None and Decimal(str(value)) == number)
