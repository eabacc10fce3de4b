"""
Other programs that carry MQTT to HTTP, each set up for the forwarder's job as well as its settings allow.

All subscribe to ext/partner/# at QoS 1, with a fixed client id and a persistent session, and POST each payload as it
came. Nothing is imported here but the standard library, so that the benchmarks and the chaos suite can share it.
`make peers-setup` installs them, apart from everything else.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

_BENCH = Path(__file__).parents[1] / "build" / "bench"
PYTHON = _BENCH / "peers" / "bin" / "python"
NODE_RED = _BENCH / "node-red" / "node_modules" / "node-red"
TOPIC = "ext/partner/#"

Command: TypeAlias = list[str]


@dataclass(frozen=True)
class Job:
    """What a program is to do."""

    folder: Path
    """Of its own: its settings go there, and whatever it keeps."""
    broker_port: int
    url: str
    is_careful: bool = False
    """Set up for nothing to be lost and for order, where there is a choice, rather than for speed."""


@dataclass(frozen=True)
class Program:
    """A program that may be installed here."""

    name: str
    set_up: Callable[[Job], Command]
    """Write its settings; the command that starts it, in the job's folder."""
    version: Callable[[], str | None]
    """The version that is installed; None when it is not."""


_BRIDGE = "import json, sys, mq_bridge; mq_bridge.Route.from_config(json.loads(sys.argv[1])).run()"


def _mq_bridge(job: Job) -> Command:
    """
    It acknowledges a message once the receiver has answered, and writes no disk.

    Out of the box it sends 20 requests at a time and gives up after 3 attempts; carefully, one at a time and 1,000.
    """
    mqtt = {
        "url": f"tcp://127.0.0.1:{job.broker_port}",
        "topic": TOPIC,
        "client_id": "mq-bridge",
        "qos": 1,
        "clean_session": False,
        "protocol": "v3",
        "max_inflight": 1000,
        "queue_capacity": 1000,
    }
    http: dict[str, object] = {"url": job.url}
    retry = {}
    if job.is_careful:
        http["batch_concurrency"] = 1
        retry = {"max_attempts": 1000, "max_interval_ms": 1000}
    output = {"http": http, "middlewares": [{"retry": retry}]}
    return [str(PYTHON), "-c", _BRIDGE, json.dumps({"input": {"mqtt": mqtt}, "output": output})]


def _mqttwarn(job: Job) -> Command:
    """It acknowledges on receipt, queues in memory, and does not try again; one worker, which keeps the order."""
    target = ["post", job.url, None, None, True]
    (job.folder / "mqttwarn.ini").write_text(
        f"""\
[defaults]
hostname = '127.0.0.1'
port = {job.broker_port}
protocol = 4
clientid = 'mqttwarn'
cleansession = False
loglevel = 'ERROR'
launch = http
[config:http]
targets = {{'receiver': {target!r}}}
[{TOPIC}]
qos = 1
targets = http:receiver
"""
    )
    return [str(PYTHON.with_name("mqttwarn")), "--config-file=mqttwarn.ini"]


def _node_red(job: Job) -> Command:
    """It acknowledges on receipt and sends at once, on connections that are kept; carefully, until it gets a 2xx."""
    (job.folder / "flows.json").write_text(json.dumps(_flow(job)))
    (job.folder / "settings.js").write_text(
        """\
module.exports = {
  httpAdminRoot: false, httpNodeRoot: false, credentialSecret: false, telemetry: { enabled: false },
  logging: { console: { level: "error", metrics: false, audit: false } },
};
"""
    )
    program = str(NODE_RED / "red.js")
    return ["node", program, "--userDir", ".", "--settings", "settings.js", "flows.json"]


def _flow(job: Job) -> list[dict[str, object]]:
    broker = {
        "id": "broker",
        "type": "mqtt-broker",
        "broker": "127.0.0.1",
        "port": str(job.broker_port),
        "clientid": "node-red",
        "protocolVersion": "4",
        "keepalive": "60",
        "autoConnect": True,
        "cleansession": False,
        "autoUnsubscribe": False,
    }
    mqtt = {
        **_node("mqtt", "mqtt in", "keep" if job.is_careful else "post"),
        "broker": "broker",
        "topic": TOPIC,
        "qos": "1",
        "datatype": "buffer",
    }
    http = {
        **_node("post", "http request", *(["look"] if job.is_careful else [])),
        "method": "POST",
        "url": job.url,
        "ret": "txt",
        "persist": True,
    }
    again = _until_taken() if job.is_careful else []
    return [{"id": "flow", "type": "tab", "label": "forward"}, broker, mqtt, http, *again]


def _until_taken() -> list[dict[str, object]]:
    """The payload is kept beside the answer, and what is not answered by 2xx is sent again a second later."""
    look = {
        **_node("look", "switch"),
        "property": "statusCode",
        "propertyType": "msg",
        "rules": [{"t": "btwn", "v": "200", "vt": "num", "v2": "299", "v2t": "num"}, {"t": "else"}],
        "checkall": "false",
        "outputs": 2,
        "wires": [[], ["wait"]],
    }
    wait = {
        **_node("wait", "delay", "restore"),
        "pauseType": "delay",
        "timeout": "1",
        "timeoutUnits": "seconds",
    }
    # What the answer has left in msg.headers would be sent as the headers of the next request.
    restore = [_move("reading", "payload"), {"t": "delete", "p": "headers", "pt": "msg"}]
    return [
        {**_node("keep", "change", "post"), "rules": [_move("payload", "reading")]},
        look,
        wait,
        {**_node("restore", "change", "post"), "rules": restore},
    ]


def _node(name: str, kind: str, *following: str) -> dict[str, object]:
    return {"id": name, "type": kind, "z": "flow", "wires": [[*following]]}


def _move(source: str, target: str) -> dict[str, str]:
    return {"t": "set", "p": target, "pt": "msg", "to": source, "tot": "msg"}


def _of_wheel(name: str) -> Callable[[], str | None]:
    def version() -> str | None:
        found = (_BENCH / "peers").glob(f"lib/python*/site-packages/{name}-*.dist-info")
        return next((path.name.split("-")[1].removesuffix(".dist") for path in found), None)

    return version


def _of_node_red() -> str | None:
    package = NODE_RED / "package.json"
    return str(json.loads(package.read_text())["version"]) if package.exists() else None


PROGRAMS = (
    Program("mq-bridge", _mq_bridge, _of_wheel("mq_bridge")),
    Program("node-red", _node_red, _of_node_red),
    Program("mqttwarn", _mqttwarn, _of_wheel("mqttwarn")),
)
