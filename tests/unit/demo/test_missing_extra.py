import sys

import pytest

from forwarder.cli.demo import command
from forwarder.errors import OperationError


def test_demo_without_its_packages_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """A deployment has no broker: one sentence, no traceback."""
    for module in ("forwarder.demo.stage", "forwarder.demo.broker"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, "amqtt", None)
    monkeypatch.setitem(sys.modules, "amqtt.adapters", None)
    with pytest.raises(OperationError, match=r"make demo.*\[demo\]"):
        command.main([], standalone_mode=False)
