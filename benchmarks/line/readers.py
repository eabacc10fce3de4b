"""
Open pages: what so many browsers ask for that follow a view each, as the page's own attributes tell them.

    readers.py PORT PATH …

Each opens its view, connects to the stream that `sse-connect` names, and at each event asks for every `hx-get` whose
trigger is that event. Writes a line once all are connected; ends at the end of its input, with what they came to.
"""

import json
import sys
import threading
from collections import Counter
from html.parser import HTMLParser
from http.client import HTTPConnection, HTTPException

PATIENCE_SECONDS = 60.0
HOST = "127.0.0.1"


class Attributes(HTMLParser):
    """What a view asks for by itself, and when."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.stream = ""
        self.asked: dict[str, list[str]] = {}
        """Paths by event."""
        self.feed(markup)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.stream = given.get("sse-connect") or self.stream
        for trigger in (given.get("hx-trigger") or "").split(","):
            event = trigger.strip().removeprefix("sse:")
            if event != trigger.strip():
                self.asked.setdefault(event, []).append(given["hx-get"] or "")


class Reader(threading.Thread):
    """One open page."""

    def __init__(self, port: int, path: str, counts: Counter[str]) -> None:
        super().__init__(daemon=True)
        self._port, self._path, self._counts = port, path, counts
        self.is_connected = threading.Event()

    def run(self) -> None:
        view = Attributes(self._get(self._path).decode())
        connection = HTTPConnection(HOST, self._port, timeout=PATIENCE_SECONDS)
        connection.request("GET", view.stream)
        stream = connection.getresponse()
        self.is_connected.set()
        for line in stream:
            word, _, event = line.decode().strip().partition(": ")
            if word == "event":
                self._counts[event] += 1
                for path in view.asked.get(event, ()):
                    self._follow(path)

    def _follow(self, path: str) -> None:
        try:
            self._get(path, {"hx-request": "true", "accept-encoding": "gzip"})
            self._counts["fetched"] += 1
        except (OSError, HTTPException):
            self._counts["failed"] += 1

    def _get(self, path: str, headers: dict[str, str] | None = None) -> bytes:
        connection = HTTPConnection(HOST, self._port, timeout=PATIENCE_SECONDS)
        connection.request("GET", path, headers=headers or {})
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        if answer.status != 200:
            raise HTTPException(f"{path}: {answer.status}")
        return body


def main() -> None:
    port, *paths = sys.argv[1:]
    counts: Counter[str] = Counter()
    readers = [Reader(int(port), path, counts) for path in paths]
    for reader in readers:
        reader.start()
        if not reader.is_connected.wait(PATIENCE_SECONDS):
            sys.exit("a page did not open")
    print("open", flush=True)
    sys.stdin.read()
    print(json.dumps(counts), flush=True)


if __name__ == "__main__":
    main()
