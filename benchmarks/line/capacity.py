"""How many devices one machine takes: proved by a run of that many."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from contest import AHEAD, AHEAD_OF_BATCHES, BATCH
from extent import WARM_UP_SECONDS, Extent, Row
from parts import endpoint
from run import Figures, a_line

PERIOD_SECONDS = 30
"""How often a device reports."""
SHARES = (0.7, 0.6, 0.5, 0.4, 0.3, 0.2)
"""Of the rate that it sustains, the first at which it also keeps up in time."""
WORST_P99_MS = 1000.0


@dataclass(frozen=True)
class Form:
    name: str
    ahead: int
    settings: Mapping[str, Any] = field(default_factory=dict)


FORMS = (Form("singly", AHEAD), Form("100 per POST", AHEAD_OF_BATCHES, BATCH))


def devices(extent: Extent) -> Iterator[Row]:
    """As many devices as it serves with p99 under a second, each reporting every 30 seconds."""
    for form in FORMS:
        sustained = _sustained(form, extent)
        for share in SHARES:
            count = int(sustained.rate * share * PERIOD_SECONDS / 1000) * 1000
            figures = _served(form, count, extent)
            if figures.is_complete and figures.ms(0.99) < WORST_P99_MS:
                break
        yield Row(
            f"{count:,} devices at {PERIOD_SECONDS} s, {form.name}",
            f"{figures.rate:,.0f}/s, p99 {figures.ms(0.99):.1f} ms, {figures.cpu_us:.0f} µs a reading;"
            f" {sustained.rate:,.0f}/s at most",
            is_void=not figures.is_complete,
            runs=[figures.raw() | {"form": form.name, "devices": count, "most": sustained.rate}],
        )


def _sustained(form: Form, extent: Extent) -> Figures:
    with a_line() as line:
        forwarder = line.forwarder({"all": endpoint(line.receiver.port, **form.settings)})
        forwarder.wait_subscribed()
        return line.load(
            forwarder, warm_up=WARM_UP_SECONDS, ahead=form.ahead, seconds=extent.seconds
        )


def _served(form: Form, count: int, extent: Extent) -> Figures:
    with a_line() as line:
        forwarder = line.forwarder({"all": endpoint(line.receiver.port, **form.settings)})
        forwarder.wait_subscribed()
        return line.load(
            forwarder, rate=count / PERIOD_SECONDS, seconds=extent.fleet_seconds, devices=count
        )
