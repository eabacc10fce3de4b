"""What the parts around the forwarder can do without it: a figure near one of these tells of them, not of it."""

import socket
import time

from ledger import FIRST_SERIAL
from parts import Publishing
from publisher import PAYLOAD
from run import Line

PIPELINED = 50


def publisher_ceiling(line: Line, *, seconds: float) -> tuple[float, float]:
    """Messages per second through publisher and broker when nobody has subscribed, and the publisher's CPU in µs."""
    first, started = line.sent.count, time.monotonic()
    publishing = Publishing(line.broker, line.sent, line.arrived, ahead=10**9, seconds=seconds)
    cpu = 0.0
    while publishing.process.poll() is None:
        cpu = publishing.cpu_seconds
        time.sleep(0.02)
    count = line.sent.count - first
    return count / (time.monotonic() - started), cpu / count * 1e6


def receiver_ceiling(line: Line, *, seconds: float) -> tuple[float, float]:
    """POSTs per second that the receiver takes from one connection, pipelined, and its own CPU for each in µs."""
    body = PAYLOAD % FIRST_SERIAL + b" " * 300
    head = (
        b"POST /ok HTTP/1.1\r\nhost: it\r\nwebhook-id: msg_1\r\ncontent-length: %d\r\n\r\n"
        % len(body)
    )
    requests, answer = (head + body) * PIPELINED, len(b"HTTP/1.1 204 No Content\r\n\r\n")
    first, cpu, started = line.arrived.requests, line.receiver.cpu_seconds, time.monotonic()
    with socket.create_connection(("127.0.0.1", line.receiver.port)) as client:
        while time.monotonic() < started + seconds:
            client.sendall(requests)
            missing = PIPELINED * answer
            while missing:
                missing -= len(client.recv(missing))
    count = line.arrived.requests - first
    spent = line.receiver.cpu_seconds - cpu
    return count / (time.monotonic() - started), spent / count * 1e6
