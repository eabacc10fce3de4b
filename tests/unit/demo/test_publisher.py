import re

import pytest

from forwarder.demo.publisher import fresh_client_id, topic_for
from forwarder.reading import Device

MAC = Device("ECC9FF5C001A")


@pytest.mark.parametrize(
    ("topic_filter", "topic", "reason"),
    [
        ("ext/acmeco/#", f"ext/acmeco/{MAC}", "whatwatt's own form"),
        ("ext/acmeco/+", f"ext/acmeco/{MAC}", "one level"),
        ("ext/+/#", f"ext/simulated/{MAC}", "any integration"),
        ("#", MAC, "everything"),
        (
            "lab/energy/whatwatt-001",
            "lab/energy/whatwatt-001",
            "a broker of one's own, no wildcard",
        ),
    ],
)
def test_topic_is_one_that_the_filter_hears(topic_filter: str, topic: str, reason: str) -> None:
    assert topic_for(topic_filter, MAC) == topic, reason


def test_client_id_obeys_the_rule() -> None:
    """The username, a colon and 8 letters or digits, others each time: every connection needs an id of its own."""
    ids = {fresh_client_id("whatwatt.integration.client.acmeco") for _ in range(20)}
    assert len(ids) == 20
    assert all(
        re.fullmatch(r"whatwatt\.integration\.client\.acmeco:[A-Za-z0-9]{8}", one) for one in ids
    )
