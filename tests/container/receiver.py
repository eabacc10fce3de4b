"""A receiver that prints one line of JSON for each reading it accepted."""

import asyncio
import json
from pathlib import Path

from forwarder.demo.listener import Listener, Received
from forwarder.routes.secrets import parse_signing_key

SECRET = Path("/run/secrets/receiver")


def show(received: Received) -> None:
    for reading in received.readings:
        line = {
            "path": received.path,
            "id": reading["id"],
            "device": reading["device"],
            "measured_at": reading["measured_at"],
            "verified": received.verified,
        }
        print(json.dumps(line), flush=True)


async def main(secret: str) -> None:
    key = parse_signing_key(secret)
    listener = Listener(keys=[key], host="0.0.0.0", port=9000, on_answered=show)
    async with listener:
        await asyncio.Event().wait()


asyncio.run(main(SECRET.read_text().strip()))
