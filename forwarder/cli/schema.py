"""`forwarder schema`: JSON Schemas, for editors and receivers, and the document of the API."""

import json
from typing import Any

import click

from forwarder.api.openapi import document, sent_schema
from forwarder.routes.schema import routes_schema
from forwarder.settings import settings_schema

_SCHEMAS = {
    "routes": routes_schema,
    "event": sent_schema,
    "settings": settings_schema,
    "openapi": document,
}


@click.command("schema", short_help="Print a JSON Schema, or the OpenAPI document")
@click.argument("which", type=click.Choice(sorted(_SCHEMAS)))
def command(which: str) -> None:
    """Print the JSON Schema of routes.yaml, of the events receivers get, or of the settings; openapi: of the API."""
    click.echo(schema_text(_SCHEMAS[which]()))


def schema_text(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False)
