"""`forwarder status` and `forwarder health` beside whatever listens where the service should."""

import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from support.outbox_builder import OutboxBuilder
from support.shell import Operator

from forwarder.cli.running import Readiness, ask_readiness
from forwarder.outbox.sqlite.file import DirectoryLock

READY = {
    "ready": True,
    "reasons": [],
    "mqtt": {
        "connected": True,
        "subscribed": True,
        "since": "2025-11-18T10:00:00Z",
        "problem": None,
    },
    "outbox": {"problem": None},
    "routes": {"endpoints": 7, "problems": 0, "first": None},
}
REFUSED = "the broker refused the user name or password; check FORWARDER_MQTT_PASSWORD\x1b[2J"
NOT_READY = {
    **READY,
    "ready": False,
    "reasons": [REFUSED],
    "mqtt": {"connected": False, "subscribed": False, "problem": REFUSED},
    "routes": {"endpoints": 7, "problems": 3, "first": "routes.yaml:3:1"},
}


@contextmanager
def answering(status: int, body: bytes) -> Iterator[tuple[str, int]]:
    """A server on loopback that answers every GET like this."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield "127.0.0.1", server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def service(operator: Operator, answer: object, *, status: int = 200) -> Iterator[None]:
    with answering(status, json.dumps(answer).encode()) as (host, port):
        operator.environment["FORWARDER_HTTP_LISTEN"] = f"{host}:{port}"
        yield


@pytest.fixture
def ours(operator: Operator, built: OutboxBuilder) -> Iterator[str]:
    """The id of this folder's outbox, on which a service runs."""
    lock = DirectoryLock(built.path)
    yield built.rows("SELECT id FROM identity")[0][0]
    lock.release()


def of_outbox(answer: dict[str, Any], identity: str | None, **endpoints: bool) -> dict[str, Any]:
    """The answer of the service of that outbox, with the endpoints in force and whether the routes pause them."""
    in_force = {name: {"paused": paused} for name, paused in endpoints.items()}
    return {**answer, "outbox": {"id": identity, "problem": None}, "endpoints": in_force}


def test_service_that_is_ready(operator: Operator, ours: str) -> None:
    """The session and the routes in use are what the service itself says."""
    with service(operator, of_outbox(READY, ours, acme=False, home=True)):
        said, shown = operator.json("status"), operator.says("status")

    assert said["ready"]
    assert said["mqtt"] == READY["mqtt"]
    assert said["outbox"] == {"id": ours, "problem": None}
    assert said["routes"] == {
        "endpoints": 7, "problems": 0, "first": None, "problem": None, "not_in_force": []
    }  # fmt: skip
    assert (said["endpoints"]["home"]["state"], said["endpoints"]["acme"]["state"]) == (
        "paused",
        "closed",
    )
    assert "subscribed for" in shown


def test_service_that_is_not_ready(operator: Operator, ours: str) -> None:
    """What is in the way is shown first, in the service's words, without their control characters."""
    with service(operator, of_outbox(NOT_READY, ours, acme=False, home=False), status=503):
        said, shown = operator.json("status"), operator.says("status")

    assert said["reasons"] == [REFUSED]
    assert shown.splitlines()[0].endswith(r"check FORWARDER_MQTT_PASSWORD\x1b[2J")
    assert (
        "7 endpoints in force; the file has 3 problems: the first at routes.yaml:3:1; all of them: forwarder check"
        in shown
    )


@pytest.mark.parametrize(
    "identity",
    [
        pytest.param("0123456789abcdef", id="another one's"),
        pytest.param(None, id="one of before outboxes had ids"),
    ],
)
def test_service_of_another_outbox(operator: Operator, ours: str, identity: str | None) -> None:
    """Nothing of a stranger is shown, only that it is one; exit 1."""
    with service(operator, of_outbox(READY, identity, strange=False)):
        for result in (operator.run("status"), operator.run("status", "--json")):
            sentence = str(result.exception)
            assert "another outbox" in sentence
            assert "\n" not in sentence
            assert (result.output, getattr(result.exception, "exit_code", None)) == ("", 1)
            assert "strange" not in sentence


