"""Each page of docs/recipes: its files as they stand, against the program itself or the contract that it publishes."""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import httpx
import pytest
from click.testing import CliRunner, Result
from support.ports import free_port
from support.programs import of_debian, of_npm, running
from support.wrong_receivers import SECRET

from forwarder.cli.main import cli

RECIPES = Path(__file__).parents[2] / "docs" / "recipes"
PAGES = sorted(page for page in RECIPES.glob("*.md") if page.name != "README.md")
Contract: TypeAlias = Callable[[Any], int]
"""The status that a program's documentation has for a JSON body."""


class Recipe:
    """The files of one page in a folder, its endpoint moved to `base`."""

    def __init__(self, name: str, folder: Path, base: str) -> None:
        page = (RECIPES / f"{name}.md").read_text("utf-8")
        (routes,) = re.findall(r"```yaml\n(endpoints:\n.*?)```", page, re.DOTALL)
        (self.url,) = re.findall(r"url: (\S+)", routes)
        parts = urlsplit(self.url)
        moved = routes.replace(f"{parts.scheme}://{parts.netloc}", base)
        if "allow_private" not in moved:
            moved = moved.replace("    devices:", "    allow_private: true\n    devices:")
        (folder / "routes.yaml").write_text(moved)
        for file, text in re.findall(
            r"^`([\w.-]+)`:\n\n```\w*\n(.*?)```", page, re.MULTILINE | re.DOTALL
        ):
            (folder / file).write_text(text)
        self.names = re.findall(r"env:([A-Z_]+)", routes)
        self.endpoint = re.findall(r"^  ([\w-]+):", routes, re.MULTILINE)[0]

    def send(self, event: str = "reading") -> Result:
        environment = dict.fromkeys(self.names, SECRET)
        arguments = ["send-test", self.endpoint, "--event", event, "--json"]
        return CliRunner(env=environment).invoke(cli, arguments)


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page_is_valid_as_it_stands(page: Path, tmp_path: Path) -> None:
    """`check` takes its files, the list of recipes names it, and it says what it was tried against."""
    text = page.read_text("utf-8")
    (routes,) = re.findall(r"```yaml\n(endpoints:\n.*?)```", text, re.DOTALL)
    Recipe(page.stem, tmp_path, "https://moved.example")
    (tmp_path / "routes.yaml").write_text(routes)
    checked = CliRunner().invoke(cli, ["check", "--routes", "routes.yaml"])
    assert checked.exception is None, checked.exception
    assert f"({page.name})" in (RECIPES / "README.md").read_text("utf-8")
    assert "Tried " in text.splitlines()[-1]
    assert len(text.split()) <= 800


def slack(body: Any) -> int:
    """api.slack.com/messaging/webhooks: `text` is required, else 400 `no_text`."""
    return 200 if isinstance(body.get("text"), str) and 0 < len(body["text"]) <= 40_000 else 400


def teams(body: Any) -> int:
    """learn.microsoft.com, Workflows webhooks: a message with one adaptive card; 202."""
    (attachment,) = body["attachments"]
    card = attachment["content"]
    is_card = attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    blocks = all(one["type"] == "TextBlock" and one["text"] for one in card["body"])
    return (
        202
        if body["type"] == "message" and is_card and card["type"] == "AdaptiveCard" and blocks
        else 400
    )


def home_assistant(body: Any) -> int:
    """home-assistant.io, webhook trigger: 200 in any case; `trigger.json` has to hold the value."""
    return 200 if isinstance(body["import_kw"], float | int) else 500


def apps_script(body: Any) -> int:
    """developers.google.com/apps-script/guides/web: 302 to what doPost returned, once it has run."""
    return 302 if len(body["row"]) == 4 and body["id"] else 500


@pytest.mark.parametrize(
    ("name", "contract"),
    [
        ("slack", slack),
        ("teams", teams),
        ("home-assistant", home_assistant),
        ("apps-script", apps_script),
    ],
)
def test_published_contract_is_kept(name: str, contract: Contract, tmp_path: Path) -> None:
    """What it is sent is taken, as its documentation has it."""
    with answering(contract) as base:
        recipe = Recipe(name, tmp_path, base)
        result = recipe.send()
    assert json.loads(result.output)["ok"], result.output


@contextmanager
def answering(contract: Contract) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            is_json = self.headers["content-type"] == "application/json"
            self.send_response(contract(body) if is_json else 415)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
            pass

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as server:
        yield f"http://127.0.0.1:{server.server_port}"


