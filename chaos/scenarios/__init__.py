"""What is done to a stage, one function a scenario, in modules by what is at fault."""

from chaos.scenarios import (
    broker,
    damage,
    database,
    disk,
    process,
    receivers,
    replicas,
    retention,
    silence,
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
    *replicas.SCENARIOS,
    *database.SCENARIOS,
    *silence.SCENARIOS,
)

__all__ = ["SCENARIOS", "Scenario"]
