"""What only an outbox that is a file owes."""

from pathlib import Path

import pytest


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "outbox.sqlite"
