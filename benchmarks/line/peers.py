"""
Another program in the forwarder's place, between the same broker and the same receiver.

It is installed apart from everything else: `python3 -m venv build/bench/peers`, and there `pip install mq-bridge`.
"""

import json
import subprocess
import time

from parts import ROOT, Part
from run import Line

PYTHON = ROOT / "build" / "bench" / "peers" / "bin" / "python"
SUBSCRIBED_AFTER_SECONDS = 2.0
_BRIDGE = "import json, sys, mq_bridge; mq_bridge.Route.from_config(json.loads(sys.argv[1])).run()"


class MqBridge(Part):
    """mq-bridge of PyPI, MQTT to HTTP with retries: acknowledges when the receiver has answered, writes no disk."""

    def __init__(self, line: Line) -> None:
        mqtt = {
            "url": f"tcp://127.0.0.1:{line.broker.port}",
            "topic": "ext/partner/#",
            "client_id": "mq-bridge",
            "qos": 1,
            "protocol": "v3",
            "max_inflight": 1000,
            "queue_capacity": 1000,
        }
        route = {
            "input": {"mqtt": mqtt},
            "output": {
                "http": {"url": f"http://127.0.0.1:{line.receiver.port}/ok"},
                "middlewares": [{"retry": {}}],
            },
        }
        super().__init__([PYTHON, "-c", _BRIDGE, json.dumps(route)], stderr=subprocess.DEVNULL)
        time.sleep(SUBSCRIBED_AFTER_SECONDS)


def is_installed() -> bool:
    return PYTHON.exists()
