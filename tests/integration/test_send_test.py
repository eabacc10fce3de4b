import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from standardwebhooks import Webhook

from forwarder.cli.main import cli
from forwarder.errors import ConfigurationError

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()


class Receiver(HTTPServer):
    """Answers every POST with `status` and `answer`, and keeps what came."""

    status = 204
    answer = b""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Post)
        self.received: list[tuple[str, dict[str, str], bytes]] = []


class Post(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.received.append((self.path, dict(self.headers.items()), body))
        self.send_response(self.server.status)
        self.send_header("content-length", str(len(self.server.answer)))
        self.end_headers()
        self.wfile.write(self.server.answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def send_test(tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> "SendTest":
    monkeypatch.chdir(tmp_path)
    return SendTest(tmp_path / "routes.yaml", receiver.server_port)


class SendTest:
    """Runs the command against an endpoint `acme` at the receiver."""

    def __init__(self, routes: Path, port: int) -> None:
        self._routes = routes
        self._port = port

    def __call__(self, *arguments: str, url: str = "/in", settings: str = "") -> Result:
        target = url if "//" in url else f"http://127.0.0.1:{self._port}{url}"
        self._routes.write_text(
            f'endpoints: {{acme: {{url: "{target}", secret: "{SECRET}", devices: "*",'
            f" allow_private: true{settings}}}}}"
        )
        return CliRunner().invoke(cli, ["send-test", *(arguments or ["acme"])])


def test_a_verified_test_event_arrives(send_test: SendTest, receiver: Receiver) -> None:
    """The receiver gets one signed `webhook.test` event in the form that readings have."""
    assert send_test().exit_code == 0
    ((path, headers, body),) = receiver.received
    event = Webhook(SECRET).verify(body, headers)
    assert (path, event["type"], event["data"]["endpoint"]) == ("/in", "webhook.test", "acme")
    assert (headers["content-type"], headers["webhook-attempt"]) == ("application/json", "1")
    assert headers["webhook-id"] == event["data"]["id"]


def test_the_answer_is_shown(send_test: SendTest, receiver: Receiver) -> None:
    """The status, and the start of what the receiver said; nothing in it reaches the terminal raw."""
    receiver.status, receiver.answer = 202, b"thank\x1b[2Jyou\n"
    shown = send_test().output
    assert shown.startswith("acme answered 202 after ")
    assert "its answer: thank\\x1b[2Jyou\n" in shown


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (401, "compare the endpoint's secret"),
        (404, "check the path in its url"),
        (302, "redirects are not followed"),
        (400, "would make a reading a dead letter"),
        (410, "pause the endpoint"),
        (503, "are tried again"),
    ],
)
def test_a_failure_says_what_to_do(
    send_test: SendTest, receiver: Receiver, status: int, advice: str
) -> None:
    """Anything but a 2xx ends with exit code 1 and a hint."""
    receiver.status = status
    result = send_test()
    assert result.exit_code == 1
    assert f"acme answered {status} " in result.output
    assert advice in result.output


def test_a_receiver_that_is_not_there(send_test: SendTest) -> None:
    """Network errors are named by their word and explained."""
    result = send_test(url="http://127.0.0.1:1/in")
    assert result.exit_code == 1
    assert "acme gave no answer (refused: " in result.output
    assert "nothing listens there" in result.output


def test_programs_get_json(send_test: SendTest, receiver: Receiver) -> None:
    receiver.status, receiver.answer = 403, b"no"
    result = send_test("acme", "--json")
    told: dict[str, Any] = json.loads(result.output)
    assert told.pop("duration_ms") >= 0
    assert told == {
        "endpoint": "acme",
        "ok": False,
        "status": 403,
        "error": "http_403",
        "detail": None,
        "answer": "no",
        "address": "127.0.0.1",
    }


def test_an_unknown_endpoint_is_an_invalid_argument(send_test: SendTest) -> None:
    """The nearest name is told."""
    error = send_test("acne").exception
    assert isinstance(error, ConfigurationError)
    assert error.exit_code == 2
    assert 'did you mean "acme"?' in str(error)


def test_a_url_with_a_device_gets_one_that_no_meter_has(
    send_test: SendTest, receiver: Receiver
) -> None:
    send_test(url="/meters/{device}")
    assert receiver.received[0][0] == "/meters/000000000000"


def test_a_receiver_of_cloudevents_gets_one(send_test: SendTest, receiver: Receiver) -> None:
    """The test event has the endpoint's format."""
    send_test(settings=", format: cloudevents")
    ((_, headers, body),) = receiver.received
    assert headers["content-type"] == "application/cloudevents+json"
    assert json.loads(body)["type"] == "ch.whatwatt.webhook.test"


def test_the_secret_is_not_shown(send_test: SendTest, receiver: Receiver) -> None:
    receiver.status = 401
    assert SECRET not in send_test().output
