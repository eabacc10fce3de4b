"""
Microseconds of CPU for one body that a template writes, of a reading with 24 measurements.

    python benchmarks/templates.py
"""

import time
import timeit
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from forwarder.body_template import BodyTemplate, View, compile_template
from forwarder.body_template.line_body import Escape
from forwarder.delivery import Delivery
from forwarder.demo.samples import samples

BODIES = 5000
TEMPLATES: dict[str, tuple[str, Escape | None]] = {
    "chat": (
        '{"text": "${meter.vendor} ${device}: ${active_power_import_kw} kW at ${measured_at}"}',
        None,
    ),
    "influx": (
        (
            "energy,device=${device},vendor=${meter.vendor} "
            "kw=${active_power_import_kw},kwh=${active_energy_import_kwh} ${measured_at_ns}"
        ),
        "influx",
    ),
    "influx without a section": (
        "energy,device=${device} kw=${active_power_import_kw},kwh=${active_energy_import_kwh} ${measured_at_ns}",
        "influx",
    ),
    "csv": ("${device},${measured_at},${active_power_import_kw},${meter.vendor}", "csv"),
    "data": ('{"data": ${data}, "endpoint": "${endpoint}"}', None),
}


def microseconds(work: Callable[[], object]) -> float:
    """Of CPU for one run, the best of nine rounds."""
    return min(timeit.repeat(work, number=BODIES, repeat=9, timer=time.process_time)) / BODIES * 1e6


def write(template: BodyTemplate, delivery: Delivery) -> bytes:
    view = View(
        delivery.data, event_type="meter.reading", timestamp=delivery.measured_at, endpoint="acme"
    )
    return template.write(view).encode()


def main() -> None:
    delivery = next(samples(1, endpoint="acme", now=datetime.now(UTC)))
    for name, (text, escape) in TEMPLATES.items():
        template = compile_template(text, escape=escape, is_batched=False)
        print(f"{name:26} {microseconds(partial(write, template, delivery)):5.1f} µs")


if __name__ == "__main__":
    main()
