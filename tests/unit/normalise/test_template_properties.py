"""For any template made of known variables and any values: what a device renders is read back."""

import json
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from support.payloads import DEVICE, message, normaliser
from support.properties import examples

from forwarder.reading import Reading
from forwarder.variables import Use, Variable, variables

SENDABLE = [variable for variable in variables() if variable.variable]
SEPARATORS = (",", ";", "|", "\t", " ; ", "&", "\n")

plain_text = st.text(
    st.characters(codec="utf-8", exclude_characters='"\\$,;|\t&\n\r', exclude_categories=["Cc"]),
    max_size=20,
)
decimals = st.decimals(min_value=-(10**9), max_value=10**9, places=3).map(lambda d: format(d, "f"))
dates = st.datetimes(min_value=datetime(2001, 1, 1), max_value=datetime(2098, 1, 1))  # noqa: DTZ001 - made of text


@dataclass(frozen=True)
class Sent:
    """One variable with the text that the device writes in its place."""

    use: Use
    text: str

    @property
    def name(self) -> str:
        return self.use.variable.variable.replace("[n]", f"[{self.use.index}]")

    @property
    def placeholder(self) -> str:
        return "${" + self.name + "}"


def texts(variable: Variable) -> st.SearchStrategy[str]:
    """What a device can write for a variable: a value, or what it writes when it has none."""
    match variable.kind:
        case "device":
            return st.just(DEVICE)
        case "tariff":
            return st.integers(0, 4).map(str)
        case "timestamp":
            return st.integers(978307200, 4102444799).map(str)
        case "text":
            return plain_text
        case "utc" | "local":
            return dates.map(lambda at: f"{at:%Y-%m-%dT%H:%M:%S}Z")
        case "offset":
            return dates.map(lambda at: f"{at:%Y-%m-%dT%H:%M:%S}+02:00")
        case _:
            return decimals | st.just("null")


@st.composite
def sendings(draw: st.DrawFn) -> list[Sent]:
    """Some variables, each once, with their texts; one at least is a measurement that is present."""
    chosen = draw(st.lists(st.sampled_from(SENDABLE), max_size=12, unique=True))
    sent = [Sent(Use(v, draw(st.integers(0, 3))), draw(texts(v))) for v in chosen]
    power = next(variable for variable in SENDABLE if variable.variable == "1_7_0")
    others = [one for one in sent if one.use.variable is not power]
    return [Sent(Use(power), draw(decimals)), *others]


def rendered(template: str, sent: list[Sent]) -> str:
    for one in sent:
        template = template.replace(one.placeholder, one.text)
    return template


def expected(sent: list[Sent]) -> dict[str, object]:
    """Event name to value, from the texts alone."""
    values: dict[str, object] = {}
    for one in sent:
        kind, name = one.use.variable.kind, one.use.event_name
        if not one.text.strip() or one.text == "null" or (kind == "tariff" and one.text == "0"):
            continue
        if kind in ("text", "utc", "offset", "local", "device"):
            values[name] = one.text
        elif kind != "timestamp":
            values[name] = Decimal(one.text)
    return values


def numeric(value: object) -> object:
    return value if isinstance(value, str) else Decimal(str(value))


def received(reading: Reading, sent: list[Sent]) -> dict[str, object]:
    """Event name to value, from the reading; volumes get their numbers back from what was sent."""
    values: dict[str, Any] = dict(reading.measurements)
    for section in ("meter", "system"):
        values |= {f"{section}.{key}": value for key, value in getattr(reading, section).items()}
    values |= dict(reading.network)
    names = [name for name in expected(sent) if name.startswith("volumes")]
    indexes = sorted({name.split("]")[0] for name in names})
    for index, volume in zip(indexes, reading.volumes, strict=True):
        values |= {f"{index}].{key}": value for key, value in volume.items()}
    top = {"tariff": reading.tariff, "conversion_factor": reading.conversion_factor}
    values |= {key: value for key, value in top.items() if value is not None}
    if "device" in expected(sent):
        values["device"] = reading.device
    return {key: numeric(value) for key, value in values.items()}


def assert_read_back(template: str, sent: list[Sent]) -> None:
    outcome = normaliser(template).normalise(message(rendered(template, sent)))

    assert isinstance(outcome, Reading), outcome
    assert received(outcome, sent) == expected(sent)
    assert outcome.extra == {}


@settings(max_examples=examples(80), deadline=None)
@given(
    sent=sendings(), separator=st.sampled_from(SEPARATORS), ends=st.tuples(plain_text, plain_text)
)
def test_any_text_template_is_read_back(
    sent: list[Sent], separator: str, ends: tuple[str, str]
) -> None:
    """CSV with any separator, and any text before and behind."""
    edges = [end.replace("$", "") for end in ends]
    assert_read_back(
        edges[0] + separator.join(one.placeholder for one in sent) + separator + edges[1], sent
    )


@settings(max_examples=examples(50), deadline=None)
@given(sent=sendings(), separator=st.sampled_from(SEPARATORS))
def test_any_key_value_template_is_read_back(sent: list[Sent], separator: str) -> None:
    """key=value pairs with any separator."""
    assert_read_back(separator.join(f"{one.name}={one.placeholder}" for one in sent), sent)


@settings(max_examples=examples(80), deadline=None)
@given(sent=sendings(), data=st.data())
def test_any_json_template_is_read_back(sent: list[Sent], data: st.DataObject) -> None:
    """Objects and arrays nested in any way, numbers quoted or not, values alone or within longer strings."""
    template = json.dumps(
        structure(sent, data), ensure_ascii=False, indent=data.draw(st.sampled_from([None, 1]))
    )
    for one in sent:
        if one.use.variable.is_numeric and data.draw(st.booleans()):
            template = template.replace(f'"{one.placeholder}"', one.placeholder)

    assert_read_back(template, sent)


def structure(sent: list[Sent], data: st.DataObject) -> Any:
    if len(sent) == 1:
        before, after = data.draw(st.sampled_from([("", ""), ("", ""), ("<", ">"), ("a: ", " b")]))
        return before + sent[0].placeholder + after
    cut = data.draw(st.integers(1, len(sent) - 1))
    parts = [structure(sent[:cut], data), structure(sent[cut:], data)]
    if data.draw(st.booleans()):
        return parts
    return dict(
        zip(
            data.draw(st.lists(plain_text, min_size=2, max_size=2, unique=True)), parts, strict=True
        )
    )