@contextmanager
def serving(server: ThreadingHTTPServer) -> Iterator[ThreadingHTTPServer]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_influxdb_takes_the_lines(tmp_path: Path) -> None:
    """InfluxDB 1.6 has the values afterwards, with their digits."""
    port = free_port()
    configuration = tmp_path / "influxdb.conf"
    configuration.write_text(
        f'reporting-disabled = true\nbind-address = "127.0.0.1:{free_port()}"\n[meta]\n  dir = "{tmp_path}/meta"\n'
        f'[data]\n  dir = "{tmp_path}/data"\n  wal-dir = "{tmp_path}/wal"\n'
        f'[http]\n  bind-address = "127.0.0.1:{port}"\n'
    )
    influxd = of_debian("influxdb") / "usr" / "bin" / "influxd"
    base = f"http://127.0.0.1:{port}"
    with running([str(influxd), "-config", str(configuration)], alive=f"{base}/ping"):
        ask(f"{base}/query", q="CREATE DATABASE meters", by_post=True)
        assert (
            json.loads(Recipe("influxdb", tmp_path, base).send("readings").output)["status"] == 204
        )
        told = ask(f"{base}/query", db="meters", q="SELECT * FROM energy", epoch="ms")
    (series,) = told["results"][0]["series"]
    assert {"device", "vendor", "import_kw", "import_kwh"} <= set(series["columns"])
    assert len(series["values"]) == 3
    assert all(row[series["columns"].index("import_kwh")] > 1000 for row in series["values"])


def test_victoriametrics_takes_the_lines(tmp_path: Path) -> None:
    """VictoriaMetrics 1.79 has a series for each field."""
    base = f"http://127.0.0.1:{(port := free_port())}"
    program = of_debian("victoria-metrics") / "usr" / "bin" / "victoria-metrics"
    options = [f"-httpListenAddr=127.0.0.1:{port}", f"-storageDataPath={tmp_path}/series"]
    with running([str(program), *options], alive=f"{base}/health"):
        result = Recipe("victoriametrics", tmp_path, base).send("readings")
        assert json.loads(result.output)["status"] == 204
        httpx.get(f"{base}/internal/force_flush", trust_env=False)
        exported = httpx.get(
            f"{base}/api/v1/export", params={"match[]": '{__name__=~"energy_.*"}'}, trust_env=False
        )
    series = {one["metric"]["__name__"]: one for one in map(json.loads, exported.text.splitlines())}
    assert set(series) == {"energy_import_kw", "energy_export_kw", "energy_import_kwh"}
    assert series["energy_import_kw"]["metric"]["device"] == "EEC9FF5C001A"
    assert len(series["energy_import_kw"]["values"]) == 3


def ask(url: str, *, by_post: bool = False, **query: str) -> Any:
    response = httpx.request("POST" if by_post else "GET", url, params=query, trust_env=False)
    return response.raise_for_status().json()


def test_node_red_understands_the_body(tmp_path: Path) -> None:
    """The flow of the page runs in Node-RED 4 and answers what it understood."""
    base = f"http://127.0.0.1:{(port := free_port())}"
    recipe = Recipe("node-red", tmp_path, base)
    program = of_npm("node-red", "4") / "node_modules" / "node-red" / "red.js"
    command = [
        "node",
        str(program),
        "--userDir",
        str(tmp_path / "red"),
        "--port",
        str(port),
        "flows.json",
    ]
    with running(command, alive=base):
        told = _told_by_flow(recipe)
    assert told["status"] == 200
    assert re.fullmatch(r"meters/EEC9FF5C001A [0-9.]+", told["answer"])


def _told_by_flow(recipe: Recipe) -> Any:
    """What Node-RED answers once its flow runs, because its editor answers before, and 404 stands for all else."""
    for _ in range(300):
        told = json.loads(recipe.send().output)
        if told["status"] != 404:
            break
        time.sleep(0.1)
    return told


HARNESS = """\
import { createServer } from "node:http";
import worker, { handler } from "./function.mjs";
const asWorker = process.env.AS === "worker";
createServer((request, response) => {
  const pieces = [];
  request.on("data", (piece) => pieces.push(piece));
  request.on("end", async () => {
    const body = Buffer.concat(pieces);
    try {
      if (asWorker) {
        const init = { method: request.method, headers: request.headers, ...(body.length ? { body } : {}) };
        const answer = await worker.fetch(new Request("http://worker/", init), process.env);
        response.writeHead(answer.status).end();
      } else {
        const event = { requestContext: { http: { method: request.method } }, headers: request.headers,
                        body: body.toString("base64"), isBase64Encoded: true };
        response.writeHead((await handler(event)).statusCode).end();
      }
    } catch (error) { response.writeHead(500).end(String(error)); }
  });
}).listen(Number(process.env.PORT), "127.0.0.1");
"""


@pytest.mark.parametrize("kind", ["worker", "lambda"])
def test_cloud_function_is_certified(kind: str, tmp_path: Path) -> None:
    """The function verifies as `forwarder certify` wants it, in either cloud's form."""
    base = f"http://127.0.0.1:{(port := free_port())}"
    Recipe("cloud-function", tmp_path, base)
    (tmp_path / "harness.mjs").write_text(HARNESS)
    settings = {"AS": kind, "PORT": str(port), "WEBHOOK_SECRET": SECRET}
    with running(["node", str(tmp_path / "harness.mjs")], alive=base, **settings):
        arguments = ["certify", base, "--secret", "env:WEBHOOK_SECRET", "--with-readings"]
        result = CliRunner(env={"WEBHOOK_SECRET": SECRET}).invoke(cli, arguments)
    assert result.exit_code == 0, result.output
