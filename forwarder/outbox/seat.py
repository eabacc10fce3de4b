"""A seat: a forwarder's place among the replicas on one outbox."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HomesView:
    """Which replica should be whose home, as of this replica's last look."""

    elsewhere: frozenset[str]
    """The endpoints that should be another replica's; an endpoint that is newer than the look is not among them."""
    free: frozenset[str]
    """The endpoints that should be this replica's, and are no living replica's."""


class Seat:
    """
    A place that a forwarder has until `release`, or until its process ends in whatever way.

    This class is the seat of a forwarder that is alone. A database's seat has a thread that beats. The loop sets
    `routes` and `session_word`, and the thread sets the other fields, each as a whole, so neither needs a lock.
    """

    member = ""
    """The replica's id, new at each start."""
    leads = True
    """Whether this forwarder leads; true from the first time on until `hand_over`."""
    leader = ""
    """The leader's name, as far as it is known."""
    problem: str | None = None
    """Why the other replicas hear nothing of this one at the moment."""
    is_dead = False
    """Whether the other replicas have taken this one for dead; the process then has to start anew."""
    homes: HomesView | None = None
    """Which endpoints should have their home here; None where all have, or nobody knows yet."""
    routes = ""
    """A digest of the routes in force here, for the other replicas to see."""
    differing: Sequence[str] = ()
    """Names of replicas that have had other routes than this one for some seconds."""
    has_namesake = False
    """Whether another living replica has the same name."""
    clock_ahead = 0.0
    """Seconds by which this machine's wall clock is ahead of the clock of all replicas."""
    epoch = 0.0
    """UNIX seconds of the clock of all replicas, less our monotonic seconds; 0 where a forwarder is alone."""
    session_word = ""
    """A word of this forwarder about its session with the broker, for the other replicas to see."""
    session_words: Collection[str] = ()
    """The words of the other replicas about their sessions."""

    @property
    def is_sure(self) -> bool:
        """Whether no other replica can have taken over yet; false once no beat has committed for some seconds."""
        return True

    def listen(self, ring: Callable[[], None]) -> None:
        """Have a thread call `ring` once other replicas have committed something that may concern this one."""

    def leave(self) -> None:
        """Tell the other replicas that this one is about to end, so that no released home comes back to it."""

    def hand_over(self) -> None:
        """Have another replica lead, because this one puts nothing any more; does nothing on a follower."""

    def release(self) -> None:
        """Free the place at once."""
