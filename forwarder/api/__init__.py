"""
The API offers the commands as JSON over HTTP, by the same functions of operator/, below `/api/v1`.

    access.py      who may ask: pure       door.py        judges requests; wrong tokens wait
    resources/     the work of each resource
    answers.py     the forms of answers    requests.py    the forms of queries and bodies
    operations.py  one resource as a value, and how a request becomes its call
    openapi.py     the document that describes them (OpenAPI 3.1)

Errors are `application/problem+json` (RFC 9457). Each resource works in a thread with its own connection to the outbox,
as a command beside the service does, so that the line never waits for it.
"""

from forwarder.api.access import Access, Admitted, Denied
from forwarder.api.app import build_api, status_of
from forwarder.api.door import Door
from forwarder.api.operations import PREFIX as API_PREFIX
from forwarder.api.requests import sentences
from forwarder.api.resources.call import Call, Raw, Resources, Situation

__all__ = [
    "API_PREFIX",
    "Access",
    "Admitted",
    "Call",
    "Denied",
    "Door",
    "Raw",
    "Resources",
    "Situation",
    "build_api",
    "sentences",
    "status_of",
]
