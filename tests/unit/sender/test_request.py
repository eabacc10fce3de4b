from collections.abc import AsyncIterator
from typing import TypeAlias

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.properties import examples

from forwarder.sender.failure import TransportFailure
from forwarder.sender.proxy import Proxy
from forwarder.sender.request import (
    Origin,
    PreparedHead,
    encode_request,
    origin_of,
    parse_url,
    target_of,
)

Fields: TypeAlias = list[tuple[str, str]]
PROXY = Proxy("proxy.example", 3128, b"Basic dTpw")


def request(url: str = "https://a.example/in?x=1", *fields: tuple[bytes, bytes]) -> httpx.Request:
    return httpx.Request("POST", url, headers=list(fields), stream=httpx.ByteStream(b""))


def test_head_is_a_request_line_and_its_fields() -> None:
    """The head of HTTP/1.1, ended by an empty line (RFC 9112 §2.1)."""
    built = request("https://a.example/in?x=1#f", (b"host", b"a.example"))
    head = encode_request(built, b"", proxy=None)
    assert head == b"POST /in?x=1 HTTP/1.1\r\nhost: a.example\r\n\r\n"


def test_proxy_is_asked_for_the_whole_url() -> None:
    """To a proxy the target is the absolute form, and the proxy's credentials go with it (RFC 9112 §3.2.2)."""
    head = encode_request(request("http://a.example:81/in"), b"", proxy=PROXY)
    assert head == (
        b"POST http://a.example:81/in HTTP/1.1\r\nproxy-authorization: Basic dTpw\r\n\r\n"
    )


@settings(max_examples=examples(60), deadline=None)
@given(
    st.text(st.sampled_from("ab \r\n\0:"), max_size=8),
    st.text(st.sampled_from("ab \r\n\0:"), max_size=8),
)
def test_no_field_breaks_out_of_its_line(name: str, value: str) -> None:
    """A field that holds a line break or NUL is refused whole; no other changes the number of lines."""
    built = request("http://a.example/", (name.encode(), value.encode()))
    if set(name + value) & set("\r\n\0"):
        with pytest.raises(TransportFailure):
            encode_request(built, b"", proxy=None)
    else:
        assert encode_request(built, b"", proxy=None).count(b"\r\n") == 3


async def test_body_in_pieces_is_sent_with_its_length() -> None:
    """The length is the only framing that is written: a receiver never finds a body without any."""

    async def pieces() -> AsyncIterator[bytes]:
        yield b"{"
        yield b"}"

    built = httpx.Request("POST", "http://a.example/", content=pieces())
    assert encode_request(built, await built.aread(), proxy=None) == (
        b"POST / HTTP/1.1\r\nHost: a.example\r\ncontent-length: 2\r\n\r\n{}"
    )


PIECES = st.text(st.sampled_from("ab \r\n\0:ä"), max_size=6)
FIELDS = st.lists(st.tuples(PIECES, PIECES), max_size=3)
URLS = ["https://a.example/in?x=1#f", "http://a.example:81", "https://[2001:db8::1]/ä b"]


@settings(max_examples=examples(100), deadline=None)
@given(
    url=st.sampled_from(URLS),
    proxy=st.sampled_from([None, PROXY, Proxy("proxy.example", 3128, None)]),
    fixed=FIELDS,
    own=FIELDS,
    body=st.binary(max_size=20),
)
def test_prepared_request_is_the_encoded_one(
    url: str, proxy: Proxy | None, fixed: Fields, own: Fields, body: bytes
) -> None:
    """A head prepared once makes the bytes that encoding each request anew makes, and refuses what that refuses."""
    parsed = parse_url(url)
    ours = [(b"host", parsed.netloc), (b"content-length", b"%d" % len(body))]
    built = request(url, *ours, *encoded(fixed), *encoded(own))
    try:
        expected = encode_request(built, body, proxy=proxy)
    except TransportFailure:
        with pytest.raises(TransportFailure):
            prepared(url, fixed, proxy).request(own, body)
    else:
        assert prepared(url, fixed, proxy).request(own, body) == expected


def prepared(url: str, fixed: Fields, proxy: Proxy | None) -> PreparedHead:
    return PreparedHead(parse_url(url), encoded(fixed), target=target_of(url), proxy=proxy)


def encoded(fields: Fields) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in fields]


@pytest.mark.parametrize(
    "target",
    [
        pytest.param("/hooks/../in", id="two dots"),
        pytest.param("/hooks/./in", id="a dot"),
        pytest.param("/..", id="at the top"),
        pytest.param("/a/..?x=/../y", id="before a query"),
        pytest.param("/a%2F..%2fb/%2e%2e/%7e", id="what is encoded stays so"),
        pytest.param("//a///b", id="empty segments"),
        pytest.param("/?", id="an empty query"),
        pytest.param("/a%zz/%", id="what only looks encoded"),
    ],
)
def test_target_is_sent_as_it_was_written(target: str) -> None:
    """Whoever checked a URL knows what is sent: no segment is taken away on the way."""
    url = f"https://a.example{target}"
    assert target_of(url) == target.encode()
    built = httpx.Request("POST", url, headers=[], extensions={"target": target_of(url)})
    assert encode_request(built, b"", proxy=None).startswith(
        b"POST %b HTTP/1.1\r\n" % target.encode()
    )


paths = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)


@settings(max_examples=examples(300), deadline=None)
@given(path=paths, query=paths, has_query=st.booleans())
def test_target_is_encoded_as_ever(path: str, query: str, *, has_query: bool) -> None:
    """Without dot segments it is what httpx makes of the URL."""
    url = f"https://a.example/{path.replace('.', '')}" + f"?{query}" * has_query
    assert target_of(url) == httpx.URL(url).raw_path


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://a.example/x", Origin("https", "a.example", 443)),
        ("http://a.example/x", Origin("http", "a.example", 80)),
        ("https://A.Example:8443", Origin("https", "a.example", 8443)),
        ("https://[2001:DB8::1]:1/", Origin("https", "2001:db8::1", 1)),
        ("https://bücher.example/", Origin("https", "xn--bcher-kva.example", 443)),
    ],
)
def test_origin_is_scheme_host_and_port(url: str, origin: Origin) -> None:
    """The port is the scheme's own unless given, the host as DNS knows it."""
    assert origin_of(parse_url(url)) == origin
