"""Endpoints that an operator pauses, and lets go on."""

from forwarder.operator.audit import Actor, audited
from forwarder.outbox import OutboxAccess, Pause, Resume


def pause(outbox: OutboxAccess, endpoint: str, *, actor: Actor, now: float) -> bool:
    """Send nothing more to the endpoint; False when it was paused already."""
    return _change(outbox, Pause(endpoint), actor, now)


def resume(outbox: OutboxAccess, endpoint: str, *, actor: Actor, now: float) -> bool:
    """Let the endpoint go on, also after a 410; False when it was not paused."""
    return _change(outbox, Resume(endpoint), actor, now)


def _change(outbox: OutboxAccess, operation: Pause | Resume, actor: Actor, now: float) -> bool:
    what = type(operation).__name__.lower()
    with audited(outbox, actor, what, meant=1, endpoint=operation.endpoint, now=now) as change:
        (changed,) = outbox.operate(operation)
        change.count = int(changed)
    return changed
