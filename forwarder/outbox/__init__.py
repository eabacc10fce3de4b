"""
The durable queue between the two halves.

    put ─▶ pending ─▶ claimed ─▶ delivered | dead | expired | superseded
              ▲          │
              ├──────────┘ retry at
              └─────────────────────────── dead, by replay only

    words.py    what goes in and comes out          lanes.py   the schedule: who is next, who waits (memory, pure)
    outbox.py   the running service's side          store.py   SQL that changes rows, within a transaction
    work.py     what the next commit will hold      reads.py   SQL that reads them back
    commit.py   one commit, tables and lanes        gauges.py  what it holds at this moment
    writer.py   one transaction at a time           upkeep.py  what time does: expiry, retention, shrinking
    sqlite.py   the file, its lock, its errors      migrations.py  from one schema to the next
    mark.py     how far it has come, noted beside it  thread.py  where it works, and waits for the disk
    many.py     one statement over many rows        handover.py  work on its way there
    room.py    what may be taken, and is there      quarantine.py  what could not be understood
"""

from forwarder.outbox.lanes import Readiness
from forwarder.outbox.outbox import Outbox
from forwarder.outbox.words import (
    Claim,
    Delivered,
    MessageOutcome,
    NewQuarantined,
    NewReading,
    Outcomes,
    Put,
    Recipient,
    Settlement,
)

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
