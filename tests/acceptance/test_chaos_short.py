"""The short form of the chaos suite: the faults that are most worth having at every change."""

from pathlib import Path

import pytest

from chaos.run import play
from chaos.scenarios import SCENARIOS, Scenario

# Longer than the suite's own patience, which says what did not happen.
pytestmark = pytest.mark.timeout(300)
SHORT = [pytest.param(one, id=one.name) for one in SCENARIOS if one.is_short]


@pytest.mark.parametrize("scenario", SHORT)
async def test_every_reading_is_accounted_for(scenario: Scenario, tmp_path: Path) -> None:
    """Whatever is done to the line, what the broker has acknowledged arrives, in order, under one id."""
    result = await play(scenario, tmp_path / "stage", seed="1", is_short=True)
    if result.skipped is not None:
        pytest.skip(result.skipped)
    assert result.findings == ()
