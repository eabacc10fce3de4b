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
from support.token_server import CLIENT_ID, CLIENT_SECRET, TokenServer, serving_tokens

from forwarder.cli.main import cli
from forwarder.errors import ConfigurationError, ForwarderError

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

    def __call__(
        self, *arguments: str, url: str = "/in", settings: str = "", operator: str = ""
    ) -> Result:
        target = url if "//" in url else f"http://127.0.0.1:{self._port}{url}"
        self._routes.write_text(
            f'endpoints: {{acme: {{url: "{target}", secret: "{SECRET}", devices: "*",'
            f" allow_private: true{settings}}}}}\n{operator}"
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


@pytest.mark.parametrize("form", ["standard", "text", "cloudevents"])
def test_operator_can_be_tried(send_test: SendTest, receiver: Receiver, form: str) -> None:
    """Whoever is to be told is sent one test event, signed and in the form of its notices."""
    url = f"http://127.0.0.1:{receiver.server_port}/ops"
    operator = (
        f'operator: {{url: "{url}", secret: "{SECRET}", format: {form}, allow_private: true}}'
    )
    assert send_test("operator", operator=operator).exit_code == 0
    ((path, headers, body),) = receiver.received
    event = Webhook(SECRET).verify(body, headers)
    assert path == "/ops"
    assert "It works." in json.dumps(event)
    assert (form == "text") == (event.keys() == {"text"})


def test_operator_is_sent_no_readings(send_test: SendTest, receiver: Receiver) -> None:
    operator = f'operator: {{url: "https://o.example", secret: "{SECRET}"}}'
    result = send_test("operator", "--event", "reading", operator=operator)
    assert isinstance(result.exception, ConfigurationError)
    assert "is sent no readings" in str(result.exception)
    assert isinstance(send_test("acme", "--format", "text").exception, ConfigurationError)
    assert receiver.received == []


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


def test_a_template_writes_what_is_sent(send_test: SendTest, receiver: Receiver) -> None:
    """The body is the template's, and the signature is that of these bytes."""
    settings = ", format: template, template: '${device},${active_power_import_kw}', escape: csv"
    result = send_test("acme", "--event", "reading", settings=settings)
    assert result.exit_code == 0
    ((_, headers, body),) = receiver.received
    device, power = body.decode().split(",")
    assert len(device) == 12
    assert float(power) >= 0
    assert headers["content-type"] == "text/csv; charset=utf-8"


def test_a_template_that_has_nothing_to_say_of_a_test(send_test: SendTest) -> None:
    """It says so, and what to send instead."""
    settings = ", format: template, template: '${active_power_import_kw}'"
    result = send_test(settings=settings)
    assert isinstance(result.exception, ForwarderError)
    assert "send a sample: --event reading" in str(result.exception)


def test_a_receiver_that_is_not_there(send_test: SendTest) -> None:
    """Network errors are named by their word and explained."""
    result = send_test(url="http://127.0.0.1:1/in")
    assert result.exit_code == 1
    assert "acme gave no answer (connect_refused: " in result.output
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


def send(*arguments: str) -> Result:
    """The command in a folder without settings and routes."""
    return CliRunner(env={"ACME_SECRET": SECRET}).invoke(cli, ["send-test", *arguments])


@pytest.fixture
def to_url(receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The arguments that send to the receiver without naming an endpoint."""
    monkeypatch.chdir(tmp_path)
    url = f"http://127.0.0.1:{receiver.server_port}/in?token=hidden"
    return ["--url", url, "--secret", "env:ACME_SECRET"]


def verified(receiver: Receiver) -> list[Any]:
    """The events that came, each judged by the public library."""
    return [Webhook(SECRET).verify(body, headers) for _, headers, body in receiver.received]


def test_a_url_needs_no_settings(to_url: list[str], receiver: Receiver) -> None:
    """A developer of a receiver has neither broker nor routes; loopback is where they work."""
    result = send(*to_url)
    assert (result.exit_code, len(receiver.received)) == (0, 1)
    assert result.output.startswith(f"http://127.0.0.1:{receiver.server_port} answered 204 after ")
    assert "hidden" not in result.output
    assert receiver.received[0][0] == "/in?token=hidden"
    assert verified(receiver)[0]["type"] == "webhook.test"


def test_a_reading_is_like_a_device_s(to_url: list[str], receiver: Receiver) -> None:
    """All parts of an event of a real meter, of a device that nobody has."""
    assert send(*to_url, "--event", "reading").exit_code == 0
    (event,) = verified(receiver)
    data = event["data"]
    assert (event["type"], data["device"], data["time_source"]) == (
        "meter.reading",
        "EEC9FF5C001A",
        "utc",
    )
    assert data["measurements"].keys() >= {"active_power_import_kw", "voltage_l1_v"}
    assert data.keys() >= {"meter", "system", "tariff", "received_at"}
    assert receiver.received[0][1]["webhook-id"] == data["id"]


def test_readings_are_a_batch(to_url: list[str], receiver: Receiver) -> None:
    assert send(*to_url, "--event", "readings").exit_code == 0
    (event,) = verified(receiver)
    assert (event["type"], len({one["id"] for one in event["data"]})) == ("meter.readings", 3)
    assert receiver.received[0][1]["webhook-id"].startswith("batch_")


@pytest.mark.parametrize(
    ("event", "content_type", "types"),
    [
        ("test", "application/cloudevents+json", ["ch.whatwatt.webhook.test"]),
        ("reading", "application/cloudevents+json", ["ch.whatwatt.meter.reading"]),
        ("readings", "application/cloudevents-batch+json", ["ch.whatwatt.meter.reading"] * 3),
    ],
)
def test_cloudevents_on_demand(
    to_url: list[str], receiver: Receiver, event: str, content_type: str, types: list[str]
) -> None:
    assert send(*to_url, "--event", event, "--format", "cloudevents").exit_code == 0
    (came,) = verified(receiver)
    assert receiver.received[0][1]["content-type"] == content_type
    assert [one["type"] for one in (came if isinstance(came, list) else [came])] == types


@pytest.mark.parametrize("event", ["test", "reading", "readings"])
def test_each_of_several_has_an_id_of_its_own(
    to_url: list[str], receiver: Receiver, event: str
) -> None:
    """Also over two calls within a second: none may be taken for a repeat."""
    for _ in range(2):
        assert send(*to_url, "--event", event, "--count", "4").exit_code == 0
    assert len({headers["webhook-id"] for _, headers, _ in receiver.received}) == 8


def test_several_are_summed_up(to_url: list[str], receiver: Receiver) -> None:
    assert f":{receiver.server_port} took 4 of 4, after " in send(*to_url, "--count", "4").output
    receiver.status = 401
    refused = send(*to_url, "--count", "4")
    assert refused.exit_code == 1
    assert "took 0 of 4" in refused.output
    assert "4 times it answered 401: compare the --secret" in refused.output
    told = json.loads(send(*to_url, "--count", "2", "--json").output)
    assert (told["ok"], told["count"], told["accepted"], told["outcomes"]) == (
        False,
        2,
        0,
        {"http_401": 2},
    )


def test_an_endpoint_gets_a_reading_by_its_own_rules(
    send_test: SendTest, receiver: Receiver
) -> None:
    """Its batch, its format and its fields hold; a device that no customer has stands in its URL."""
    settings = ", batch: {max_events: 2, max_wait: 1s}, fields: [active_power_*]"
    for event in ("reading", "readings"):
        assert (
            send_test("acme", "--event", event, url="/{device}", settings=settings).exit_code == 0
        )
    one, two = verified(receiver)
    assert [one["type"], len(one["data"]), len(two["data"])] == ["meter.readings", 1, 2]
    assert all(name.startswith("active_power") for name in one["data"][0]["measurements"])
    assert "meter" not in one["data"][0]
    assert receiver.received[0][0] == "/EEC9FF5C001A"


def test_two_secrets_sign_as_during_a_rotation(to_url: list[str], receiver: Receiver) -> None:
    other = "whsec_" + base64.b64encode(b"o" * 32).decode()
    assert send(*to_url, "--secret", other).exit_code == 0
    ((_, headers, body),) = receiver.received
    for secret in (SECRET, other):
        assert Webhook(secret).verify(body, headers)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "name either an ENDPOINT of routes.yaml or a --url"),
        (["acme", "--url", "http://localhost"], "name either an ENDPOINT of routes.yaml or a --url"),
        (["acme", "--secret", SECRET], "--secret goes with --url"),
        (["--url", "http://localhost"], "--url needs the --secret that its receiver knows"),
        (["--url", "http://localhost", "--secret", "env:NONE"], '--secret: the environment variable "NONE"'),
        (["--url", "localhost", "--secret", SECRET], "--url: expected https://host/path"),
        (["--url", "http://169.254.169.254/", "--secret", SECRET], "--url: 169.254.169.254 is a link-local,"),
    ],
)  # fmt: skip
def test_arguments_that_do_not_go_together_are_one_sentence(
    arguments: list[str], why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    error = send(*arguments).exception
    assert isinstance(error, ConfigurationError)
    assert str(error).startswith(why)
    assert SECRET not in str(error)


@pytest.fixture
def tokens() -> Iterator[TokenServer]:
    with serving_tokens() as server:
        yield server


def oauth2(token_url: str, secret: str = CLIENT_SECRET) -> str:
    auth = f'token_url: "{token_url}", client_id: "{CLIENT_ID}", client_secret: "{secret}"'
    return f", auth: {{oauth2: {{{auth}}}}}"


def confided(tokens: TokenServer) -> set[str]:
    """What nobody may be shown: the client's secret in each form in which it travels, and the tokens."""
    basic = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
    return {CLIENT_SECRET, basic, *tokens.valid}


def test_token_is_asked_for_first(send_test: SendTest, tokens: TokenServer) -> None:
    """An endpoint with `auth: oauth2` is tried as its readings are sent, and its answer shows no token."""
    result = send_test(url=tokens.hook_url, settings=oauth2(tokens.token_url))
    assert result.exit_code == 0
    assert "acme answered 200 " in result.output
    assert "its answer: ***" in result.output
    assert tokens.taken == list(tokens.valid)
    assert not [one for one in confided(tokens) if one in result.output]


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("trouble", ["is down", "refuses the client", "is not there"])
def test_token_that_is_not_given_is_told_as_such(
    send_test: SendTest, tokens: TokenServer, trouble: str, *, as_json: bool
) -> None:
    """Nothing is sent to the receiver, and what is to be done is about the token server; no secret is shown."""
    tokens.is_down = trouble == "is down"
    secret = "wr0ng-secret" if trouble == "refuses the client" else CLIENT_SECRET
    url = "http://127.0.0.1:1/token" if trouble == "is not there" else tokens.token_url
    arguments = ["acme", "--json"] if as_json else ["acme"]

    result = send_test(*arguments, url=tokens.hook_url, settings=oauth2(url, secret))

    assert result.exit_code == 1
    assert tokens.taken == []
    if as_json:
        assert json.loads(result.output)["error"] == "token"
    else:
        assert "check the token_url, client_id and client_secret of its auth" in result.output
    shown = result.output + str(result.exception)
    assert not [one for one in confided(tokens) | {secret} if one in shown]


def test_notice_of_a_template_is_tried(
    send_test: SendTest, receiver: Receiver, tmp_path: Path
) -> None:
    """The operator's endpoint gets a test event as its own template writes notices."""
    (tmp_path / "alert.json").write_text('{"text": "${type}: ${message}", "at": "${timestamp}"}')
    url = f"http://127.0.0.1:{receiver.server_port}/ops"
    operator = (
        f'operator: {{url: "{url}", secret: "{SECRET}", allow_private: true,'
        ' format: template, template: "file:alert.json"}'
    )
    assert send_test("operator", operator=operator).exit_code == 0
    ((path, headers, body),) = receiver.received
    event = Webhook(SECRET).verify(body, headers)
    assert (path, headers["content-type"]) == ("/ops", "application/json")
    assert event.keys() == {"text", "at"}
    assert event["text"].startswith("webhook.test: ")
    assert "It works." in event["text"]
