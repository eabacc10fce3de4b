"""The API of the running service: the same answers as the commands, and nothing for whoever may not ask."""

from typing import Any

import httpx
from support.line import Line
from support.receiver_policies import always
from support.webhooks import OK, Answer

TOKEN = "an-admin-token-9b41c7"


async def asked(line: Line, method: str, path: str, **given: Any) -> httpx.Response:
    url = f"http://{line.service.address}/api/v1{path}"
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.request(method, url, **given)
    line.service.answers.append(answer.text)
    return answer


async def test_it_answers_as_the_commands_do(line: Line) -> None:
    """Status and dead letters have the commands' form and numbers; a replay is delivered by the running service."""
    webhooks = await line.receiver("acme", always(Answer(422)))
    await line.start()
    await line.publish(3)
    await line.service.settled("acme", lambda totals: totals.dead == 3)
    said = (await asked(line, "GET", "/status")).json()
    told = await line.service.status()
    assert said.keys() == told.keys()
    assert said["endpoints"]["acme"].keys() == told["endpoints"]["acme"].keys()
    assert said["endpoints"]["acme"]["dead_letters"] == 3
    listed = (await asked(line, "GET", "/dead-letters")).json()["items"]
    assert len(listed) == 3
    webhooks.policy = always(OK)
    replayed = await asked(line, "POST", "/dead-letters/replay", json={"endpoint": "acme"})
    assert replayed.json() == {"count": 3}
    await line.service.settled("acme", lambda totals: totals.delivered == 3)
    await line.service.logged("operator.changed", via="api", who="loopback", what="replay", count=3)


async def test_only_the_token_opens_it(line: Line) -> None:
    """With a token set, nobody else is let in, and the token is said nowhere."""
    line.service.settings["FORWARDER_ADMIN_TOKEN"] = TOKEN
    line.secrets.add(TOKEN)
    await line.receiver("acme")
    await line.start()
    for headers in ({}, {"authorization": f"Bearer {TOKEN}x"}):
        assert (await asked(line, "GET", "/routes", headers=headers)).status_code == 401
    right = {"authorization": f"Bearer {TOKEN}"}
    assert (await asked(line, "GET", "/routes", headers=right)).status_code == 200


async def test_a_foreign_host_gets_nothing(line: Line) -> None:
    """A page that asks under a name of its own, which leads here, is turned away."""
    await line.receiver("acme")
    await line.start()
    answer = await asked(line, "GET", "/status", headers={"host": "rebound.example"})
    assert answer.status_code == 403
    assert "acme" not in answer.text
