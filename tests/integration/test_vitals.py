"""What the service shows of an endpoint that is held back."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from support.clock import HandClock
from support.outbox import flush
from support.outbox_harness import OutboxHarness
from support.readings import new_reading

from forwarder.endpoint_health import EndpointHealth
from forwarder.metrics import Metrics
from forwarder.outbox import Outbox, Seat
from forwarder.reading import Device
from forwarder.routes import Rejection, Routes
from forwarder.service.vitals import ServiceVitals

NEXT_ATTEMPT = "forwarder_endpoint_next_attempt_timestamp_seconds"
HOLDS = [
    pytest.param(1, id="a Retry-After, the circuit closed"),
    pytest.param(5, id="the circuit open"),
]


class _Idle:
    """In the place of the parts that these metrics say nothing of."""

    subscribed = connected = True
    problem = None
    since = HandClock().now()
    misfits = sessions = gaps = 0

    @property
    def state(self) -> "_Idle":
        return self


@dataclass
class _Reloader:
    """In the place of the one that looks at routes.yaml."""

    problem: str | None = None
    rejection: Rejection | None = None
    routes: Routes = Routes({}, every_device=(), by_device={}, groups={})  # noqa: RUF009 - immutable


@pytest.fixture
def reloader() -> _Reloader:
    return _Reloader()


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def outbox(tmp_path: Path, clock: HandClock) -> AsyncIterator[Outbox]:
    harness = OutboxHarness(tmp_path / "outbox.db", clock)
    outbox = harness.open()
    await outbox.put([new_reading(Device("ECC9FF5C0001"), "a")])
    yield outbox
    await harness.kill()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def vitals(
    tmp_path: Path, outbox: Outbox, clock: HandClock, metrics: Metrics, reloader: _Reloader
) -> ServiceVitals:
    idle = cast("Any", _Idle())
    return ServiceVitals(
        outbox=outbox,
        subscriber=idle,
        reloader=cast("Any", reloader),
        normaliser=idle,
        descriptors=idle,
        metrics=metrics,
        clock=clock,
        log_lines_dropped=lambda: 0,
        last_message_at=lambda: None,
        endpoint_changes=lambda: 0,
        max_bytes=1 << 30,
        seat=Seat(),
    )


async def shown(vitals: ServiceVitals, metrics: Metrics) -> float | None:
    await vitals.metrics()
    return metrics.registry.get_sample_value(NEXT_ATTEMPT, {"endpoint": "acme"})


@pytest.mark.parametrize("failures", HOLDS)
async def test_next_attempt_is_shown_until_it_is_due(
    vitals: ServiceVitals, metrics: Metrics, outbox: Outbox, clock: HandClock, failures: int
) -> None:
    """The metric is the instant until which an endpoint is held back, and 0 from then on."""
    until = clock.unix() + 30
    outbox.record_health("acme", EndpointHealth(failures=failures, open_until=until))
    await flush(outbox)
    assert await shown(vitals, metrics) == until
    clock.advance(30)
    assert await shown(vitals, metrics) == 0


async def test_no_next_attempt_is_shown_where_nothing_holds(
    vitals: ServiceVitals, metrics: Metrics
) -> None:
    """An endpoint that nothing holds back has a zero, not an absent series."""
    assert await shown(vitals, metrics) == 0


async def test_the_line_goes_on_while_metrics_are_written(
    vitals: ServiceVitals, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of thousands of endpoints they are long; on the loop every reading would wait for them."""
    loop_went_on = threading.Event()
    monkeypatch.setattr(metrics, "text", lambda: str(loop_went_on.wait(10)).encode())
    asyncio.get_running_loop().call_later(0.01, loop_went_on.set)
    assert await vitals.metrics() == b"True"


async def test_scrapes_at_the_same_time_count_once(
    vitals: ServiceVitals, metrics: Metrics, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each counts from what the last one has reported, so they take turns: two never meet."""
    meeting = threading.Barrier(2)

    def text() -> bytes:
        with contextlib.suppress(threading.BrokenBarrierError):
            meeting.wait(0.2)
            return b"met"
        return b"alone"

    monkeypatch.setattr(metrics, "text", text)
    assert await asyncio.gather(*[vitals.metrics() for _ in range(8)]) == [b"alone"] * 8
    name, labels = "forwarder_deliveries_enqueued_total", {"endpoint": "acme"}
    assert metrics.registry.get_sample_value(name, labels) == outbox.accounts.enqueued["acme"] == 1


async def test_a_look_at_the_routes_that_hangs_is_told_everywhere(
    vitals: ServiceVitals, reloader: _Reloader
) -> None:
    """/healthz and /readyz both have the reason; nothing is stuck that a restart would mend."""
    assert vitals.unmended() == []
    assert vitals.readiness()["ready"]

    reloader.problem = "reading routes.yaml takes longer than 10 s"

    assert vitals.unmended() == [reloader.problem]
    assert vitals.stuck_parts() == []
    assert not vitals.readiness()["ready"]
    assert vitals.readiness()["reasons"] == [reloader.problem]


async def test_mistakes_in_the_routes_are_counted_and_not_repeated(
    vitals: ServiceVitals, reloader: _Reloader
) -> None:
    """Whoever may ask gets to know how many and where, and the service stays ready: the last good routes hold."""
    reloader.rejection = Rejection(("routes.yaml:3:1: hunter2", "…"), 2, "routes.yaml:3:1")

    readiness = vitals.readiness()

    assert readiness["routes"] == {"endpoints": 0, "problems": 2, "first": "routes.yaml:3:1"}
    assert readiness["ready"]
    assert "hunter2" not in str(readiness)


async def test_outbox_is_told_by_its_id(
    vitals: ServiceVitals, outbox: Outbox, tmp_path: Path
) -> None:
    """Not by its path: whoever may ask need not know this machine."""
    readiness = vitals.readiness()

    assert readiness["outbox"] == {"id": outbox.accounts.overview().identity, "problem": None}
    assert str(tmp_path) not in str(readiness)
    assert vitals.endpoints() == {}


@pytest.mark.parametrize(
    ("ahead", "said"),
    [
        pytest.param(0.0, [], id="right"),
        pytest.param(3600.0, ["1h ahead of"], id="ahead"),
        pytest.param(-90.0, ["90s behind"], id="behind"),
    ],
)
async def test_clock_that_is_off_is_a_warning(
    vitals: ServiceVitals, ahead: float, said: list[str]
) -> None:
    """The replica goes on, because it goes by the database's."""
    vitals._seat.clock_ahead = ahead
    warnings = [
        f"this machine's clock is {one} the database's, which replicas go by; have NTP set it"
        for one in said
    ]
    assert vitals.readiness()["warnings"] == warnings
