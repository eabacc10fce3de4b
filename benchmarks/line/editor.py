"""
An operator at work: pauses an endpoint, adds another to routes.yaml, lets the one go on, takes the other out; anew.

    editor.py ENDPOINT

Runs in the forwarder's folder with its settings, and makes one edit a second. The commands run in this process,
because the start of one costs more CPU than what it does. Ends at the end of its input; its last line is a count.
"""

import json
import select
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path

from forwarder.cli.main import cli

PERIOD_SECONDS = 1.0
ROUTES = Path("routes.yaml")
GUEST = "guest"


def write(text: str) -> None:
    """As editors save: whoever reads sees the old file or the new one."""
    beside = ROUTES.with_suffix(".new")
    beside.write_text(text)
    beside.replace(ROUTES)


def with_guest(text: str, like: str) -> str:
    """The routes with another endpoint, which gets nothing."""
    routes = json.loads(text)
    guest = routes["endpoints"][like] | {"devices": ["000000000000"]}
    return json.dumps({"endpoints": routes["endpoints"] | {GUEST: guest}})


def edits(endpoint: str) -> list[Callable[[], object]]:
    text = ROUTES.read_text()
    pause, resume = (
        partial(cli, ["endpoints", word, endpoint], standalone_mode=False)
        for word in ("pause", "resume")
    )
    return [pause, partial(write, with_guest(text, endpoint)), resume, partial(write, text)]


def main() -> None:
    (endpoint,) = sys.argv[1:]
    each, started = edits(endpoint), time.monotonic()
    for made in count():
        due_in = started + made * PERIOD_SECONDS - time.monotonic()
        if select.select([sys.stdin], [], [], max(0.0, due_in))[0]:
            break
        each[made % len(each)]()
        sys.stdout.flush()
    print(made)


if __name__ == "__main__":
    main()
