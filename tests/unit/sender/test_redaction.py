"""What a receiver echoes of what it was told in confidence, in whatever encoding, is hidden in its answer."""

import base64
import html
import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus, unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.posting import endpoint_at
from support.properties import examples

from forwarder.routes.model import BasicAuth, BearerAuth, Endpoint
from forwarder.sender.redaction import Redaction
from forwarder.sender.request import fixed_fields

Encoding = Callable[[str], str]

SLACK = (
    "https://hooks.example/services/T000/B000/XXXXSECRETTOKEN?sig=a%2Bb%2Fc4711%3D&b=1&k3y-k3y-k3y"
)
HEADER = 'va"lue\\secret'


def whole_percent(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode())


def in_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode().rstrip("=")


def in_base64_behind(before: str) -> Encoding:
    return lambda text: base64.urlsafe_b64encode(f"{before}{text}&more".encode()).decode()


ENCODINGS: dict[str, Encoding] = {
    "plain": str,
    "URL": lambda text: quote(text, safe=""),
    "URL, each byte": whole_percent,
    "form": quote_plus,
    "decoded URL": unquote,
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON in UTF-8": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "JSON of PHP": lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    "HTML": html.escape,
    "HTML, by number": lambda text: "".join(f"&#x{ord(letter):x};" for letter in text),
    "base64": in_base64,
    "base64 for URLs, one byte in": in_base64_behind("?"),
    "base64 for URLs, two bytes in": in_base64_behind("k="),
    "Latin-1 taken for text": lambda text: text.encode().decode("latin-1"),
}


def redaction_of(endpoint: Endpoint) -> Redaction:
    return Redaction(endpoint, fixed_fields(endpoint))


def shown(endpoint: Endpoint, answer: str) -> str:
    return redaction_of(endpoint).of(answer.encode()).decode()


@pytest.mark.parametrize(
    ("echoed", "left"),
    [
        pytest.param(
            "Cannot POST /services/T000/B000/XXXXSECRETTOKEN",
            "Cannot POST /services/T000/B000/***",
            id="the path, as Express puts it",
        ),
        pytest.param("no hook T000", "no hook T000", id="what is too short to be one"),
        pytest.param("sig=a%2Bb%2Fc4711%3D&amp;b=1", "sig=***&amp;b=1", id="the query in HTML"),
        pytest.param("wrong sig a%2Bb%2Fc4711%3D!", "wrong sig ***!", id="a value of the query"),
        pytest.param("wrong sig a+b/c4711=!", "wrong sig ***!", id="a value, decoded"),
        pytest.param("k3y-k3y-k3y is no parameter", "*** is no parameter", id="a bare value"),
        pytest.param('got "va\\"lue\\\\secret"', 'got "***"', id="a header in JSON"),
        pytest.param("got va&quot;lue\\secret", "got ***", id="a header in HTML"),
        pytest.param("got va%22lue%5Csecret", "got ***", id="a header, %-encoded"),
        pytest.param("got " + in_base64(HEADER) + "==", "got ***==", id="a header in base64"),
    ],
)
def test_parts_of_the_url_and_headers_are_hidden(echoed: str, left: str) -> None:
    """Path segments, values of the query and headers, each in the form that a server answers with."""
    assert shown(endpoint_at(SLACK, headers=(("X-Key", HEADER),)), echoed) == left


@pytest.mark.parametrize(
    "path", ["hooks", "v1", "api", "meter-readings", "Incoming.Webhooks", "smart_meter_data"]
)
def test_ordinary_segments_stay_readable(path: str) -> None:
    """A segment that reads like a word is none's secret, and hiding it would garble every answer."""
    answer = f"no route for /{path}/"
    assert shown(endpoint_at(f"https://hooks.example/{path}/in"), answer) == answer


