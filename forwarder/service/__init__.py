"""
The running process; this package alone wires the parts together.

    service.py       what starts and stops, in which order    latest_end.py        the end, whatever hangs
    descriptors.py   how many files it may have open          looking.py           routes.yaml where file systems hang
    reloading.py     routes.yaml while the service runs       remarks.py           about the outbox's place
    upkeep.py        expiry and retention                     expiry.py            what waits in vain, settled by rule
    interval_ends.py the ends of `keep: last`                 last_let_through.py  `min_interval` across a start
    replica.py       homes and the lead among replicas        missing_session.py   the lead, given up
    vitals.py        health, readiness, metrics               minutes.py           the counts of each minute
    heartbeat.py     the line a minute in the log             ready_call.py        the call a minute while ready
    audit_log.py     changes by commands, in the log          notify.py            what systemd is told
    silence_watch.py silent devices                           elsewhere.py         endpoints of other replicas
"""

from forwarder.service.descriptors import raise_limit, require_room
from forwarder.service.service import run_service

__all__ = ["raise_limit", "require_room", "run_service"]
