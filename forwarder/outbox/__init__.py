"""
The durable queue between the line's two halves: readings in, deliveries out, nothing lost in between.

Promises

    A message is acknowledged only after its readings are on disk.
    Deliveries of one device to one endpoint, a lane, leave in order, one claim at a time.
    A crash at any instant loses no acknowledged reading. A delivery may be sent again then, under its id, and accounts
    count it once.

Constraints

    One replica puts what comes in, the leader. One replica claims from an endpoint, its home. A file has one process,
    which is both.
    The loop decides everything, and waits for no disk. Lanes and claims live on the loop without a lock, because no
    other thread touches them and nothing else runs on the loop between two awaits.
    The commit thread makes every transaction, one after the other; a replica's beats alone have a thread of their own.
    The reader thread reads what comes next in lanes. asyncio's pool reads accounts. The engine gets plain values in all
    three, and knows no lane.
    Every change may be made twice, because a second time finds its rows in place. Two things come twice then:
    quarantined messages, which have no id, and totals of messages.
    Numbers of readings grow in the order of puts, and a lane's order is that of the numbers.
    Memory has room for some thousand deliveries, and a longer backlog waits as rows.
    Commands of operators are other processes. A command notes in its transaction the lanes that it changes. The commit
    thread looks for notes twice a second, the engine counts the pending rows of these lanes, and the loop takes over
    the counts.
    A home that does not lead finds what the leader has put for it by the same look (homes.py).
    SQL is known in sqlite/, postgresql/ and sql/ alone.

States of a delivery

    put ─▶ candidate ─▶ thinned, as soon as a later reading comes in its interval
              │ its interval is over
              ▼
    put ─▶ pending ─▶ in flight ─▶ delivered | dead | expired | superseded
            │ ▲  ▲       │
            │ │  └───────┘ retry at, or the claim ended without a decision
            │ └───────────────────── dead, by replay only
            └─▶ dead | expired | superseded: too old, its endpoint is removed, or a newer reading came

    A delivery is in flight while a claim of it is out, which may last over several attempts of a batch. `in flight` is
    in memory alone: on disk such a delivery is pending. A replay to another endpoint makes a delivery pending again
    that was thinned, expired or superseded there.

A commit's three steps

    A commit takes all that came in while the commit before it was under way (group_commit.py, commit.py).

      loop       put, settle, operate, count        claim ◀──────────────── lanes (memory)
                  │                                                            ▲
                  ▼                                                            │
                1 prepare: hold the lanes that this    3 publish: rows that were put join their lanes, settled ones
                may change otherwise than by claims,   leave, held lanes go on, attempts start, answers are given
                copy what is in flight there                                   ▲
                  │ Changes                                            Applied │
      thread      └───────────▶ 2 engine.apply: one transaction, to the disk ──┘

    A held lane gives out no claim, so nothing sets out that the transaction supersedes, expires or buries.
    A settlement takes effect for claims at once and reaches the disk with the next commit, so a lane counts `stored`
    and `unwritten` rows apart (lanes.py).
    A failed commit is rolled back and made again, in front of all that came later. Nothing is acknowledged and no
    attempt starts until a commit succeeds (capacity.py).
    A commit that only says what was delivered, in lanes with nothing else to send, does not wait for the disk.
    Records of devices ride along with commits. Nothing waits for a record, because records only tell.

Claims and reads

    A claim takes from memory alone, where a put leaves its readings. The reader thread brings backlogs, retries and
    lanes that a commit changed, many lanes at once (heads.py). A read of a lane begins once the lane's settlements are
    on disk. A lane drops what was read before its last change.

What a crash leaves

    commit not on disk     The rows from before. The broker sends the messages again, because no PUBACK left. Settled
                           deliveries are sent again under their ids.
    commit on disk, not    The new rows. The broker sends the messages again, and the put knows their readings by
    published              webhook id. A payload without a time is known only where the broker marks it as sent again.
                           A quarantined message stands there twice.
    commit without its     The new rows. A power cut may leave the rows from before, whose deliveries are then sent
    wait for the disk      again under their ids.
    claims                 Pending rows. Deliveries in flight are sent again under their ids. A retry keeps its time,
                           which is in its row.
    records of devices     The records of some seconds before.
    on a database          The lead and homes in the dead replica's name. Living replicas take both once its beat stands
                           still, and new epochs refuse the dead one's late transactions (postgresql/members.py).
                           A failover to a standby that lacks commits loses them, and `missing` says how many readings.

Files

    outbox.py        the face of the service           access.py, records.py   the face of commands
    intake.py        values that come in               settlement.py   claims, and decisions about them
    operations.py    orders of time and operators      accounts.py     the outbox in numbers
    schedule.py      all lanes, and claims from them   lanes.py        one endpoint's lanes: next, resting
    queues.py        ready, waiting, to be read        lane.py         one lane
    heads.py         reads for claims                  thread.py       a thread beside the loop
    changes.py       into a transaction, and out of it commit.py       one commit's steps on the loop
    group_commit.py  one commit after the other        capacity.py     full, unwritable, recovered
    devices.py       each device's last report         intervals.py    its usual interval
    kept_last.py     the last reading of an interval   candidates.py   the ends of intervals
    engine.py        the seam                          drivers.py      engines by name
    homes.py         this replica's endpoints          seat.py         its place among replicas
    copying.py       from one engine to the other
    sqlite/, postgresql/   the engines                 sql/            statements that both share
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
