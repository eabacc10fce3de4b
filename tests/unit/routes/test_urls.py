"""URLs: what may stand in them, and where they may lead as far as that can be told without asking DNS."""

from pathlib import Path

import pytest
from support.routing import endpoint_with, problems_of, routes_of

from forwarder.reading import Device
from forwarder.routes import EndpointName

ACME = EndpointName("acme")
NEVER = "is a link-local, cloud metadata, multicast, unspecified or reserved address; nothing is ever sent there"
PRIVATE = "is a private or loopback address; set allow_private: true if it is meant"

DOTS = "its path holds a segment . or .. (also as %2e); write the path that it leads to"
WRONG = [
    pytest.param("mqtt://a.example/", "expected https://host/path", id="another scheme"),
    pytest.param("a.example/hook", "expected https://host/path", id="no scheme"),
    pytest.param("https:///hook", "expected https://host/path", id="no host"),
    pytest.param(
        "http://a.example/",
        "http sends readings in clear; use https, or set allow_http: true",
        id="http to a public host",
    ),
    pytest.param(
        "https://user:hunter2@a.example/hook",
        "it holds a user or password; move them to auth: {basic: {username: …, password: env:NAME}}",
        id="credentials",
    ),
    pytest.param(
        "https://user@a.example/hook",
        "it holds a user or password; move them to auth: {basic: {username: …, password: env:NAME}}",
        id="a user alone",
    ),
    pytest.param(
        "https://a.example/#hunter2", "a fragment (#…) is never sent; remove it", id="a fragment"
    ),
    pytest.param(
        "https://a.example:99999/",
        "expected https://host/path; its host or port is malformed",
        id="a port out of range",
    ),
    pytest.param("https://a.example:0/", "expected a port from 1 to 65535", id="port 0"),
    pytest.param(
        "https://a.example:https/",
        "expected https://host/path; its host or port is malformed",
        id="a port that is no number",
    ),
    pytest.param(
        '"https://a.example/a b?token=hunter2"',
        'it holds a space, a control character or one of \\ " < > ^ ` |; write those as %20 and so on',
        id="a space",
    ),
    pytest.param(
        '"https://a.example/\\r\\nx"',
        'it holds a space, a control character or one of \\ " < > ^ ` |; write those as %20 and so on',
        id="a line break",
    ),
    pytest.param(
        "https://a.example\\b.example/",
        'it holds a space, a control character or one of \\ " < > ^ ` |; write those as %20 and so on',
        id="a backslash",
    ),
    pytest.param(
        "https://{device}.example/",
        "{device} can stand only in the path",
        id="the device in the host",
    ),
    pytest.param(
        "https://a.example/?mac={device}",
        "{device} can stand only in the path",
        id="the device in the query",
    ),
    pytest.param(
        "https://a.example/{mac}/",
        "only {device} can stand in braces in the path",
        id="another placeholder",
    ),
    *(
        pytest.param(f"https://a.example{path}", DOTS, id=path)
        for path in ("/a/../b", "/a/./b", "/..", "/{device}/..", "/%2e%2E/b", "/a/.%2e?x=1", "/%2e")
    ),
    pytest.param("https://10.1.2.3/", f"10.1.2.3 {PRIVATE}", id="a private address"),
    pytest.param("http://127.0.0.1:9000/", f"127.0.0.1 {PRIVATE}", id="loopback"),
    pytest.param("http://localhost:9000/", f"localhost {PRIVATE}", id="localhost"),
    pytest.param("http://[::1]:9000/", f"::1 {PRIVATE}", id="IPv6 loopback"),
    pytest.param("https://100.64.1.1/", f"100.64.1.1 {PRIVATE}", id="the carriers' NAT range"),
    pytest.param(
        "http://169.254.169.254/latest/meta-data", f"169.254.169.254 {NEVER}", id="cloud metadata"
    ),
    pytest.param(
        "https://[::ffff:169.254.169.254]/",
        f"::ffff:169.254.169.254 {NEVER}",
        id="cloud metadata, mapped",
    ),
    pytest.param("https://0.0.0.0/", f"0.0.0.0 {NEVER}", id="the unspecified address"),
    pytest.param("https://224.0.0.1/", f"224.0.0.1 {NEVER}", id="multicast"),
    pytest.param(
        "https://[64:ff9b::127.0.0.1]/", f"64:ff9b::127.0.0.1 {NEVER}", id="loopback by NAT64"
    ),
    pytest.param(
        "https://2130706433/",
        "expected a host name, or an IPv4 address of four decimal numbers",
        id="an address in one number",
    ),
    pytest.param(
        "https://127.1/",
        "expected a host name, or an IPv4 address of four decimal numbers",
        id="an address in two numbers",
    ),
    pytest.param(
        "https://0x7f.0.0.1/",
        "expected a host name, or an IPv4 address of four decimal numbers",
        id="an address in hexadecimal",
    ),
    pytest.param(
        "https://0177.0.0.1/",
        "expected a host name, or an IPv4 address of four decimal numbers",
        id="an address in octal",
    ),
    pytest.param(
        "https://a_b..example/",
        "expected a host name of letters, digits, - and .",
        id="a host that is no name",
    ),
    pytest.param(
        "https://☃.example/",
        "expected a host name that IDNA 2008 allows (RFC 5891)",
        id="a host that IDNA forbids",
    ),
    pytest.param(
        "https://[fe80::1%25eth0]/",
        "expected a host without a zone or percent-encoding",
        id="a zone",
    ),
]


