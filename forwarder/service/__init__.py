"""
The running process; this package alone wires the parts together.

    service.py   what starts and stops, in which order       descriptors.py  how many files it may have open
    looking.py   routes.yaml on file systems that hang       reloading.py    routes.yaml while the service runs
    vitals.py    health, readiness and metrics of the whole  upkeep.py       expiry and retention, every few seconds
    expiry.py    what waits in vain, settled by rule         heartbeat.py    how things stand, in the log
    notify.py    what systemd is told
"""

from forwarder.service.descriptors import raise_limit, require_room
from forwarder.service.service import run_service

__all__ = ["raise_limit", "require_room", "run_service"]
