"""Remarks on signing keys that an operator may not have meant. A remark names endpoints, and never a key."""

from collections.abc import Iterable, Iterator
from itertools import pairwise

from forwarder.routes.model import Endpoint, EndpointName

FEWEST_BYTES = 8
"""Fewest different bytes of a good key. A random key of 24 bytes has 20 and more, one of repeated words has few."""
_ADVICE = "`forwarder secret` prints a random one"


def key_remarks(endpoints: Iterable[Endpoint]) -> list[str]:
    """A sentence for each key that several endpoints share, and for each endpoint whose key can be guessed."""
    listed = tuple(endpoints)
    return [*_shared(listed), *_weak(listed)]


def _shared(endpoints: Iterable[Endpoint]) -> Iterator[str]:
    holders: dict[bytes, list[EndpointName]] = {}
    for endpoint in endpoints:
        for key in {key.secret for key in endpoint.keys}:
            holders.setdefault(key, []).append(endpoint.name)
    for first, *others in holders.values():
        if others:
            yield (
                f"endpoints {', '.join((first, *others))} share a key: what one receiver was sent,"
                f" another takes for its own; give each its own: {_ADVICE}"
            )


def _weak(endpoints: Iterable[Endpoint]) -> Iterator[str]:
    for endpoint in endpoints:
        if any(is_weak(key.secret) for key in endpoint.keys):
            yield f'endpoint "{endpoint.name}" has a key that can be guessed; {_ADVICE}'


def is_weak(key: bytes) -> bool:
    """Whether a key has hardly any variety, or counts: 24 zero bytes, `abcabcabc…`, 0 1 2 3 …"""
    steps = {(later - earlier) % 256 for earlier, later in pairwise(key)}
    return len(set(key)) < FEWEST_BYTES or len(steps) == 1
