"""
Receives readings: verifies each request, keeps each reading once, answers at once.

    pip install standardwebhooks
    WEBHOOK_SECRET=whsec_... python receiver.py
"""

import json
import os
import sqlite3
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks import Webhook, WebhookVerificationError

MAX_BODY_BYTES = 2 * 1024 * 1024


class Store:
    """Readings on disk; the primary key is what keeps each of them once."""

    def __init__(self, path):
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, check_same_thread=False)
        self._db.execute("CREATE TABLE IF NOT EXISTS reading (id TEXT PRIMARY KEY, data TEXT)")

    def keep(self, readings):
        """Keep those that are new, all or none of them, and return them."""
        with self._lock, self._db:
            return [reading for reading in readings if self._insert(reading)]

    def _insert(self, reading):
        row = (reading["id"], json.dumps(reading))
        return self._db.execute("INSERT OR IGNORE INTO reading VALUES (?, ?)", row).rowcount == 1


class Receiver(BaseHTTPRequestHandler):
    """Answers the forwarder; `webhooks` and `store` are set below."""

    protocol_version = "HTTP/1.1"  # keeps the connection open for the next reading
    timeout = 60

    def do_POST(self):
        length = int(self.headers.get("content-length", 0))
        if not 0 < length <= MAX_BODY_BYTES:
            self.close_connection = True
            return self.answer(413)
        event = self.verified(self.rfile.read(length))
        if event is None:
            return self.answer(401)
        # On disk before the answer: after a 2xx the forwarder does not send it again.
        for reading in self.store.keep(readings_of(event)):
            print(reading["id"], reading["device"], reading["measured_at"], flush=True)
        return self.answer(204)

    def verified(self, body):
        """The event that one of our secrets signed, None when none did."""
        for webhook in self.webhooks:
            try:
                return webhook.verify(body, dict(self.headers.items()))
            except (WebhookVerificationError, ValueError):
                continue
        return None

    def answer(self, status):
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_request(self, *_):
        """Print readings, not requests."""


def readings_of(event):
    """The readings in an event; none in one of a type that we do not know, such as webhook.test."""
    if event["type"] == "meter.reading":
        return [event["data"]]
    if event["type"] == "meter.readings":
        return event["data"]
    return []


if __name__ == "__main__":
    # Two secrets, separated by a space, while the key is rotated.
    Receiver.webhooks = [Webhook(secret) for secret in os.environ["WEBHOOK_SECRET"].split()]
    Receiver.store = Store(os.environ.get("STORE", "readings.db"))
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "9000"))), Receiver)
    print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
