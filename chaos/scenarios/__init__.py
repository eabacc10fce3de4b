"""What is done to a stage, one function a scenario, in modules by what is at fault."""

from chaos.scenarios import (
    broker,
    damage,
    database,
    database_room,
    disk,
    partition,
    process,
    receivers,
    replicas,
    retention,
    silence,
    takeover,
    time,
)
from chaos.scenarios.scenario import Scenario

SCENARIOS: tuple[Scenario, ...] = (
    *process.SCENARIOS,
    *broker.SCENARIOS,
    *receivers.SCENARIOS,
    *disk.SCENARIOS,
    *damage.SCENARIOS,
    *time.SCENARIOS,
    *retention.SCENARIOS,
    *takeover.SCENARIOS,
    *partition.SCENARIOS,
    *replicas.SCENARIOS,
    *database.SCENARIOS,
    *database_room.SCENARIOS,
    *silence.SCENARIOS,
)

__all__ = ["SCENARIOS", "Scenario"]
