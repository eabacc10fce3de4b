"""What the next commit will hold."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from forwarder.outbox.lanes import Lane
from forwarder.outbox.store import Store
from forwarder.outbox.words import (
    EndpointHealth,
    Put,
    PutOutcome,
    Settlement,
)
from forwarder.reading import Device


@dataclass(slots=True)
class Work:
    """Everything that came in since the last commit began."""

    settlements: list[Settlement] = field(default_factory=list)
    releases: list[tuple[str, Lane]] = field(default_factory=list)
    """Lanes that go on once the settlements are on disk."""
    health: dict[str, EndpointHealth] = field(default_factory=dict)
    gone: dict[str, str | None] = field(default_factory=dict)
    """Endpoints that answered 410, with a digest of their URL; None ends that pause."""
    messages: Counter[str] = field(default_factory=Counter)
    touched: set[tuple[str, Device]] = field(default_factory=set)
    """Lanes whose rows have to be counted again."""
    jobs: list[tuple[Callable[[Store], Any], asyncio.Future[Any]]] = field(default_factory=list)
    puts: list[tuple[Sequence[Put], asyncio.Future[list[PutOutcome]]]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.puts) or self.has_more_than_puts

    @property
    def has_more_than_puts(self) -> bool:
        return bool(
            self.settlements
            or self.releases
            or self.health
            or self.gone
            or self.messages
            or self.touched
            or self.jobs
        )

    def before(self, later: "Work") -> "Work":
        """This work, which could not be committed, and what came in since."""
        return Work(
            settlements=self.settlements + later.settlements,
            releases=self.releases + later.releases,
            health=self.health | later.health,
            gone=self.gone | later.gone,
            messages=self.messages + later.messages,
            touched=self.touched | later.touched,
            jobs=self.jobs + later.jobs,
            puts=self.puts + later.puts,
        )
