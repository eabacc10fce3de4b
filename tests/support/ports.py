"""Ports that stay free while their process is dead."""

import random
import socket
import time

_BELOW_EPHEMERAL = range(20_000, 32_000)
"""Linux gives ports from 32768 on to outgoing connections, and one could take the port of a killed process."""

_given: set[int] = set()
"""Ports that were given before, because their test may not listen yet."""


def free_port() -> int:
    """A loopback port that nobody listens on, that no outgoing connection gets, and that was not given before."""
    while True:
        port = random.choice(_BELOW_EPHEMERAL)
        if port in _given:
            continue
        with socket.socket() as probe:
            # Connections that a dead process has left behind must not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            _given.add(port)
            return port


def wait_for_port(port: int, *, patience_seconds: float = 20.0) -> None:
    """Return once a process listens on the port."""
    give_up_at = time.monotonic() + patience_seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
        except OSError:
            if time.monotonic() > give_up_at:
                raise
            time.sleep(0.05)
        else:
            return
