"""
The receiver as a FastAPI application, verified by the public library.

    pip install fastapi uvicorn standardwebhooks
    WEBHOOK_SECRET=whsec_… uvicorn --port 9000 receiver_fastapi:app
"""

import json
import os
import re
import sqlite3
import sys
from contextlib import closing

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import PlainTextResponse, Response
from standardwebhooks import Webhook, WebhookVerificationError


def webhooks_of(secrets):
    """A verifier for each secret; there are two, separated by a space, while the key is rotated."""
    found = secrets.split()
    if not found or not all(re.fullmatch("whsec_([A-Za-z0-9+/=]{4}){8,22}", one) for one in found):
        sys.exit("WEBHOOK_SECRET has to be the whsec_… that the forwarder signs with")
    return [Webhook(secret) for secret in found]


app = FastAPI()
webhooks = webhooks_of(os.environ.get("WEBHOOK_SECRET", ""))


@app.post("/")
async def receive(request: Request):
    body = (
        await request.body()
    )  # as it came: parsed and written again it would not fit the signature
    if not is_genuine(body, dict(request.headers)):
        return PlainTextResponse("no signature fits, or it is more than 5 minutes old", 401)
    # On disk before the answer: what is answered 2xx is not sent again.
    for reading in await run_in_threadpool(keep, list(readings_of(json.loads(body)))):
        print(reading["id"], reading["device"], reading["measured_at"], flush=True)
    return Response(status_code=204)


def is_genuine(body, headers):
    for webhook in webhooks:
        try:
            webhook.verify(body, headers, json_parse=False)
        except (WebhookVerificationError, ValueError):
            continue
        return True
    return False


def readings_of(document):
    """The readings in a body, standard or CloudEvents, one or a batch; none in types that we do not know."""
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
