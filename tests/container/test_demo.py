"""compose.demo.yaml: the whole line with one command."""

import pytest
from support.containers import Project, until

pytestmark = pytest.mark.timeout(300)


def test_demo_shows_verified_readings(demo: Project) -> None:
    """Readings of the simulated devices reach the receiver, which finds their signatures right."""
    receiver = demo.container("receiver")
    demo.have_names_answered()
    until(lambda: receiver.text().count("204 ✓ ") >= 10, otherwise=receiver.last_words)
    assert "✗" not in receiver.text()
