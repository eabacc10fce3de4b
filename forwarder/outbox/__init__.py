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
from forwarder.outbox.operations import (
    MOST_ROWS,
    BuryRemoved,
    Discard,
    DiscardQuarantined,
    ExpireOld,
    ExplainQuarantined,
    MarkRemoved,
    Operation,
    Pause,
    Prune,
    PruneQuarantine,
    Replay,
    ReplayQuarantined,
    ReplayTo,
    Resume,
    Shrink,
)
from forwarder.outbox.outbox import Outbox
from forwarder.outbox.records import (
    DeliveryFile,
    DeliveryId,
    DeliveryRecord,
    EndpointTotals,
    Inspection,
    Overview,
    Purged,
    Quarantined,
    Selection,
)
from forwarder.outbox.settlement import Claim, Settlement
from forwarder.outbox.sqlite.access import Chosen, OutboxAccess, opened
from forwarder.outbox.sqlite.erasure import copies_aside
from forwarder.outbox.sqlite.file import DirectoryLock, is_running
from forwarder.outbox.sqlite.inspection import inspect
from forwarder.outbox.sqlite.opening import open_outbox, warn_of_foreign_writers

__all__ = [
    "MOST_ROWS",
    "BuryRemoved",
    "Chosen",
    "Claim",
    "DeliveryFile",
    "DeliveryId",
    "DeliveryRecord",
    "DirectoryLock",
    "Discard",
    "DiscardQuarantined",
    "EndpointTotals",
    "ExpireOld",
    "ExplainQuarantined",
    "Inspection",
    "MarkRemoved",
    "MessageOutcome",
    "NewQuarantined",
    "NewReading",
    "Operation",
    "Outbox",
    "OutboxAccess",
    "Outcomes",
    "Overview",
    "Pause",
    "Prune",
    "PruneQuarantine",
    "Purged",
    "Put",
    "Quarantined",
    "Readiness",
    "Recipient",
    "Replay",
    "ReplayQuarantined",
    "ReplayTo",
    "Resume",
    "Selection",
    "Settlement",
    "Shrink",
    "copies_aside",
    "inspect",
    "is_running",
    "open_outbox",
    "opened",
    "warn_of_foreign_writers",
]
