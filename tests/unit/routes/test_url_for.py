"""Where a device's readings go when its name is part of the URL."""

from contextlib import suppress
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.readings import endpoint

from forwarder.reading import Device
from forwarder.routes import NoUrlError


@pytest.mark.parametrize(
    ("device", "path"),
    [
        ("ECC9FF5C7AD4", "ECC9FF5C7AD4"),
        pytest.param("lab?x=1#y", "lab%3Fx%3D1%23y", id="a topic level cannot add a query"),
        pytest.param("../admin", "..%2Fadmin", id="nor climb to another path"),
        pytest.param("...", "...", id="three dots lead nowhere"),
        pytest.param("%2e%2e", "%252e%252e", id="what is encoded is encoded once more"),
        pytest.param("Zähler 1", "Z%C3%A4hler%201", id="nor break the request line"),
    ],
)
def test_device_stays_one_segment_of_the_path(device: str, path: str) -> None:
    """A device that is no MAC is the topic's last level, which anyone may have named."""
    url = endpoint(url="https://acme.example/in/{device}?key=1").url_for(Device(device))
    assert url == f"https://acme.example/in/{path}?key=1"


@pytest.mark.parametrize("device", [".", ".."])
@pytest.mark.parametrize("path", ["/in/{device}", "/{device}/in", "/in/.{device}"])
def test_no_device_leads_out_of_the_path(device: str, path: str) -> None:
    """An outbox of before may hold readings of such a device: there is no URL for them."""
    acme = endpoint(url=f"https://acme.example{path}")
    with pytest.raises(NoUrlError):
        acme.url_for(Device(device))
    assert endpoint(url="https://acme.example/in").url_for(Device(device)).endswith("/in")


@given(
    st.text(min_size=1, max_size=8) | st.text(st.sampled_from(".%2eE/\\"), min_size=1, max_size=6)
)
def test_device_is_never_more_than_its_own_segment(device: str) -> None:
    """Whatever the name, the path has the same segments, and none of them is one of dots."""
    acme = endpoint(url="https://acme.example/a/{device}/in/.{device}")
    with suppress(NoUrlError, UnicodeEncodeError):
        segments = urlsplit(acme.url_for(Device(device))).path.split("/")
        assert (segments[1], segments[3], len(segments)) == ("a", "in", 5)
        assert not {one.lower().replace("%2e", ".") for one in segments} & {".", ".."}
