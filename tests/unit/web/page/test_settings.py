"""What an endpoint's settings are called on the page."""

import pytest

from forwarder.routes import Endpoint, EndpointName
from forwarder.routes.model import FirstOf, LastOf, MinInterval
from forwarder.web.page import endpoints


@pytest.mark.parametrize(
    ("min_interval", "words"),
    [(FirstOf(300.0), "the first in 5m"), (LastOf(60.0), "the last in 1m")],
)
def test_min_interval_says_which_reading_is_sent(min_interval: MinInterval, words: str) -> None:
    one = Endpoint(EndpointName("acme"), "https://a.example/", (), min_interval=min_interval)

    assert ("min_interval", words) in endpoints._settings(one)
