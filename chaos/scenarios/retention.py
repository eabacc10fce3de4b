"""What is delivered is forgotten in its time, and the file gives its room back."""

from chaos.receiver import accepting, down
from chaos.scenarios.scenario import Scenario
from chaos.stage import Stage

PADDING = "·" * 1000
MOST_LOG_BYTES = 24 << 20
"""SQLite carries the log over at 4,000 pages, 16 MB; a commit of many messages may come on top."""
MOST_LEFT = 0.25
"""Of the file at its largest."""


async def shrink(stage: Stage) -> None:
    """The file grows while nobody takes readings; once they are delivered and forgotten it shrinks again."""
    stage.forwarder.settings["FORWARDER_KEEP_DELIVERED"] = "1s"
    outbox = stage.forwarder.outbox
    log = outbox.with_name(outbox.name + "-wal")
    await stage.forwarder.start_ready()
    for receiver in stage.receivers.values():
        receiver.policy = down
    largest_log = 0
    for _ in range(20):
        await stage.devices.publish_and_wait(100, padding=PADDING)
        largest_log = max(largest_log, log.stat().st_size)
    await stage.until_status(lambda status: status["messages"]["accepted"] >= 2000)
    largest = outbox.stat().st_size
    for receiver in stage.receivers.values():
        receiver.policy = accepting
    stage.inject("retention")
    # Nothing is published meanwhile: the room comes back without new traffic.
    await stage.until(
        lambda: outbox.stat().st_size < MOST_LEFT * largest, what="the shrinking of the outbox"
    )
    largest_log = max(largest_log, log.stat().st_size)
    stage.notes.append(
        f"file {largest >> 10} → {outbox.stat().st_size >> 10} KiB, log at most {largest_log >> 10} KiB"
    )
    if largest_log <= MOST_LOG_BYTES:
        stage.hit("retention")


SCENARIOS = (
    Scenario(
        "retention", "2,000 large readings delivered and forgotten", shrink, engines=("sqlite",)
    ),
)
