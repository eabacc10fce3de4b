"""The progress of the demo's story: its steps, the remarks at each, and the time."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from forwarder.clock import Clock

StepName = Literal["flow", "outage", "recovery", "refusal", "replay", "drain"]

STEPS: dict[StepName, str] = {
    "flow": "readings flow to the endpoints that routes.yaml names",
    "outage": "acme answers 503: its readings wait, no other endpoint does",
    "recovery": "acme works again: its backlog flows, in order per device",
    "refusal": "archive refuses one reading with 400: it becomes a dead letter",
    "replay": "an operator replays the dead letter",
    "drain": "the devices stop, and what still waits is delivered",
}


@dataclass(frozen=True, slots=True)
class Remark:
    """One line of the story."""

    step: StepName
    at_seconds: float
    words: str


@dataclass(slots=True)
class Progress:
    """The story so far. `remarks` holds the own words of each begun step, and the remarks on it."""

    clock: Clock
    seconds: float
    """The time for which the devices publish."""
    begun_at: float = 0.0
    current: StepName | None = None
    done: list[StepName] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)
    pending: Mapping[str, int] = field(default_factory=dict)
    """Deliveries that wait in the forwarder's outbox, by endpoint."""
    dead: Mapping[str, int] = field(default_factory=dict)
    """Dead letters, by endpoint."""

    def start(self) -> None:
        self.begun_at = self.clock.monotonic()

    @property
    def elapsed_seconds(self) -> float:
        return self.clock.monotonic() - self.begun_at

    def begin(self, step: StepName) -> None:
        self.finish()
        self.current = step
        self.remark(STEPS[step])

    def finish(self) -> None:
        """End the present step."""
        if self.current is not None:
            self.done.append(self.current)
            self.current = None

    def remark(self, words: str) -> None:
        step = self.current or self.done[-1]
        self.remarks.append(Remark(step, self.elapsed_seconds, words))
