"""Where a device's readings go when its name is part of the URL."""

import pytest
from support.readings import endpoint

from forwarder.reading import Device


@pytest.mark.parametrize(
    ("device", "path"),
    [
        ("ECC9FF5C7AD4", "ECC9FF5C7AD4"),
        pytest.param("lab?x=1#y", "lab%3Fx%3D1%23y", id="a topic level cannot add a query"),
        pytest.param("../admin", "..%2Fadmin", id="nor climb to another path"),
        pytest.param("Zähler 1", "Z%C3%A4hler%201", id="nor break the request line"),
    ],
)
def test_device_stays_one_segment_of_the_path(device: str, path: str) -> None:
    """A device that is no MAC is the topic's last level, which anyone may have named."""
    url = endpoint(url="https://acme.example/in/{device}?key=1").url_for(Device(device))
    assert url == f"https://acme.example/in/{path}?key=1"
