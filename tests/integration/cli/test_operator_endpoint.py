"""`operator:` of routes.yaml as the commands show it: an endpoint that gets notices, and nothing is missing there."""

import pytest
from support.outbox_builder import OutboxBuilder
from support.shell import ROUTES, Operator

NAMED = ROUTES + (
    'operator: {url: "https://o.example/hook", secret: "env:NOT_IN_THIS_SHELL", events: ["endpoint.*"]}\n'
)


@pytest.fixture
def shell(operator: Operator) -> Operator:
    operator.write_routes(NAMED)
    return operator


def test_routes_show_what_it_gets(shell: Operator) -> None:
    shown = shell.says("routes", "show").splitlines()

    (row,) = [line for line in shown if line.startswith("operator")]
    assert "notices about the service: endpoint.*" in row


def test_no_device_goes_to_it(shell: Operator) -> None:
    assert "operator" not in shell.says("routes", "show", "ECC9FF5C7AD4")


def test_check_misses_no_devices_at_it(shell: Operator) -> None:
    said = shell.says("check", "--routes", "routes.yaml")

    assert "3 endpoints" in said
    assert "get nothing" not in said


def test_it_can_be_paused_like_the_others(shell: Operator, built: OutboxBuilder) -> None:
    assert "operator" in shell.says("endpoints", "pause", "operator")
