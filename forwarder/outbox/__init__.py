"""
The durable queue between the two halves.

    put ─▶ pending ─▶ claimed ─▶ delivered | dead | expired | superseded
              ▲          │
              ├──────────┘ retry at
              └─────────────────────────── dead, by replay only

    outbox.py        the face: put, claim, settle           lanes.py     the schedule: who is next, who waits (memory)
    intake.py        what comes in                          settlement.py  what is claimed, and what was decided
    changes.py       what the next commit will hold         commit.py    one commit, tables and lanes
    group_commit.py  changes on their way to the thread     sqlite/      the file: SQL, lock, mark, disk space
"""

from forwarder.outbox.intake import (
    MessageOutcome,
    NewQuarantined,
    NewReading,
    Outcomes,
    Put,
    Recipient,
)
from forwarder.outbox.lanes import Readiness
from forwarder.outbox.outbox import Outbox
from forwarder.outbox.settlement import Claim, Delivered, Settlement

__all__ = [
    "Claim",
    "Delivered",
    "MessageOutcome",
    "NewQuarantined",
    "NewReading",
    "Outbox",
    "Outcomes",
    "Put",
    "Readiness",
    "Recipient",
    "Settlement",
]
