"""The document that describes the API."""

import json
from pathlib import Path
from typing import Any

import httpx
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
