import sys

import pytest

from forwarder.cli.demo import command
from forwarder.demo.listener import Listener
from forwarder.errors import OperationError


def test_demo_without_its_packages_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """A deployment has no broker and no verifier: one sentence, no traceback."""
    for module in ("forwarder.demo.stage", "forwarder.demo.broker"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, "amqtt", None)
    monkeypatch.setitem(sys.modules, "amqtt.adapters", None)
    with pytest.raises(OperationError, match=r"whatwatt-forwarder\[demo\]"):
        command.main([], standalone_mode=False)


def test_listener_without_the_verifier_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A secret that cannot be used must not pass for a verified signature."""
    monkeypatch.setitem(sys.modules, "standardwebhooks.webhooks", None)
    with pytest.raises(OperationError, match="demo"):
        Listener(secrets=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])
