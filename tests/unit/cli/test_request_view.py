"""What `forwarder listen` writes of a request."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.terminal import HOSTILE

from forwarder.cli.request_view import as_json, body_lines, json_text, line
from forwarder.demo.listener import Received, readings_in
from forwarder.signing import Verdict

ID = "msg_0123456789abcdef0123456789abcdef"


def received(
    body: bytes = b"",
    *,
    verdict: Verdict | None = "verified",
    webhook_id: str = ID,
    attempt: int = 1,
) -> Received:
    return Received(
        order=1,
        received_at=datetime(2025, 11, 18, tzinfo=UTC),
        webhook_id=webhook_id,
        attempt=attempt,
        verdict=verdict,
        readings=readings_in(body),
        body=body,
        path="/",
        headers={"webhook-id": webhook_id, "authorization": "Bearer x"},
        status=204,
    )


def data(measurements: dict[str, float], device: str = "ECC9FF5C001A") -> dict[str, object]:
    return {"id": "msg_1", "device": device, "measurements": measurements}


@pytest.mark.parametrize(
    ("document", "shown"),
    [
        ({"data": data({"active_power_import_kw": 1.837})}, "ECC9FF5C001A  draws 1.837 kW"),
        ({"data": data({"active_power_export_kw": 14.305})}, "ECC9FF5C001A  feeds in 14.305 kW"),
        ({"data": [data({}), data({}, "B")]}, "2 readings of 2 devices"),
        ([{"data": data({})}, {"data": data({})}], "2 readings of 1 device"),
        ({"data": {"id": "test_1", "message": "It works."}}, "a test event"),
        ("text", "6 bytes, no webhook of ours"),
    ],
)
def test_a_usual_request_fits_80_columns_with_its_whole_id(document: object, shown: str) -> None:
    """Whoever looks an id up needs all of it."""
    written = line(received(json.dumps(document).encode())).plain
    assert written.startswith(f"204 ✓ {shown}")
    assert written.endswith(ID)
    assert len(written) <= 80


def test_what_is_not_as_usual_follows() -> None:
    assert line(received(verdict=None, attempt=3)).plain.endswith("not verified  attempt 3")
    assert "✗" in line(received(verdict="too_old")).plain
    assert line(received(verdict="too_old")).plain.endswith("a clock that is wrong")


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_everything_shown_is_letters(text: str) -> None:
    body = json.dumps({"data": {"device": text}}, ensure_ascii=False).encode(errors="replace")
    hostile = received(body, webhook_id=text)
    for shown in (line(hostile).plain, as_json(hostile), *body_lines(body), *body_lines(body[1:])):
        assert shown.isprintable()


@given(
    st.recursive(st.none() | st.text() | st.floats(allow_nan=False, allow_infinity=False), st.lists)
)
def test_json_of_any_form_is_one_line_that_means_the_same(value: object) -> None:
    """Indented by a sender or not."""
    text = json_text(json.dumps(value, indent=1, ensure_ascii=False).encode(errors="replace"))
    assert text is not None
    assert "\n" not in text
    assert json.loads(text) == json.loads(json.dumps(value).encode())


@pytest.mark.parametrize(
    "body", [b"", b"NaN", b"[-Infinity]", b"{", b"\xff", b"[" * 100_000, b"9" * 10_000]
)
def test_what_is_no_json_is_kept_as_bytes(body: bytes) -> None:
    told = json.loads(as_json(received(body)))
    assert told["body"] is None
    assert ("body_base64" in told) is bool(body)
    assert all(map(str.isprintable, body_lines(body)))


def test_nested_deeper_than_it_can_be_indented_is_shown_as_it_is() -> None:
    body = b"[" * 900 + b"]" * 900
    assert "".join(body_lines(body)).replace(" ", "") == body.decode()


def test_only_headers_of_webhooks_are_told() -> None:
    assert json.loads(as_json(received()))["headers"] == {"webhook-id": ID}
