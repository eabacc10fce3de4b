"""
The document describes the API and every request that receivers get (OpenAPI 3.1, https://spec.openapis.org/oas/v3.1.0).

It is made from the forms and operations, so that it cannot say anything else.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

import forwarder
from forwarder.api.access import SESSION_COOKIE
from forwarder.api.answers import Problem
from forwarder.api.examples import Example, webhook_examples
from forwarder.api.operations import OPERATIONS, PREFIX, Operation, path_parameters
from forwarder.normalise.schema import event_schema
from forwarder.notices import cloudevent_schema, notice_schemas, text_schema

Schema: TypeAlias = dict[str, Any]

_COMPONENTS = "#/components/schemas/"
_WEBHOOKS = {
    "reading": ("meter.reading", "One reading of one device"),
    "readings": ("meter.readings", "Several readings, to an endpoint with a batch"),
    "test": ("webhook.test", "A test event, sent by an operator"),
    "cloudevent": ("cloudevent", "The same as a CloudEvent (format: cloudevents)"),
    "cloudevents": ("cloudevents", "Several CloudEvents, to an endpoint with a batch"),
}
_OF_OPERATOR = {
    "text": ("operator.text", "The same in one sentence (format: text)"),
    "notice_cloudevent": ("operator.cloudevent", "The same as a CloudEvent"),
}
_WEBHOOK_HEADERS = {
    "webhook-id": "the event's id, the same at each attempt",
    "webhook-timestamp": "UNIX seconds of this attempt",
    "webhook-signature": "Standard Webhooks 1.0.0: `v1,…` for each key, with a space between",
    "webhook-attempt": "1 for the first attempt",
}


def document() -> Schema:
    """The whole document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "whatwatt webhook forwarder",
            "version": forwarder.__version__,
            "description": "What the commands do, as JSON. Every error is a problem (RFC 9457).",
            "license": {"name": "Apache 2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": PREFIX}],
        "security": [{"bearer": []}, {"session": []}, {}],
        "paths": dict(_paths()),
        "webhooks": dict(_webhooks()),
        "components": {
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "FORWARDER_ADMIN_TOKEN; without one the API answers on loopback only",
                },
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": SESSION_COOKIE,
                    "description": "of a browser that has signed in at the page; a change tells its Origin",
                },
            },
            "responses": {"Problem": _problem()},
            "schemas": _schemas(),
        },
    }


def sent_schema() -> Schema:
    """The schema of every body that goes to a receiver, also to the operator's, by the name of its type."""
    schema = event_schema()
    notices = notice_schemas() | {
        "notice_cloudevent": cloudevent_schema(),
        "text": text_schema(),
    }
    schema["$defs"] |= notices
    schema["anyOf"] += [{"$ref": f"#/$defs/{name}"} for name in notices]
    return schema


def _paths() -> Iterator[tuple[str, Schema]]:
    paths: dict[str, Schema] = {}
    for one in OPERATIONS:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one)
    yield from paths.items()


def _operation(one: Operation) -> Schema:
    described: Schema = {
        "operationId": one.name,
        "summary": one.summary,
        "parameters": [*_in_path(one), *_in_query(one.query)],
        "responses": {
            "200": {"description": one.summary, "content": _content(one.answer)},
            "default": {"$ref": "#/components/responses/Problem"},
        },
    }
    if one.body == "bytes":
        described["requestBody"] = {
            "required": True,
            "content": {"application/octet-stream": {"schema": {}}},
        }
    elif one.body != "none":
        described["requestBody"] = {"required": True, "content": _content(one.body)}
    return described


def _content(answer: type[BaseModel] | str) -> Schema:
    if isinstance(answer, str):
        return {answer: {"schema": {}}}
    return {"application/json": {"schema": {"$ref": _COMPONENTS + _name(answer)}}}


def _in_path(one: Operation) -> Iterator[Schema]:
    for name, meaning in path_parameters(one).items():
        yield {
            "name": name, "in": "path", "required": True, "description": meaning,
            "schema": {"type": "string"},
        }  # fmt: skip


def _in_query(form: type[BaseModel]) -> Iterator[Schema]:
    properties = form.model_json_schema(ref_template=_COMPONENTS + "{model}").get("properties", {})
    for name, schema in properties.items():
        yield {"name": name, "in": "query", "required": False, "schema": _without_null(schema)}


def _without_null(schema: Schema) -> Schema:
    """The schema without null, because a parameter is there or it is not."""
    kinds = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
    kept = {key: value for key, value in schema.items() if key not in ("anyOf", "default")}
    if schema.get("default") is not None:
        kept["default"] = schema["default"]
    return {**kinds[0], **kept} if len(kinds) == 1 else schema


def _problem() -> Schema:
    schema = {"$ref": f"{_COMPONENTS}Problem"}
    return {
        "description": "what went wrong, in a sentence",
        "content": {"application/problem+json": {"schema": schema}},
    }


def _webhooks() -> Iterator[tuple[str, Schema]]:
    examples = webhook_examples()
    for key, (name, summary) in _WEBHOOKS.items():
        yield name, _webhook(key, summary, examples[key])
    for name in notice_schemas():
        told = "To the operator's endpoint, about the service itself"
        yield name, _webhook(name, told, examples[name])
    for key, (name, summary) in _OF_OPERATOR.items():
        yield name, _webhook(key, summary, examples[key])


def _webhook(key: str, summary: str, example: Example) -> Schema:
    headers = [
        {
            "name": name,
            "in": "header",
            "required": True,
            "description": meaning,
            "schema": {"type": "string"},
        }
        for name, meaning in _WEBHOOK_HEADERS.items()
    ]
    return {
        "post": {
            "summary": summary,
            "parameters": headers,
            "security": [],
            "requestBody": {
                "required": True,
                "content": {
                    example.content_type: {
                        "schema": {"$ref": f"{_COMPONENTS}event_{key}"},
                        "example": example.body,
                    }
                },
            },
            "responses": {
                "2XX": {"description": "taken"},
                "default": {"description": "see docs/delivery.md for what each status means"},
            },
        }
    }


def _schemas() -> Schema:
    forms = {one.answer for one in OPERATIONS} | {one.body for one in OPERATIONS} | {Problem}
    models = sorted((one for one in forms if not isinstance(one, str)), key=_name)
    _, schema = models_json_schema(
        [(one, "validation") for one in models], ref_template=_COMPONENTS + "{model}"
    )
    return {**schema["$defs"], **_events()}


def _events() -> Mapping[str, Any]:
    """The schemas of receivers' bodies, with references into this document."""
    text = json.dumps(sent_schema()["$defs"]).replace("#/$defs/", f"{_COMPONENTS}event_")
    return {f"event_{name}": schema for name, schema in json.loads(text).items()}


def _name(form: type[BaseModel]) -> str:
    """A form's name as pydantic writes it: `Page[Delivery]` is `Page_Delivery_`."""
    return form.__name__.replace("[", "_").replace("]", "_")
