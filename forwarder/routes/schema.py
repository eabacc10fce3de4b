"""The JSON Schema of the routing file, for editors that complete and check while people type."""

from typing import Any

from forwarder.notice import OPERATOR
from forwarder.routes.spec import NAME_PATTERN, NOT_FOR_NOTICES, RoutesSpec

_DRAFT = "https://json-schema.org/draft/2020-12/schema"


def routes_schema() -> dict[str, Any]:
    """The schema, in draft 2020-12. `forwarder check` has the rules across several settings, or about other files."""
    schema = RoutesSpec.model_json_schema()
    _simplify(schema)
    for section in ("groups", "endpoints"):
        schema["properties"][section]["propertyNames"] = {"pattern": NAME_PATTERN}
    settings = schema["$defs"]["EndpointSpec"]["properties"]
    for name in NOT_FOR_NOTICES:
        schema["$defs"]["OperatorSpec"]["properties"].pop(name, None)
    schema["properties"]["endpoints"]["propertyNames"]["not"] = {"const": OPERATOR}
    settings["batch"]["anyOf"] = [{"$ref": settings["batch"].pop("$ref")}, {"const": "off"}]
    return {"$schema": _DRAFT, "title": "whatwatt webhook forwarder: routes.yaml", **schema}


def _simplify(schema: Any) -> None:
    """Drop what pydantic adds for Python's sake: titles, nulls and null defaults."""
    if isinstance(schema, list):
        for item in schema:
            _simplify(item)
    if not isinstance(schema, dict):
        return
    if isinstance(schema.get("title"), str):
        del schema["title"]
    if "default" in schema and schema["default"] in (None, {}):
        del schema["default"]
    choices = [choice for choice in schema.get("anyOf", ()) if choice != {"type": "null"}]
    if len(choices) == 1:
        del schema["anyOf"]
        schema.update({**choices[0], **schema})
    elif choices:
        schema["anyOf"] = choices
    for value in schema.values():
        _simplify(value)
