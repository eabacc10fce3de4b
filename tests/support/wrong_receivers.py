"""A sound receiver, and receivers that are wrong in one way each."""

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
TOLERANCE_SECONDS = 300


class Sound:
    """The sound receiver, of which each other class changes one thing."""

    rejects_with = 401
    accepts_with = 204
    delay_seconds = 0.0
    most_bytes = 2 << 20

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self.newest = 0
        self.busy = threading.Semaphore(10_000)

    def receive(self, headers: Mapping[str, str], body: bytes) -> int:
        if len(body) > self.most_bytes:
            return 413
        if not self.verifies(headers, body):
            return self.rejects_with
        if not self.busy.acquire(blocking=False):
            return 503
        try:
            time.sleep(self.delay_seconds)
            return self.take(headers, json.loads(body))
        finally:
            self.busy.release()

    def verifies(self, headers: Mapping[str, str], body: bytes) -> bool:
        second = headers.get("webhook-timestamp", "")
        if not second.isdigit() or not self.is_timely(int(second)):
            return False
        good = self.signature(headers.get("webhook-id", ""), second, self.text_of(body))
        return any(self.fits(one, good) for one in self.signatures(headers))

    def is_timely(self, second: int) -> bool:
        return abs(time.time() - second) <= TOLERANCE_SECONDS

    def text_of(self, body: bytes) -> bytes:
        return body

    def signature(self, webhook_id: str, second: str, body: bytes) -> str:
        content = f"{webhook_id}.{second}.".encode() + body
        return "v1," + base64.b64encode(hmac.new(KEY, content, hashlib.sha256).digest()).decode()

    def signatures(self, headers: Mapping[str, str]) -> list[str]:
        return headers.get("webhook-signature", "").split()

    def fits(self, given: str, good: str) -> bool:
        return hmac.compare_digest(given, good)

    def take(self, headers: Mapping[str, str], event: Any) -> int:
        return self.accepts_with


class TakesEverything(Sound):
    def verifies(self, headers: Mapping[str, str], body: bytes) -> bool:
        return True


class WritesJsonAnew(Sound):
    def text_of(self, body: bytes) -> bytes:
        try:
            return json.dumps(json.loads(body), separators=(",", ":")).encode()
        except ValueError:
            return body


class HasNoClock(Sound):
    def is_timely(self, second: int) -> bool:
        return True


class LooksOnlyBack(Sound):
    def is_timely(self, second: int) -> bool:
        return time.time() - second <= TOLERANCE_SECONDS


class KnowsOneSignature(Sound):
    def signatures(self, headers: Mapping[str, str]) -> list[str]:
        return super().signatures(headers)[:1]


class SignsWithoutTheId(Sound):
    def verifies(self, headers: Mapping[str, str], body: bytes) -> bool:
        cut = {**headers, "webhook-id": headers["webhook-id"][:-1]}
        return super().verifies(headers, body) or super().verifies(cut, body)


class ComparesBeginnings(Sound):
    def fits(self, given: str, good: str) -> bool:
        return bool(given) and good.startswith(given)


class TakesSignaturesWithoutVersion(Sound):
    def fits(self, given: str, good: str) -> bool:
        return given.removeprefix("v1,") == good.removeprefix("v1,")


class BreaksInsteadOfRejecting(Sound):
    rejects_with = 500


class PausesInsteadOfRejecting(Sound):
    rejects_with = 410


class Redirects(Sound):
    accepts_with = 302


class RejectsRepeats(Sound):
    def take(self, headers: Mapping[str, str], event: Any) -> int:
        is_new = headers["webhook-id"] not in self.seen
        self.seen.add(headers["webhook-id"])
        return 204 if is_new else 409


class WantsOrder(Sound):
    def take(self, headers: Mapping[str, str], event: Any) -> int:
        second = int(headers["webhook-timestamp"])
        if second < self.newest - 5:
            return 409
        self.newest = max(self.newest, second)
        return 204


class KnowsItsTypes(Sound):
    def take(self, headers: Mapping[str, str], event: Any) -> int:
        known = ("webhook.test", "ch.whatwatt.webhook.test", "meter.reading", "meter.readings")
        return 204 if event["type"] in known else 400


class HasLittleRoom(Sound):
    most_bytes = 16 << 10


class DoesOneThingAtATime(Sound):
    delay_seconds = 0.02

    def __init__(self) -> None:
        super().__init__()
        self.busy = threading.Semaphore(1)


class IsSlow(Sound):
    def take(self, headers: Mapping[str, str], event: Any) -> int:
        time.sleep(0 if self.seen else 3.1)
        self.seen.add("first")
        return 204


class KnowsNoLists(Sound):
    def take(self, headers: Mapping[str, str], event: Any) -> int:
        return 422 if isinstance(event.get("data"), list) else 204


class _Server(ThreadingHTTPServer):
    """A server with a long queue, because a connection that the kernel drops comes again a second later."""

    request_queue_size = 64


@contextmanager
def receiving(make: Callable[[], Sound]) -> Iterator[str]:
    """The URL of a receiver that listens while the block runs."""
    receiver = make()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            self.send_response(receiver.receive(headers, body))
            self.send_header("content-length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            self.send_response(405)
            self.send_header("content-length", "0")
            self.end_headers()

        do_HEAD = do_GET  # noqa: N815 - the base class has it so

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
            pass

    server = _Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
