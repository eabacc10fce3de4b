"""`forwarder schema`: JSON Schemas, for editors and receivers."""

import json
from typing import Any

import click

from forwarder.normalise.schema import event_schema
from forwarder.routes.schema import routes_schema
from forwarder.settings import settings_schema

_SCHEMAS = {"routes": routes_schema, "event": event_schema, "settings": settings_schema}


@click.command("schema", short_help="Print a JSON Schema: routes, event or settings")
@click.argument("which", type=click.Choice(sorted(_SCHEMAS)))
def command(which: str) -> None:
    """Print the JSON Schema of routes.yaml, of the events receivers get, or of the settings."""
    click.echo(schema_text(_SCHEMAS[which]()))


def schema_text(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False)