@pytest.mark.parametrize(
    "segment",
    ["b7f3c2", "XXXXSECRET", "xKcdQwerty", "correct-horse-battery-staple", "bot4711:AB-cd-EF"],
)
def test_segments_that_read_like_no_word_are_hidden(segment: str) -> None:
    """A digit, capitals within, or more than 20 characters: nobody calls a path that."""
    assert shown(endpoint_at(f"https://hooks.example/in/{segment}"), f"/{segment}?") == "/***?"


def test_device_is_no_secret() -> None:
    """What stands for {device} may be read in an answer; what stands beside it may not."""
    endpoint = endpoint_at("https://hooks.example/in/{device}-s3cret-s3cret/raw")
    answer = "no meter ECC9FF5C7F14-s3cret-s3cret here"
    assert shown(endpoint, answer) == "no meter ECC9FF5C7F14*** here"


def test_what_was_hidden_before_is_hidden_again() -> None:
    """The same answer is not looked through twice, and another one is."""
    redaction = redaction_of(endpoint_at(SLACK))
    answers = [b"k3y-k3y-k3y", b"k3y-k3y-k3y", b"fine, fine", b"k3y-k3y-k3y"]
    assert [redaction.of(answer) for answer in answers] == [b"***", b"***", b"fine, fine", b"***"]


secret_text = st.text(
    st.sampled_from("abcXYZ0189 \"\\/'<>&%+=-_.~:äß漢😀\t"), min_size=12, max_size=40
).map(lambda text: f"s7{text}7s")


def placed(place: str, sentinel: str) -> Endpoint:
    """An endpoint that has the sentinel there."""
    quoted = quote(sentinel, safe="")
    match place:
        case "path":
            return endpoint_at(f"https://hooks.example/hooks/{quoted}/in?b=1")
        case "query":
            return endpoint_at(f"https://hooks.example/hooks?a=b&key={quoted}")
        case "bare query":
            return endpoint_at(f"https://hooks.example/hooks?{quoted}")
        case "header":
            return endpoint_at("https://hooks.example/", headers=(("X-Key", sentinel),))
        case "bearer":
            return endpoint_at("https://hooks.example/", auth=BearerAuth(sentinel))
        case _:
            return endpoint_at("https://hooks.example/", auth=BasicAuth("us", sentinel))


PLACES = ["path", "query", "bare query", "header", "bearer", "basic"]
around = st.text(st.sampled_from("ab <>{}:,\n"), max_size=10)


@settings(max_examples=examples(400), deadline=None)
@given(
    st.sampled_from(PLACES),
    secret_text,
    st.sampled_from(list(ENCODINGS)),
    st.sampled_from([name for name in list(ENCODINGS)[:10] if name != "decoded URL"]),
    around,
    around,
)
def test_no_secret_survives_in_any_encoding(
    place: str, sentinel: str, inner: str, outer: str, before: str, after: str
) -> None:
    """Wherever it stands and however often it is encoded, nothing of a secret's encoded form is left."""
    echoed = ENCODINGS[outer](ENCODINGS[inner](sentinel))
    answer = before + echoed + after
    left = shown(placed(place, sentinel), answer)
    if not inner.endswith(" in"):
        assert left == f"{before}***{after}"
    else:  # the base64 of what stands around it remains
        assert echoed not in left
        assert len(left) <= len(before + after) + 120


@settings(max_examples=examples(200), deadline=None)
@given(
    st.sampled_from(PLACES),
    secret_text,
    st.sampled_from(list(ENCODINGS)[:11]),
    st.integers(min_value=1),
)
def test_cut_leaves_no_beginning_of_a_secret(
    place: str, sentinel: str, encoding: str, cut: int
) -> None:
    """Wherever the 4 KiB end within an echoed secret, none of its beginning is shown."""
    echoed = ENCODINGS[encoding](sentinel).encode()
    answer = b"-" * 100 + b"|" + echoed[: 1 + cut % len(echoed)]
    left = redaction_of(placed(place, sentinel)).of(answer, is_cut=True)
    assert left.rstrip(b"*").rstrip(b"-|") == b""
