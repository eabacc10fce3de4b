"""The document holds, whatever is asked: requests made from it, and against it, at the real application."""

from collections.abc import Callable
from typing import Any

import httpx
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from openapi_spec_validator import validate
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import response_schema_conformance
from support.outbox_builder import OutboxBuilder

from forwarder.api import API_PREFIX
from forwarder.api.openapi import document
from forwarder.api.operations import OPERATIONS

REQUESTS = 10
"""Of each operation, valid ones and invalid ones."""
CHECKS = [not_a_server_error, response_schema_conformance]
FUZZED = settings(
    max_examples=REQUESTS,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def test_the_document_is_an_openapi_document() -> None:
    """As the specification of OpenAPI 3.1 has it."""
    validate(document())


def test_every_answer_is_as_described(
    open_api: Callable[..., httpx.AsyncClient], built: OutboxBuilder
) -> None:
    """No request, well-formed or not, is answered by an error of ours, or by what the document does not say."""
    built.delivery("acme", "dead")
    built.delivery("home", "pending")
    built.quarantine()
    transport = open_api()._transport
    assert isinstance(transport, httpx.ASGITransport)
    schema = schemathesis.openapi.from_dict(document())
    schema.app = transport.app
    operations = [one.ok() for one in schema.get_all_operations() if isinstance(one, Ok)]
    assert len(operations) == len(OPERATIONS)
    answered = {status for operation in operations for status in _fuzz(operation)}
    assert answered >= {200, 400, 404}


def _fuzz(operation: Any) -> set[int]:
    """The statuses that it was answered with."""
    answered = set()
    modes = schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE

    @FUZZED
    @given(case=st.one_of(*(operation.as_strategy(generation_mode=mode) for mode in modes)))
    def ask(case: Any) -> None:
        answer = case.call(base_url=f"http://localhost{API_PREFIX}")
        answered.add(answer.status_code)
        case.validate_response(answer, checks=CHECKS)

    ask()
    return answered