def test_service_of_another_outbox_where_there_is_none(operator: Operator) -> None:
    """The first command in a wrong folder says so, and makes nothing there."""
    with service(operator, of_outbox(READY, "0123456789abcdef", acme=False)):
        sentence = operator.fails("status")

    assert "another outbox" in sentence
    assert f"{operator.folder}/data/outbox.db, where there is none yet" in sentence
    assert not (operator.folder / "data").exists()


def test_service_of_a_copy_of_the_outbox(operator: Operator, built: OutboxBuilder) -> None:
    """A copy has the same id, but nobody runs on this one: what answers is the other's."""
    with service(
        operator, of_outbox(READY, built.rows("SELECT id FROM identity")[0][0], acme=False)
    ):
        assert "whose service does not run" in operator.fails("status")


def test_endpoints_that_a_rejected_edit_would_bring(operator: Operator, ours: str) -> None:
    """What runs is shown as it runs; what stands in the file alone is marked, and is no endpoint for programs."""
    with service(operator, of_outbox(NOT_READY, ours, acme=False, old=False)):
        said, shown = operator.json("status"), operator.says("status")

    assert list(said["endpoints"]) == ["acme", "old"]
    assert said["endpoints"]["old"]["state"] == "closed"
    assert said["routes"]["not_in_force"] == ["home"]
    assert re.search(r"^home +not in force", shown, re.MULTILINE)
    assert "home is in the file, and not in force; see forwarder check" in shown


def test_service_that_does_not_answer(operator: Operator) -> None:
    """Who holds the data directory and does not answer is not called stopped."""
    lock = DirectoryLock(operator.folder / "data/outbox.db")

    problem = operator.json("status")["mqtt"]["problem"]

    lock.release()
    assert problem.startswith("the service runs, but does not answer at 127.0.0.1:")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"<html>", id="some other program"),
        pytest.param(b"[1, 2]", id="JSON, but not ours"),
        pytest.param(b'{"ready": true}', id="an object, but not ours"),
        pytest.param(b"\xff" * 100, id="no text"),
    ],
)
def test_something_else_listens_there(body: bytes) -> None:
    """An answer that is not the service's is none."""
    with answering(200, body) as address:
        assert ask_readiness(address) == Readiness()


def test_health_of_a_service_that_is_well(operator: Operator) -> None:
    with service(operator, "ok"):
        assert operator.says("health") == "healthy\n"


def test_health_of_a_service_that_says_no(operator: Operator) -> None:
    with service(operator, "the loop stood still", status=503):
        assert "not healthy" in operator.fails("health")
        assert "the loop stood still" in operator.fails("health")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, "<!DOCTYPE html>\n<html>\n<body>\nIt works!\n</body>\n</html>\n"),
        (404, "<h1>Error response</h1>\n<p>Error code: 404</p>\n"),
        (503, "<html>\n<h1>Service Unavailable</h1>\n</html>"),
        (401, ""),
    ],
)
def test_health_of_a_foreign_server(operator: Operator, status: int, body: str) -> None:
    """One line, whatever page it shows."""
    with answering(status, body.encode()) as (host, port):
        operator.environment["FORWARDER_HTTP_LISTEN"] = f"{host}:{port}"
        sentence = operator.fails("health")

    assert "is no forwarder" in sentence
    assert "\n" not in sentence
    assert "<" not in sentence


def test_health_of_nobody(operator: Operator) -> None:
    assert "does not answer on 127.0.0.1:" in operator.fails("health")


def test_health_of_something_that_does_not_speak_http(operator: Operator) -> None:
    """One sentence, whatever listens there."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        operator.environment["FORWARDER_HTTP_LISTEN"] = f"127.0.0.1:{listener.getsockname()[1]}"
        answers = threading.Thread(target=_answer_as_mail_server, args=(listener,))
        answers.start()
        assert operator.fails("health").endswith("what listens there does not speak HTTP")
        answers.join()


def _answer_as_mail_server(listener: socket.socket) -> None:
    client, _ = listener.accept()
    with client:
        client.sendall(b"220 mail.example ESMTP\r\n")
        client.recv(4096)
