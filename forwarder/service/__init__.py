"""
The running process: the only place that wires the parts together.

    service.py   what starts and stops, in which order       opening.py   the outbox at start, sound or damaged
    reloading.py routes.yaml while the service runs          upkeep.py    expiry and retention, every few seconds
    probe.py     health, readiness and metrics of the whole     notify.py    what systemd is told
"""

from forwarder.service.service import run_service

__all__ = ["run_service"]
