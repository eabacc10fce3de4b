# WEBHOOK_SECRET=whsec_… python3 receiver.py        (Python 3.9 or newer, and nothing else)
import base64
import hmac
import json
import os
import re
import sqlite3
import sys
import time
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def keys_of(secrets):
    """The keys of one secret, or of two, separated by a space, while the key is rotated."""
    found = secrets.split()
    if not found or not all(re.fullmatch("whsec_([A-Za-z0-9+/=]{4}){8,22}", one) for one in found):
        sys.exit("WEBHOOK_SECRET has to be the whsec_… that the forwarder signs with")
    return [base64.b64decode(secret.removeprefix("whsec_")) for secret in found]


def why_not(headers, body, keys, now):
    """Why a request is not genuine (Standard Webhooks 1.0.0); None when it is."""
    names = ("webhook-id", "webhook-timestamp", "webhook-signature")
    webhook_id, timestamp, signatures = (headers.get(name, "") for name in names)
    if not (webhook_id and signatures and re.fullmatch("[0-9]{1,12}", timestamp)):
        return "webhook-id, webhook-timestamp or webhook-signature is missing"
    if abs(now - int(timestamp)) > 300:
        return "webhook-timestamp is more than 5 minutes off"
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    for key in keys:
        expected = b"v1," + base64.b64encode(hmac.digest(key, signed, "sha256"))
        for signature in signatures.split(" "):
            if hmac.compare_digest(signature.encode(), expected):
                return None
    return "no signature fits"


def readings_of(body):
    """The readings in a body, standard or CloudEvents, one or a batch; none in types that we do not know."""
    document = json.loads(body)
    for event in document if isinstance(document, list) else [document]:
        if event["type"].removeprefix("ch.whatwatt.") in ("meter.reading", "meter.readings"):
            yield from event["data"] if isinstance(event["data"], list) else [event["data"]]


def keep(readings):
    """Store those whose id is not there yet, all or none of them, and return them."""
    with closing(sqlite3.connect(os.environ.get("STORE", "readings.db"))) as db, db:
        db.execute("CREATE TABLE IF NOT EXISTS reading (id TEXT PRIMARY KEY, data TEXT)")
        insert = "INSERT OR IGNORE INTO reading VALUES (?, ?)"
        rows = [(reading, (reading["id"], json.dumps(reading))) for reading in readings]
        return [reading for reading, row in rows if db.execute(insert, row).rowcount]


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # the connection stays open for the next reading
    timeout = 60

    def do_POST(self):
        length = self.headers.get("content-length", "")
        if not re.fullmatch("[0-9]{1,7}", length):
            self.close_connection = True
            return self.answer(413, "content-length is missing, or over 10 MB")
        body = self.rfile.read(int(length))  # as it came: parsed and written again it would not fit
        problem = why_not(self.headers, body, KEYS, time.time())
        if problem:
            return self.answer(401, problem)
        for reading in keep(readings_of(body)):  # on disk before the answer: a 2xx ends it
            print(reading["id"], reading["device"], reading["measured_at"], flush=True)
        return self.answer(204)

    def answer(self, status, sentence=""):
        self.send_response(status)
        self.send_header("content-length", str(len(sentence)))
        self.end_headers()
        self.wfile.write(sentence.encode())


if __name__ == "__main__":
    KEYS = keys_of(os.environ.get("WEBHOOK_SECRET", ""))
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "9000"))), Receiver)
    print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
