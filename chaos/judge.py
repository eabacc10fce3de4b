"""What is owed against what arrived: every obligation accounted for, nothing invented, everything in order. Pure."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from chaos.oracle import Issued, Oracle
from chaos.receiver import Receiver, number_of

_SHOWN = 5


@dataclass(frozen=True)
class Evidence:
    """What a scenario has left behind once everything is healed."""

    endpoints: Mapping[str, Mapping[str, Any]]
    """What `status --json` says of each."""
    dead: Mapping[str, Collection[int]] = field(default_factory=dict)
    """Numbers in dead letters, by endpoint."""
    excused: Collection[int] = ()
    """Owed, and lost where this program has no say: the scenario says why."""
    replayed: Collection[int] = ()
    """Numbers that an operator has sent again, which takes them out of their order."""
    strays: int = 0
    """
    So many requests may leave a replica that stood still, after another one has taken over.

    In `mode: latest` such a one may bring a reading that has given way to a newer one meanwhile.
    """
    has_begun_anew: bool = False
    """The outbox was moved aside, and with it the accounts of what came before."""


@dataclass
class Verdict:
    """What the judge found."""

    findings: list[str] = field(default_factory=list)
    """What is wrong, a sentence each."""
    lost: int = 0
    inversions: int = 0
    strays: int = 0
    """Readings out of order that are excused for `Evidence.strays`."""
    duplicates: int = 0
    delivered: int = 0
    """Readings accepted, summed over the receivers, each once."""


def judge(oracle: Oracle, receivers: Sequence[Receiver], evidence: Evidence) -> Verdict:
    """Everything the promise says, checked against what the receivers saw."""
    verdict = Verdict()
    for receiver in receivers:
        verdict.delivered += len(receiver.accepted)
        verdict.duplicates += receiver.duplicates
        lost = _lost(oracle, receiver, evidence)
        verdict.lost += len(lost)
        verdict.findings += _some(receiver, "readings are lost", lost)
        inverted = [*_inversions(oracle, receiver, evidence)]
        if receiver.only_latest and len(inverted) <= evidence.strays:
            verdict.strays += len(inverted)
            inverted = []
        verdict.inversions += len(inverted)
        verdict.findings += _some(receiver, "readings came out of order", inverted)
        verdict.findings += _some(receiver, "posts were not to be believed", receiver.forged)
        verdict.findings += _some(receiver, "readings are wrong", [*_wrong(oracle, receiver)])
        verdict.findings += _some(receiver, "ids are ambiguous", [*_ambiguous(receiver)])
        verdict.findings += _some(
            receiver, "totals disagree", [*_unbalanced(oracle, receiver, evidence)]
        )
    return verdict


def _some(receiver: Receiver, what: str, found: Sequence[object]) -> list[str]:
    if not found:
        return []
    shown = ", ".join(map(str, found[:_SHOWN]))
    return [f"{receiver.name}: {len(found)} {what}: {shown}"]


def _lost(oracle: Oracle, receiver: Receiver, evidence: Evidence) -> list[int]:
    owed = set() if receiver.is_guest else oracle.owed - set(evidence.excused)
    if receiver.only_latest:
        return _stale(oracle, receiver, owed)
    return sorted(owed - receiver.accepted.keys() - set(evidence.dead.get(receiver.name, ())))


def _stale(oracle: Oracle, receiver: Receiver, owed: Collection[int]) -> list[int]:
    """Of each device the newest obligation, where neither it nor a newer reading arrived."""
    newest: dict[str, int] = {}
    for number in sorted(owed):
        newest[oracle.issued[number].device] = number
    told = _by_device(oracle, receiver)
    return [
        number for device, number in newest.items() if max(told.get(device, ()), default=0) < number
    ]


def _by_device(oracle: Oracle, receiver: Receiver) -> dict[str, list[int]]:
    told: dict[str, list[int]] = defaultdict(list)
    for number in receiver.accepted:
        if number in oracle.issued:
            told[oracle.issued[number].device].append(number)
    return told


def _inversions(oracle: Oracle, receiver: Receiver, evidence: Evidence) -> Iterator[str]:
    for numbers in _by_device(oracle, receiver).values():
        in_place = [number for number in numbers if number not in evidence.replayed]
        for earlier, later in pairwise(in_place):
            if later < earlier:
                yield f"{later} after {earlier}"


def _wrong(oracle: Oracle, receiver: Receiver) -> Iterator[str]:
    for post in receiver.posts:
        for data in post.readings:
            issued = oracle.issued.get(number_of(data))
            if issued is None:
                yield f"never issued: {data.get('id')}"
            elif not _is_told_right(data, issued):
                yield f"{issued.number} as {data.get('id')}"


def _is_told_right(data: Mapping[str, Any], issued: Issued) -> bool:
    told = {key: data.get(key) for key in ("device", "measured_at", "time_source", "measurements")}
    expected = {
        "device": issued.device,
        "measured_at": issued.measured_at,
        "time_source": "timestamp",
        "measurements": {"active_power_import_kw": issued.active_power_import_kw},
    }
    return told == expected and bool(data["extra"].get("padding", "") == issued.padding)


def _ambiguous(receiver: Receiver) -> Iterator[str]:
    """A reading has one id, and an id one reading, in all attempts; a single reading's id is its post's."""
    ids, numbers = defaultdict(set), defaultdict(set)
    for post in receiver.posts:
        for data in post.readings:
            ids[number_of(data)].add(data["id"])
            numbers[data["id"]].add(number_of(data))
        if "batch" not in receiver.settings and [post.webhook_id] != [
            data["id"] for data in post.readings
        ]:
            yield f"{post.webhook_id} carries another id"
    yield from (f"{number} is {sorted(found)}" for number, found in ids.items() if len(found) > 1)
    yield from (f"{key} is {sorted(found)}" for key, found in numbers.items() if len(found) > 1)


def _unbalanced(oracle: Oracle, receiver: Receiver, evidence: Evidence) -> Iterator[str]:
    totals = evidence.endpoints.get(receiver.name)
    if totals is None:
        if receiver.accepted:
            yield "status does not know it"
        return
    outcomes = Counter({each: totals[each] for each in ("delivered", "dead", "expired")})
    left = outcomes.total() + totals["superseded"] + totals["pending"]
    if totals["enqueued"] != left:
        yield f"enqueued {totals['enqueued']}, and {left} in all its outcomes"
    if totals["pending"]:
        yield f"{totals['pending']} still pending"
    if evidence.has_begun_anew:
        return
    if receiver.is_guest:
        yield from _unbalanced_guest(receiver, totals, evidence)
    elif not len(oracle.owed) - len(evidence.excused) <= totals["enqueued"] <= len(oracle.issued):
        yield f"enqueued {totals['enqueued']}, and {len(oracle.owed)} owed"
    # A reading that was taken while its answer got lost may end as something else than delivered.
    most = totals["delivered"] + totals["dead"] + totals["expired"] + totals["superseded"]
    if not totals["delivered"] <= len(receiver.accepted) <= most:
        yield f"delivered {totals['delivered']}, and the receiver took {len(receiver.accepted)}"


def _unbalanced_guest(
    receiver: Receiver, totals: Mapping[str, Any], evidence: Evidence
) -> Iterator[str]:
    """Nobody but the forwarder knows when it took an edit; but whatever it enqueued must have gone somewhere."""
    ended = receiver.accepted.keys() | set(evidence.dead.get(receiver.name, ()))
    if not receiver.only_latest and totals["enqueued"] != len(ended):
        yield f"enqueued {totals['enqueued']}, and {len(ended)} taken or dead"
