"""`forwarder schema`: JSON Schemas, for editors and receivers."""

import json
from typing import Any

import click

from forwarder.normalise.schema import event_schema
from forwarder.notices import notice_schemas, text_schema
from forwarder.routes.schema import routes_schema
from forwarder.settings import settings_schema


def sent_schema() -> dict[str, Any]:
    """Every body that a receiver is sent: those of endpoints, and those of the operator, by the name of their type."""
    schema = event_schema()
    notices = notice_schemas()
    schema["$defs"] |= notices | {"text": text_schema()}
    schema["anyOf"] += [{"$ref": f"#/$defs/{name}"} for name in (*notices, "text")]
    return schema


_SCHEMAS = {"routes": routes_schema, "event": sent_schema, "settings": settings_schema}


@click.command("schema", short_help="Print a JSON Schema: routes, event or settings")
@click.argument("which", type=click.Choice(sorted(_SCHEMAS)))
def command(which: str) -> None:
    """Print the JSON Schema of routes.yaml, of the events receivers get, or of the settings."""
    click.echo(schema_text(_SCHEMAS[which]()))


def schema_text(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False)
