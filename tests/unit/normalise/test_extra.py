import pytest
from support.payloads import read


@pytest.mark.parametrize(
    ("payload", "extra"),
    [
        pytest.param('{"P_In":1,"site":"Basel"}', {"site": "Basel"}, id="an unknown key"),
        pytest.param(
            '{"P_In":1,"report":{"voltage":{"l4":230}}}',
            {"report": {"voltage": {"l4": 230}}},
            id="an unknown key stays where it stood",
        ),
        pytest.param(
            '{"P_In":1,"a":{"b":[1,{"c":2}]}}', {"a": {"b": [1, {"c": 2}]}}, id="any depth"
        ),
        pytest.param('{"P_In":1,"a":true,"b":false}', {"a": True, "b": False}, id="truth values"),
        pytest.param('{"P_In":1,"a":1.50}', {"a": 1.5}, id="numbers"),
        pytest.param('{"P_In":1,"a":null,"b":"","c":"${x}"}', {}, id="nothing is not carried"),
        pytest.param('{"P_In":1,"a":{"b":null},"c":{},"d":[]}', {}, id="nor what holds nothing"),
        pytest.param(
            '{"P_In":1,"l":[230.1,null,229.9]}',
            {"l": {"0": 230.1, "2": 229.9}},
            id="no item moves to the place of an absent one",
        ),
        pytest.param(
            '{"P_In":1,"report":"down"}', {"report": "down"}, id="a text where an object belongs"
        ),
        pytest.param(
            '{"P_In":1,"Vol":[{"Bus":1},{"Bus":2,"Unit":"m3"}]}',
            {"Vol": {"1": {"Unit": "m3"}}},
            id="an unknown field of one volume",
        ),
        pytest.param('{"P_In":1,"Vol":7}', {"Vol": 7}, id="a number where an array belongs"),
        pytest.param('{"P_In":1,"vol[x].bus":1}', {"vol[x].bus": 1}, id="no number of a volume"),
        pytest.param(
            '{"P_In":1,"sys.id":"cellar"}', {"sys.id": "cellar"}, id="an id that is no MAC"
        ),
    ],
)
def test_what_no_rule_knows_is_carried(payload: str, extra: dict[str, object]) -> None:
    """Nothing that a payload says is lost."""
    reading = read(payload)

    assert reading.extra == extra
    assert reading.measurements == {"active_power_import_kw": 1}


@pytest.mark.parametrize(
    ("payload", "extra"),
    [
        pytest.param('{"P_In":1,"power_in":"2"}', {"power_in": "2"}, id="another value"),
        pytest.param('{"P_In":1,"power_in":"1.0"}', {}, id="the same value"),
        pytest.param('{"P_In":null,"power_in":1}', {}, id="the first was absent"),
        pytest.param(
            '{"P_In":1,"meter":{"id":"a"},"meter_id":"b"}', {"meter_id": "b"}, id="another text"
        ),
        pytest.param('{"P_In":1,"T":1,"tariff":2}', {"tariff": 2}, id="another tariff"),
    ],
)
def test_the_first_of_two_values_stays(payload: str, extra: dict[str, object]) -> None:
    """Where one variable comes twice the other value is carried, unless it says the same."""
    reading = read(payload)

    assert reading.extra == extra
    assert reading.measurements == {"active_power_import_kw": 1}


def test_lone_surrogates_become_replacement_characters() -> None:
    """Half a surrogate pair, which JSON can spell and UTF-8 cannot, never reaches a receiver."""
    reading = read(r'{"P_In":1,"a\udc00":["\ud800x"],"meter_id":"\ud83d\ude00\ud83d"}')

    assert reading.extra == {"a\ufffd": ["\ufffdx"]}
    assert reading.meter == {"id": "😀\ufffd"}
