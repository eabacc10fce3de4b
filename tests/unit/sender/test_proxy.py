import pytest

from forwarder.errors import SettingsError
from forwarder.sender.proxy import Proxy, parse_proxy


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://proxy.example:3128", Proxy("proxy.example", 3128)),
        ("http://proxy.example/", Proxy("proxy.example", 80)),
        ("http://[::1]:3128", Proxy("::1", 3128)),
        ("http://u:p@proxy.example", Proxy("proxy.example", 80, b"Basic dTpw")),
        ("http://u@proxy.example", Proxy("proxy.example", 80, b"Basic dTo=")),
    ],
)
def test_proxy_is_a_host_a_port_and_maybe_credentials(url: str, proxy: Proxy) -> None:
    assert parse_proxy(url) == proxy


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("https://u:s3cret@proxy.example", id="TLS to the proxy is not spoken"),
        pytest.param("socks5://u:s3cret@proxy.example", id="nor SOCKS"),
        pytest.param("u:s3cret@proxy.example:3128", id="no scheme"),
        pytest.param("http://u:s3cret@:3128", id="no host"),
        pytest.param("http://u:s3cret@proxy.example:port", id="no number"),
        pytest.param("http://u:s3cret@proxy.example/path", id="a path has no meaning"),
    ],
)
def test_anything_else_is_an_error_that_tells_no_password(url: str) -> None:
    """A PROXY_URL that cannot be used is refused at start, in a sentence without it."""
    with pytest.raises(SettingsError) as refused:
        parse_proxy(url)
    assert "s3cret" not in str(refused.value)
    assert "FORWARDER_PROXY_URL" in str(refused.value)


def test_credentials_are_not_shown() -> None:
    assert "dTpw" not in repr(parse_proxy("http://u:p@proxy.example"))
