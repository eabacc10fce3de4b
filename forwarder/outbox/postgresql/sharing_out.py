"""
Sharing out says which replica delivers to which endpoint. Pure: all replicas see the same rows, so they agree.

Every replica gets as many homes as any other, or one more. A home stays where it is unless its replica is gone or has
too many. A home that has to move goes to the replica with room that likes it best (rendezvous hashing).
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from hashlib import blake2b


def share(owners: Mapping[str, str | None], members: Collection[str]) -> dict[str, str]:
    """
    Each endpoint's replica among `members`; `owners` names the replica that has it now.

    An owner that is None, or no member any more, counts as nobody. The answer is empty without members.
    """
    if not members:
        return {}
    quotas = _quotas(owners, members)
    kept = _kept(owners, quotas)
    held = Counter(kept.values())
    for endpoint in sorted(owners.keys() - kept.keys()):
        roomy = [member for member in quotas if held[member] < quotas[member]]
        kept[endpoint] = max(roomy, key=lambda member: _liking(endpoint, member))
        held[kept[endpoint]] += 1
    return kept


def _quotas(owners: Mapping[str, str | None], members: Collection[str]) -> dict[str, int]:
    """How many homes each member gets; members that have most already get those left over."""
    least, left_over = divmod(len(owners), len(members))
    held = Counter(owners.values())
    ranked = sorted(members, key=lambda member: (-held[member], member))
    return {member: least + (rank < left_over) for rank, member in enumerate(ranked)}


def _kept(owners: Mapping[str, str | None], quotas: Mapping[str, int]) -> dict[str, str]:
    """The homes that stay where they are."""
    held: defaultdict[str, list[str]] = defaultdict(list)
    for endpoint, owner in owners.items():
        if owner is not None and owner in quotas:
            held[owner].append(endpoint)
    kept = {}
    for member, endpoints in held.items():
        if len(endpoints) > quotas[member]:
            endpoints.sort(key=lambda endpoint: _liking(endpoint, member), reverse=True)
        kept.update(dict.fromkeys(endpoints[: quotas[member]], member))
    return kept


def _liking(endpoint: str, member: str) -> bytes:
    return blake2b(f"{endpoint}\0{member}".encode(), digest_size=8).digest()
