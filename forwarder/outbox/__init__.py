"""
The durable queue between the two halves: readings in, deliveries out, nothing lost in between.

What it owes. A message is acknowledged only after its readings are on disk. Deliveries of one device to one endpoint
leave in order, one claim at a time. A crash at any instant loses no acknowledged reading, and settles none twice.

    put ─▶ candidate ─▶ thinned, as soon as a later reading comes in its interval
              │ its interval is over
              ▼
    put ─▶ pending ─▶ in flight ─▶ delivered | dead | expired | superseded
              ▲          │
              ├──────────┘ retry at
              └─────────────────────────── dead, by replay only

`in flight` is in memory alone: on disk such a delivery is pending, so a crash gives every claim back by itself.

A commit takes all that came in while the one before it was under way.

      loop       put, settle, operate, count        claim ◀──────────────── lanes (memory)
                  │                                                            ▲
                  ▼                                                            │
                prepare: hold the lanes that this      publish: rows that were put join their lanes,
                may change otherwise than by claims,   settled ones leave, held lanes go on, answers are given
                copy what is in flight there                                   ▲
                  │ Changes                                            Applied │
      thread      └─────────────▶ engine.apply: one transaction, to the disk ──┘

What is settled takes effect for claims at once and reaches the disk with the next commit, so a lane keeps `stored` and
`unwritten` apart (lanes.py). A commit that failed is done again with the same changes, and nothing that came later
overtakes it; every change may be made twice. A crash leaves what was applied: a settlement that was not is sent again
under the same id, a put that was not comes again from the broker.

A claim takes from memory alone. A reading that was just put is there. A second thread reads what comes next in a
backlog, at a retry, and after a commit that changed a lane; it reads many lanes at once (heads.py). A read begins once
everything that was settled in the lane is on disk, and a lane drops what was read before it changed.

Records of devices (devices.py) ride along with commits that are made anyway. They only tell: nothing waits for them.

Other processes change rows as well (operator's commands). They note the lanes in the same transaction; the engine
counts those with its next one, and the loop takes the count over.

    outbox.py        the face of the service           access.py, records.py   the face of commands
    intake.py        what comes in                     settlement.py   what is claimed, and what was decided
    operations.py    what time and operators do        accounts.py     how it stands
    schedule.py      all lanes, and claims from them   lanes.py        those of one endpoint: who is next, who rests
    queues.py        ready, waiting, to be read        lane.py         one of them
    heads.py         what is read for claims           thread.py       where an engine works
    changes.py       what a transaction gets, answers  commit.py       one commit's steps on the loop
    group_commit.py  one commit after the other        capacity.py     full, unwritable, recovered
    devices.py       who reported last when            intervals.py    and how often as a rule
    kept_last.py     the last reading of an interval   candidates.py   whom it is owed, and when
    engine.py        the seam                          drivers.py      engines by name
    homes.py         what other replicas do            seat.py          who is among them
    copying.py       from one engine to the other
    sqlite/, postgresql/   the engines                 sql/             statements that both share

Nothing outside these three knows SQL.
"""

from forwarder.outbox.access import Chosen, OutboxAccess
from forwarder.outbox.candidates import Candidates
from forwarder.outbox.copying import Copied
from forwarder.outbox.devices import Devices, KnownDevice
from forwarder.outbox.drivers import (
    copies_aside,
    copy_outbox,
    exists,
    inspect,
    is_running,
    open_outbox,
    opened,
    refuse_strangers,
    remarks,
    take_seat,
    warn_of_foreign_writers,
)
from forwarder.outbox.intake import (
    MessageOutcome,
    NewQuarantined,
    NewReading,
    Outcomes,
    Put,
    Recipient,
    Unrouted,
)
from forwarder.outbox.kept_last import KeptLast
from forwarder.outbox.lanes import Readiness
from forwarder.outbox.operations import (
    MOST_AUDITED,
    MOST_ROWS,
    AddShare,
    Audit,
    BuryRemoved,
    Discard,
    DiscardQuarantined,
    Ended,
    ExpireOld,
    ExplainQuarantined,
    KeepMinutes,
    MarkRemoved,
    Operation,
    Pause,
    Prune,
    PruneOldest,
    PruneQuarantine,
    ReleaseHomes,
    Replay,
    ReplayQuarantined,
    ReplayTo,
    Resume,
    RevokeShare,
    Shrink,
    TakeHomes,
    Tell,
    Told,
)
from forwarder.outbox.outbox import Outbox
from forwarder.outbox.records import (
    AuditRecord,
    DeliveryFile,
    DeliveryId,
    DeliveryRecord,
    DeviceRecord,
    EndpointTotals,
    Found,
    Inspection,
    Minute,
    Overview,
    Purged,
    Quarantined,
    Replica,
    Selection,
    Share,
)
from forwarder.outbox.seat import Seat
from forwarder.outbox.settlement import Claim, Settlement

__all__ = [
    "MOST_AUDITED",
    "MOST_ROWS",
    "AddShare",
    "Audit",
    "AuditRecord",
    "BuryRemoved",
    "Candidates",
    "Chosen",
    "Claim",
    "Copied",
    "DeliveryFile",
    "DeliveryId",
    "DeliveryRecord",
    "DeviceRecord",
    "Devices",
    "Discard",
    "DiscardQuarantined",
    "Ended",
    "EndpointTotals",
    "ExpireOld",
    "ExplainQuarantined",
    "Found",
    "Inspection",
    "KeepMinutes",
    "KeptLast",
    "KnownDevice",
    "MarkRemoved",
    "MessageOutcome",
    "Minute",
    "NewQuarantined",
    "NewReading",
    "Operation",
    "Outbox",
    "OutboxAccess",
    "Outcomes",
    "Overview",
    "Pause",
    "Prune",
    "PruneOldest",
    "PruneQuarantine",
    "Purged",
    "Put",
    "Quarantined",
    "Readiness",
    "Recipient",
    "ReleaseHomes",
    "Replay",
    "ReplayQuarantined",
    "ReplayTo",
    "Replica",
    "Resume",
    "RevokeShare",
    "Seat",
    "Selection",
    "Settlement",
    "Share",
    "Shrink",
    "TakeHomes",
    "Tell",
    "Told",
    "Unrouted",
    "copies_aside",
    "copy_outbox",
    "exists",
    "inspect",
    "is_running",
    "open_outbox",
    "opened",
    "refuse_strangers",
    "remarks",
    "take_seat",
    "warn_of_foreign_writers",
]
