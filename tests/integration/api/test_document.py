"""The document that describes the API."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from forwarder.api.openapi import document
from forwarder.api.operations import OPERATIONS

COMMITTED = Path(__file__).parents[3] / "openapi.json"


def references(value: object) -> set[str]:
    match value:
        case {"$ref": str(target)}:
            return {target}
        case dict():
            return set().union(*map(references, value.values()))
        case list():
            return set().union(*map(references, value))
        case _:
            return set()


def resolved(target: str, whole: dict[str, Any]) -> object:
    found: Any = whole
    for part in target.removeprefix("#/").split("/"):
        found = found[part]
    return found


def test_every_reference_leads_somewhere() -> None:
    """No schema is named that the document does not have."""
    whole = document()
    for target in references(whole):
        assert resolved(target, whole)


def test_every_schema_is_one() -> None:
    """Each is a JSON Schema of 2020-12, as OpenAPI 3.1 has them."""
    for schema in document()["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("name", document()["webhooks"])
def test_every_request_that_receivers_get_has_an_example(name: str) -> None:
    """It is as the schema beside it says."""
    whole = document()
    (content,) = whole["webhooks"][name]["post"]["requestBody"]["content"].values()
    assert content["example"]
    Draft202012Validator({**whole, **content["schema"]}).validate(content["example"])


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("meter.readings", "application/json"),
        ("cloudevent", "application/cloudevents+json"),
        ("cloudevents", "application/cloudevents-batch+json"),
        ("operator.text", "application/json"),
        ("operator.cloudevent", "application/cloudevents+json"),
    ],
)
def test_requests_are_described_with_the_type_that_they_are_sent_with(
    name: str, content_type: str
) -> None:
    """A receiver's tools choose the parser by it."""
    (found,) = document()["webhooks"][name]["post"]["requestBody"]["content"]
    assert found.partition(";")[0] == content_type


def test_every_operation_is_described_once() -> None:
    """Paths, methods and names are those of the operations, and names are unique."""
    paths = document()["paths"]
    described = {
        (path, method.upper(), one["operationId"])
        for path, methods in paths.items()
        for method, one in methods.items()
    }
    assert described == {(one.path, one.method, one.name) for one in OPERATIONS}
    assert len({name for _, _, name in described}) == len(OPERATIONS)


def test_the_committed_document_is_todays() -> None:
    """`openapi.json` is what is served; `forwarder schema openapi > openapi.json` brings it up to date."""
    assert json.loads(COMMITTED.read_text()) == document()


async def test_it_is_served(api: httpx.AsyncClient) -> None:
    """The API serves its own description."""
    assert (await api.get("/openapi.json")).json() == document()
