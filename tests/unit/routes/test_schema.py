"""The JSON Schema for editors: current, valid, and of one mind with the program about good and bad files."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from support.routing import endpoint_with

from forwarder.cli.schema import schema_text
from forwarder.routes.schema import routes_schema
from forwarder.routes.spec import EndpointSpec

ROOT = Path(__file__).parents[3]
GOOD = [
    "devices: [ECC9FF5C7AD4, 123456789012, 00:11:22:33:44:55]",
    "secret: [env:KEY, file:/run/secrets/key]",
    "batch: {max_events: 100, max_wait: 2s}",
    'batch: "off"',
    "rate_limit: 20/s",
    "auth: {bearer: env:TOKEN}",
    "auth: {basic: {username: u, password: env:P}}",
    "fields: [active_power_*, meter.id]",
    "max_concurrency: 4",
    "success: [2xx, 302]",
    "success: 302",
    "auth: {oauth2: {token_url: https://t.example, client_id: a, client_secret: env:B}}",
    "min_interval: 5m",
    "min_interval: {every: 5m, keep: first}",
    "min_interval: {every: 5m, keep: last}",
    "format: template\n    template: file:slack.json",
    "escape: influx",
    "refused: []",
    "silent_after: 3x",
    "silent_after: 10m",
    'silent_after: "off"',
    "paused: true",
]
BAD = [
    "timeuot: 3s",
    "timeout: 10",
    "mode: newest",
    "devices: ECC9FF5C7AD4",
    "secret: hunter2",
    "batch: {max_events: 5000}",
    "rate_limit: fast",
    "max_concurrency: 0",
    "auth: {oauth2: {}}",
    "fields: []",
    "success: [OK]",
    "min_interval: {keep: first}",
    "escape: html",
    "silent_after: x3",
]


def errors_in(text: str) -> list[Any]:
    return list(Draft202012Validator(routes_schema()).iter_errors(yaml.safe_load(text)))


def test_committed_schema_is_current() -> None:
    """`forwarder schema routes > routes.schema.json` brings it up to date."""
    assert (ROOT / "routes.schema.json").read_text() == schema_text(routes_schema()) + "\n"


def test_schema_is_sound() -> None:
    Draft202012Validator.check_schema(routes_schema())


def test_example_asks_editors_for_the_schema() -> None:
    """The first line is what the YAML language server looks for."""
    first = (ROOT / "routes.yaml").read_text().splitlines()[0]

    assert first == "# yaml-language-server: $schema=routes.schema.json"


@pytest.mark.parametrize("setting", GOOD)
def test_good_setting_pleases_the_editor(setting: str) -> None:
    assert errors_in(endpoint_with(setting)) == []


OPERATOR = """\
operator:
  url: https://o.example/
  secret: env:KEY
"""


def test_operator_pleases_the_editor() -> None:
    assert errors_in(endpoint_with() + OPERATOR) == []
    assert errors_in(endpoint_with() + OPERATOR + "  format: text\n  events: ['stream.*']\n") == []


@pytest.mark.parametrize("setting", ["devices: '*'", "mode: latest", "format: txt", "events: []"])
def test_what_an_operator_lacks_is_underlined_by_the_editor(setting: str) -> None:
    assert errors_in(endpoint_with() + OPERATOR + f"  {setting}\n")


def test_reserved_name_is_underlined_by_the_editor() -> None:
    assert errors_in(endpoint_with().replace("acme", "operator"))


@pytest.mark.parametrize("setting", BAD)
def test_bad_setting_is_underlined_by_the_editor(setting: str) -> None:
    assert errors_in(endpoint_with(setting))


def test_every_setting_is_explained_to_the_editor() -> None:
    """Each setting has a description, and a default where it has one."""
    shown = routes_schema()["$defs"]["EndpointSpec"]["properties"]

    assert shown.keys() == EndpointSpec.model_fields.keys()
    assert all(setting["description"] for setting in shown.values())
    assert (shown["timeout"]["default"], shown["batch"]["default"]) == ("10s", "off")


def test_schema_is_printed_as_json() -> None:
    assert json.loads(schema_text(routes_schema())) == routes_schema()
