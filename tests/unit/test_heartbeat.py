"""The line a minute that tells people whether all is well."""

from dataclasses import replace
from typing import Any

from structlog.testing import capture_logs
from support.clock import HandClock

from forwarder.endpoint_health import EndpointHealth
from forwarder.errors import OutboxError
from forwarder.metrics import Metrics
from forwarder.outbox import EndpointTotals, Overview
from forwarder.service.heartbeat import Heartbeat, beat

ACME = EndpointTotals("acme", 9, 5, 1, 0, 0, None, None, EndpointHealth())
GAUGES = Overview("", [ACME], {}, {}, {}, {})
NOTHING: tuple[dict[str, int], dict[str, int]] = ({}, {})


def told(**facts: Any) -> dict[str, Any]:
    """The fields of a beat that are there."""
    given: dict[str, Any] = {
        "before": NOTHING,
        "now": NOTHING,
        "gauges": GAUGES,
        "problems": (),
    } | facts
    return {name: value for name, value in beat(**given).items() if value is not None}


def test_counts_are_those_of_the_minute() -> None:
    """What was counted before is not told again; what there is none of is left out."""
    before = ({"accepted": 100, "unrouted": 7, "duplicate": 0}, {"delivered": 90, "dead": 1})
    now = ({"accepted": 220, "unrouted": 7, "duplicate": 0}, {"delivered": 210, "dead": 3})
    assert told(before=before, now=now) == {
        "mark": "✓", "readings": 120, "delivered": 120, "waiting": 3, "dead": 2
    }  # fmt: skip


def test_what_is_not_well_is_named() -> None:
    """Endpoints that fail by name; of what keeps the service from its job, the clause that says what it is."""
    failing = replace(ACME, name="home", health=EndpointHealth(failures=5))
    said = told(
        gauges=replace(GAUGES, endpoints=[ACME, failing]), problems=["no broker; see there"]
    )
    assert (said["mark"], said["receivers"]) == ("!", 2)
    assert said["problem"] == "no broker, home is failing"


async def test_each_line_counts_from_the_last() -> None:
    """Also when the outbox could not be read in between."""
    metrics = Metrics()
    looks: list[Overview | Exception] = [GAUGES, OutboxError("away"), ZeroDivisionError(), GAUGES]

    def look() -> Overview:
        if isinstance(answer := looks.pop(0), Exception):
            raise answer
        return answer

    heartbeat = Heartbeat(metrics, look=look, problems=tuple, clock=HandClock())
    with capture_logs() as logs:
        for _ in range(4):
            metrics.messages.count("accepted", by=10)
            await heartbeat.tell()
    beats = [one for one in logs if one["event"] == "service.beat"]
    assert [one["readings"] for one in beats] == [10, 30]
    assert [one["event"] for one in logs].count("telling.broke") == 1
