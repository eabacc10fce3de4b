"""A forwarder's place among those on one outbox."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HomesView:
    """Whose homes should be whose, as a replica saw it last."""

    elsewhere: frozenset[str]
    """The endpoints that should be another replica's; one that is newer than the look is not among them."""
    free: frozenset[str]
    """The endpoints that should be its own and are nobody's."""


class Seat:
    """
    A place that is held until `release` or the forwarder's end, however that ends.

    What stands here is true of a forwarder that is alone.
    """

    member = ""
    """Its id, new at each start."""
    leads = True
    """Whether this forwarder is to work; once true it stays so."""
    leader = ""
    """The name of the one that leads, as far as it is known."""
    problem: str | None = None
    """Why it cannot be heard of at the moment."""
    is_dead = False
    """Whether the others have taken this forwarder for dead: it has to start anew."""
    homes: HomesView | None = None
    """Which endpoints should be delivered to from here; None where all are, or it is not known yet."""
    routes = ""
    """A digest of the routes that are in force here, for the others to see."""
    differing: Sequence[str] = ()
    """The names of those with other routes than this one, for some seconds now."""
    has_namesake = False
    """Whether another replica that lives goes by the same name."""
    clock_ahead = 0.0
    """By how many seconds this machine's wall clock is ahead of the one that all replicas go by."""
    epoch = 0.0
    """UNIX seconds of the clock that all replicas go by, less our monotonic seconds; 0 where there is one forwarder."""
    session_word = ""
    """What this forwarder says of its session with the broker, for the others to see."""
    session_words: Collection[str] = ()
    """What the others say of theirs."""

    @property
    def is_sure(self) -> bool:
        """Whether no other can have taken over yet; false once it has not been heard of for some seconds."""
        return True

    def listen(self, ring: Callable[[], None]) -> None:
        """Have `ring` called, in a thread, once others have committed something that may concern this forwarder."""

    def leave(self) -> None:
        """Say that this forwarder is about to end: homes that it releases are not to come back to it."""

    def hand_over(self) -> None:
        """Have another replica lead, because nothing is put here any more; of no matter where this one does not."""

    def release(self) -> None:
        """Let others have it, at once."""
