"""The operator's commands on an outbox of their own."""

from pathlib import Path

import pytest
from support.outbox_builder import OutboxBuilder
from support.shell import Operator, operator_in


@pytest.fixture
def operator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Operator:
    monkeypatch.chdir(tmp_path)
    return operator_in(tmp_path)


@pytest.fixture
def built(tmp_path: Path) -> OutboxBuilder:
    return OutboxBuilder(tmp_path / "data" / "outbox.db")
