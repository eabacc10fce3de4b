"""`forwarder status` and `forwarder health` beside whatever listens where the service should."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from support.shell import Operator

from forwarder.cli.running import Readiness, ask_readiness
from forwarder.outbox.sqlite import DirectoryLock

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
    yield "127.0.0.1", server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@contextmanager
def service(operator: Operator, answer: object, *, status: int = 200) -> Iterator[None]:
    with answering(status, json.dumps(answer).encode()) as (host, port):
        operator.environment["FORWARDER_HTTP_LISTEN"] = f"{host}:{port}"
        yield


def test_service_that_is_ready(operator: Operator) -> None:
    """The session and the routes in use are what the service itself says."""
    with service(operator, READY):
        said, shown = operator.json("status"), operator.says("status")

    assert said["ready"]
    assert said["mqtt"] == READY["mqtt"]
    assert said["routes"] == {"endpoints": 7, "problems": 0, "first": None, "problem": None}
    assert "subscribed for" in shown


def test_service_that_is_not_ready(operator: Operator) -> None:
    """What is in the way is shown first, in the service's words, without their control characters."""
    with service(operator, NOT_READY, status=503):
        said, shown = operator.json("status"), operator.says("status")

    assert said["reasons"] == [REFUSED]
    assert shown.splitlines()[0].endswith(r"check FORWARDER_MQTT_PASSWORD\x1b[2J")
    assert "3 problems: the first at routes.yaml:3:1; all of them: forwarder check" in shown


def test_mistakes_that_the_service_only_counts_are_told_in_full(operator: Operator) -> None:
    """The service tells whoever asks how many and where; who may read the file reads what they are."""
    operator.write_routes("endpoints: [")
    with service(operator, NOT_READY, status=503):
        said, shown = operator.json("status"), operator.says("status")

    assert said["routes"]["problems"] == 3
    assert said["routes"]["problem"].startswith("routes.yaml:2:1: ")
    assert said["routes"]["problem"] in shown


def test_service_that_does_not_answer(operator: Operator) -> None:
    """Who holds the data directory and does not answer is not called stopped."""
    lock = DirectoryLock(operator.folder / "data")

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
