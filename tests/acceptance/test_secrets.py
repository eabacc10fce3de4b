"""No secret is ever said: not in logs, not on stderr, not over HTTP, not by a command."""

from collections.abc import Sequence

from support.line import Line
from support.ports import free_port
from support.receiver_policies import always
from support.webhooks import RESET, Answer, Webhooks

COMMANDS = (
    "check --connect",
    "status",
    "send-test dead",
    "dead-letters export",
    "deliveries list --json",
)
COMMANDS_ON_BROKEN_ROUTES = ("check", "routes diff routes.yaml.before")


async def test_nothing_that_goes_wrong_tells_a_secret(line: Line) -> None:
    """Keys, passwords, tokens, header values and queries stay unsaid at debug level through every kind of failure."""
    line.secrets |= {"bearer-5b1d", "header-77e0", "basic-c3a9", "query-91aa", "environment-2f4c"}
    line.service.settings |= {"FORWARDER_LOG_LEVEL": "debug", "HEADER": "environment-2f4c"}
    refusing = await line.receiver("refusing", always(Answer(400)), auth={"bearer": "bearer-5b1d"})
    resetting = await line.receiver("resetting", always(RESET), headers={"x-key": "header-77e0"})
    line.name_endpoint(Webhooks("dead", port=free_port()), headers={"x-key": "env:HEADER"})
    line.endpoints["dead"]["auth"] = {"basic": {"username": "us", "password": "basic-c3a9"}}
    line.endpoints["dead"]["url"] += "?token=query-91aa"
    await line.start()
    await line.publish(3)
    for webhooks in (refusing, resetting):
        await webhooks.until_posts(3)
    await line.service.logged("delivery.attempted", endpoint="dead")
    await ask_everything(line, COMMANDS)
    await break_routes(line)
    await ask_everything(line, COMMANDS_ON_BROKEN_ROUTES)


async def ask_everything(line: Line, commands: Sequence[str]) -> None:
    for path in ("/healthz", "/readyz", "/metrics"):
        assert await line.service.ask(path) is not None
    for words in commands:
        finished = await line.service.command(*words.split())
        assert finished.stdout or finished.stderr


async def break_routes(line: Line) -> None:
    """Make each secret stand in a file that is wrong."""
    line.routes_file.with_name("routes.yaml.before").write_text(line.routes_text())
    for endpoint in line.endpoints.values():
        endpoint["secret"] += "!"
        endpoint["url"] = endpoint["url"].replace("//", "//user:query-91aa@")
        endpoint["headers"] = {"x key": "header-77e0"}
        endpoint["auth"] = {"bearer": "bearer-5b1d\n"}
    line.write_routes()
    await line.service.logged("routes.rejected")
