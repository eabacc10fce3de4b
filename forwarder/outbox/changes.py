"""What the next commit will hold."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Self

from forwarder.endpoint_health import EndpointHealth
from forwarder.outbox.intake import MessageOutcome, NewReading, Outcomes, Put
from forwarder.outbox.lanes import Lane
from forwarder.outbox.operations import Operation
from forwarder.outbox.settlement import Delivered, Settlement
from forwarder.reading import Device

_only_latest = attrgetter("only_latest")


@dataclass(slots=True)
class Changes:
    """Everything that came in since the last commit began."""

    settlements: list[Settlement] = field(default_factory=list)
    delivered: list[Delivered] = field(default_factory=list)
    releases: list[tuple[str, Lane]] = field(default_factory=list)
    """Lanes that go on once the settlements are on disk."""
    is_built_on: bool = False
    """Whether a lane sends something else already, or soon, after what was settled in it."""
    health: dict[str, EndpointHealth] = field(default_factory=dict)
    gone: dict[str, str | None] = field(default_factory=dict)
    """Endpoints that answered 410, with a digest of their URL; None ends that pause."""
    messages: dict[MessageOutcome, int] = field(default_factory=dict)
    """What became of those of which there is nothing to store; a collections.Counter takes long to be made."""
    touched: set[tuple[str, Device]] = field(default_factory=set)
    """Lanes whose rows have to be counted again."""
    operations: list[tuple[Operation[Any], asyncio.Future[Any]]] = field(default_factory=list)
    puts: list[tuple[Sequence[Put], asyncio.Future[Outcomes]]] = field(default_factory=list)
    may_supersede: bool = False
    """Whether something that is pending may give way to what is put."""

    def __bool__(self) -> bool:
        return bool(
            self.puts
            or self.settlements
            or self.delivered
            or self.releases
            or self.health
            or self.gone
            or self.messages
            or self.touched
            or self.operations
        )

    @property
    def is_rows_alone(self) -> bool:
        """Whether nothing in it has to look at lanes, as far as is known before its transaction."""
        return not (self.operations or self.touched or self.may_supersede)

    @property
    def is_of_deliveries_alone(self) -> bool:
        """Whether it only says what has been delivered, in lanes that have nothing else to send."""
        is_more = (
            self.puts
            or self.settlements
            or self.health
            or self.gone
            or self.messages
            or self.touched
            or self.operations
            or self.is_built_on
        )
        return not is_more and not any(lane.pending for _, lane in self.releases)

    @property
    def message_count(self) -> int:
        return sum(len(puts) for puts, _ in self.puts)

    def count(self, outcome: MessageOutcome, count: int = 1) -> None:
        self.messages[outcome] = self.messages.get(outcome, 0) + count

    def put(self, puts: Sequence[Put], answer: asyncio.Future[Outcomes]) -> None:
        self.puts.append((puts, answer))
        self.may_supersede = self.may_supersede or _may_supersede(puts)

    def take_puts(self) -> "Changes":
        """The puts alone, which this is then without."""
        taken = Changes(puts=self.puts, may_supersede=self.may_supersede)
        self.puts, self.may_supersede = [], False
        return taken

    def drop_unawaited(self) -> None:
        """Forget what nobody waits for any more."""
        self.puts = [(puts, answer) for puts, answer in self.puts if not answer.done()]

    def followed_by(self, later: "Changes") -> Self:
        """This work, and what came in after it; `later` is used up."""
        self.settlements += later.settlements
        self.delivered += later.delivered
        self.releases += later.releases
        self.health |= later.health
        self.gone |= later.gone
        for outcome, count in later.messages.items():
            self.count(outcome, count)
        self.touched |= later.touched
        self.operations += later.operations
        self.puts += later.puts
        self.may_supersede |= later.may_supersede
        self.is_built_on |= later.is_built_on
        return self


def _may_supersede(puts: Sequence[Put]) -> bool:
    looked_at = None
    for one in puts:
        # Neighbours mostly share one tuple.
        if isinstance(one, NewReading) and one.recipients is not looked_at:
            looked_at = one.recipients
            if any(map(_only_latest, looked_at)):
                return True
    return False
