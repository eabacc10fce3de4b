"""What a scenario is, and what it must have seen not to be too quiet."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from chaos.stage import Stage

ENGINES = ("sqlite", "postgresql")

S = TypeVar("S", bound=Stage)


@dataclass(frozen=True)
class Scenario:
    """One kind of fault, put into a line of its own."""

    name: str
    what: str
    """A clause for people."""
    play: Callable[[Stage], Awaitable[None]]
    """Starts the forwarder, injects; healing and judging are done for it."""
    stage: type[Stage] = Stage
    """Where it is played."""
    is_short: bool = False
    """Whether it belongs to the short form."""
    has_persistence: bool = True
    """Whether the broker keeps its sessions on disk."""
    needs_retries: bool = True
    """Too quiet without an attempt that failed and was made again."""
    needs_redelivery: bool = False
    """Too quiet unless the broker sent something again that the outbox already held."""
    may_tell: tuple[str, ...] = ()
    """Operator events that it may bring about, beside those of endpoints, dead letters and the stream."""
    engines: tuple[str, ...] = ENGINES
    """Where the outbox is, that it has something to say about."""
    must_lose: bool = False
    """A control: the fault does what it should only if readings are lost."""


def played_on(
    kind: type[S], play: Callable[[S], Awaitable[None]]
) -> Callable[[Stage], Awaitable[None]]:
    """A play that needs more than any stage has."""

    async def played(stage: Stage) -> None:
        if not isinstance(stage, kind):
            raise TypeError(f"it is played on a {kind.__name__}")
        await play(stage)

    return played


def on_replicas(
    kind: type[S],
    name: str,
    what: str,
    play: Callable[[S], Awaitable[None]],
    *,
    needs_retries: bool = True,
    needs_redelivery: bool = False,
    may_tell: tuple[str, ...] = (),
    must_lose: bool = False,
) -> Scenario:
    """One of a line whose outbox is in a database."""
    return Scenario(
        name,
        what,
        played_on(kind, play),
        stage=kind,
        engines=("postgresql",),
        needs_retries=needs_retries,
        needs_redelivery=needs_redelivery,
        may_tell=may_tell,
        must_lose=must_lose,
    )