@pytest.mark.parametrize(("url", "expected"), WRONG)
def test_unusable_url_has_its_sentence(url: str, expected: str, tmp_path: Path) -> None:
    """What is wrong with a URL is told without its user part, path and query, which may be secret."""
    (problem,) = problems_of(endpoint_with(f"url: {url}"), folder=tmp_path)

    assert problem == f'routes.yaml:3:10: endpoint "acme": url: {expected}'
    assert "hunter2" not in problem


RIGHT = [
    pytest.param(
        "https://a.example/hook?x=1&y=%20", "https://a.example/hook?x=1&y=%20", id="path and query"
    ),
    pytest.param("https://a.example", "https://a.example", id="no path"),
    pytest.param(
        "https://a.example/.well-known/a..b/...?x=/../y",
        "https://a.example/.well-known/a..b/...?x=/../y",
        id="dots that are no segment of the path",
    ),
    pytest.param(
        "HTTPS://A.Example:8443/Hook", "https://a.example:8443/Hook", id="case of scheme and host"
    ),
    pytest.param("https://zürich.example/", "https://xn--zrich-kva.example/", id="IDNA"),
    pytest.param("https://a.example./", "https://a.example/", id="a dot at the end of the host"),
    pytest.param(
        "https://a_b.example/", "https://a_b.example/", id="an underscore, as in containers' names"
    ),
    pytest.param("https://[2606:4700::1]:8443/", "https://[2606:4700::1]:8443/", id="IPv6"),
    pytest.param("https://1.1.1.1/", "https://1.1.1.1/", id="IPv4"),
    pytest.param("https://hook/", "https://hook/", id="a name without a dot"),
]


@pytest.mark.parametrize(("written", "url"), RIGHT)
def test_url_is_kept_with_its_host_in_ascii(written: str, url: str, tmp_path: Path) -> None:
    """Only scheme and host are written in their normal form."""
    routes = routes_of(endpoint_with(f"url: {written}"), folder=tmp_path)

    assert routes.endpoints[ACME].url == url


PERMITTED = [
    pytest.param("http://a.example/", "allow_http: true", id="http that is meant"),
    pytest.param("http://localhost:9000/", "allow_private: true", id="http to localhost"),
    pytest.param("http://127.0.0.1:9000/", "allow_private: true", id="http to loopback"),
    pytest.param("http://[::1]:9000/", "allow_private: true", id="http to IPv6 loopback"),
    pytest.param("https://10.1.2.3/", "allow_private: true", id="a private address that is meant"),
]


@pytest.mark.parametrize(("url", "permission"), PERMITTED)
def test_permission_makes_the_url_good(url: str, permission: str, tmp_path: Path) -> None:
    """http to the machine itself needs no allow_http; a private address needs allow_private."""
    routes = routes_of(endpoint_with(f"url: {url}", permission), folder=tmp_path)

    assert routes.endpoints[ACME].url == url


def test_http_to_a_private_address_needs_both_permissions(tmp_path: Path) -> None:
    """allow_private does not make clear text acceptable beyond the machine itself."""
    problems = problems_of(
        endpoint_with("url: http://10.1.2.3/", "allow_private: true"), folder=tmp_path
    )

    assert problems == [
        'routes.yaml:3:10: endpoint "acme": url: http sends readings in clear; use https, or set allow_http: true'
    ]


def test_device_fills_its_place_in_the_path(tmp_path: Path) -> None:
    """`{device}` stands for the MAC, as often as it is written."""
    routes = routes_of(
        endpoint_with("url: https://a.example/{device}/in/{device}"), folder=tmp_path
    )

    url = routes.endpoints[ACME].url_for(Device("ECC9FF5C7AD4"))

    assert url == "https://a.example/ECC9FF5C7AD4/in/ECC9FF5C7AD4"
