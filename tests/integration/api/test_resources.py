"""What the commands do, as JSON."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import BaseModel
from support.outbox_builder import BERN, NOW, ZURICH, OutboxBuilder
from support.transports import AnyReceiver

from forwarder.api import answers
from forwarder.api.operations import OPERATIONS
from forwarder.api.requests import encode_cursor
from forwarder.sender.failure import TransportFailure

READING = b'{"sys_id": "ECC9FF5C7AD4", "P_In": 1.2345}'


async def got(api: httpx.AsyncClient, path: str, **query: Any) -> Any:
    answer = await api.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return held(path, answer)


async def posted(api: httpx.AsyncClient, path: str, body: object = None, **query: Any) -> Any:
    answer = await api.post(path, params=query, json={} if body is None else body)
    assert answer.status_code == 200, answer.text
    return held(path, answer)


def held(path: str, answer: httpx.Response) -> Any:
    """The answer, held against the form that the document promises."""
    form = _form(answer.request.method, path)
    return form.model_validate_json(answer.content) and json.loads(answer.content)


def _form(method: str, path: str) -> type[BaseModel]:
    parts = path.strip("/").split("/")
    for one in OPERATIONS:
        pattern = one.path.strip("/").split("/")
        fits = len(pattern) == len(parts) and all(
            "{" in a or a == b for a, b in zip(pattern, parts, strict=True)
        )
        if fits and one.method == method and not isinstance(one.answer, str):
            return one.answer
    raise AssertionError(f"no resource {path}")


async def test_status_tells_the_accounts(api: httpx.AsyncClient, built: OutboxBuilder) -> None:
    """`status` has each endpoint of the routes, with its accounts."""
    built.delivery("acme", "delivered")
    built.delivery("acme", "dead")
    status = await got(api, "/status")
    assert status["ready"] is True
    acme = status["endpoints"]["acme"]
    assert (acme["delivered"], acme["dead"], acme["dead_letters"]) == (1, 1, 1)
    assert status["endpoints"]["home"]["enqueued"] == 0


async def test_endpoints_pause_and_go_on(api: httpx.AsyncClient, built: OutboxBuilder) -> None:
    """A pause is said to change one, changes one, and changes none the second time."""
    built.delivery("acme", "pending")
    assert await posted(api, "/endpoints/acme/pause", dry_run=True) == {"count": 1}
    assert (await got(api, "/endpoints/acme"))["state"] == "closed"
    assert await posted(api, "/endpoints/acme/pause") == {"count": 1}
    assert await posted(api, "/endpoints/acme/pause") == {"count": 0}
    assert (await got(api, "/endpoints/acme"))["paused_by"] == "operator"
    assert await posted(api, "/endpoints/acme/resume", dry_run=True) == {"count": 1}
    assert await posted(api, "/endpoints/acme/resume") == {"count": 1}
    assert (await got(api, "/endpoints"))["items"][0]["state"] == "closed"


async def test_links_are_made_listed_and_ended(
    api: httpx.AsyncClient, built: OutboxBuilder
) -> None:
    """The link is told once; the list has none, and what is ended is gone."""
    built.delivery("acme", "pending")
    made = await posted(api, "/endpoints/acme/shares", {"for": "12h"})
    assert made["url"].startswith(f"https://forwarder.example/share/{made['id']}.")
    assert "url" not in (await got(api, "/endpoints/acme/shares"))["items"][0]
    assert (await got(api, "/endpoints/home/shares"))["items"] == []
    path = f"/endpoints/acme/shares/{made['id']}"
    assert (await api.delete(path, params={"dry_run": True})).json() == {"count": 1}
    elsewhere = await api.delete(f"/endpoints/home/shares/{made['id']}")
    assert elsewhere.status_code == 404
    assert (await api.delete(path)).json() == {"count": 1}
    assert (await api.delete(path)).status_code == 404
    assert (await got(api, "/endpoints/acme/shares"))["items"] == []


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/endpoints/acme/shares", {"for": "soon"}, 400),
        ("/endpoints/acme/shares", {"for": "400d"}, 400),
        ("/endpoints/acme/shares", {"for": -1}, 400),
        ("/endpoints/acmee/shares", {}, 404),
        ("/endpoints/acmee/test", {}, 404),
    ],
)
async def test_what_cannot_be_shared_is_a_problem(
    api: httpx.AsyncClient, built: OutboxBuilder, path: str, body: object, status: int
) -> None:
    """An endpoint that there is not, and a time that is none."""
    built.delivery("acme", "pending")
    answer = await api.post(path, json=body)
    assert answer.status_code == status
    assert answer.json()["detail"]


CHANGES = [
    ("/endpoints/acme/pause", {}, ("pause", "acme", 1)),
    ("/endpoints/acme/shares", {}, ("share", "acme", 1)),
    ("/dead-letters/replay", {"endpoint": "acme"}, ("replay", "acme", 2)),
    ("/dead-letters/replay", {"all": True, "to": "home"}, ("replay", "home", 2)),
    ("/dead-letters/discard", {"all": True}, ("discard", None, 2)),
    ("/quarantine/discard", {"all": True}, ("discard_quarantined", None, 1)),
]


@pytest.mark.parametrize(("path", "body", "expected"), CHANGES)
async def test_changes_leave_a_record(
    api: httpx.AsyncClient,
    built: OutboxBuilder,
    path: str,
    body: object,
    expected: tuple[str, str | None, int],
) -> None:
    """Who asked, what it was, and how many; a dry run leaves none."""
    for _ in range(2):
        built.delivery("acme", "dead")
    built.quarantine()
    if not path.endswith("shares"):
        await posted(api, path, body, dry_run=True)
    assert (await got(api, "/audit"))["items"] == []
    await posted(api, path, body)
    (record,) = (await got(api, "/audit"))["items"]
    assert (record["what"], record["endpoint"], record["count"]) == expected
    assert (record["via"], record["who"]) == ("api", "loopback")


async def test_the_audit_goes_on_where_it_ended(
    api: httpx.AsyncClient, built: OutboxBuilder
) -> None:
    """The newest stands in front; a cursor of another list is refused."""
    built.delivery("acme", "pending")
    for what in ("pause", "resume", "pause"):
        await posted(api, f"/endpoints/acme/{what}")
    first = await got(api, "/audit", limit=2)
    second = await got(api, "/audit", limit=2, cursor=first["next"])
    assert [one["what"] for one in first["items"] + second["items"]] == ["pause", "resume", "pause"]
    assert "next" not in second
    wrong = await api.get("/audit", params={"cursor": encode_cursor((1.5, "x"))})
    assert wrong.status_code == 400


async def test_a_test_is_sent_and_its_answer_told(
    api: httpx.AsyncClient, receiver: AnyReceiver
) -> None:
    """The endpoint gets one signed event of no device, and nothing of it is in the outbox."""
    told = await posted(api, "/endpoints/acme/test")
    assert (told["ok"], told["status"], told["address"]) == (True, 204, "192.0.2.7")
    (sent,) = receiver.received
    assert json.loads(sent.content)["type"] == "webhook.test"
    assert sent.headers["webhook-signature"].startswith("v1,")
    assert (await got(api, "/status"))["endpoints"]["acme"]["enqueued"] == 0


@pytest.mark.parametrize(
    ("status", "failure", "word"),
    [
        (503, None, "http_503"),
        (200, TransportFailure("timeout", "no answer within 10 s"), "timeout"),
    ],
)
async def test_a_test_that_fails_says_how(
    api: httpx.AsyncClient,
    receiver: AnyReceiver,
    status: int,
    failure: TransportFailure | None,
    word: str,
) -> None:
    """A refusal and no answer at all are answers to the one who asked, in the words of the attempts."""
    receiver.status, receiver.failure, receiver.answer = status, failure, b"not today"
    told = await posted(api, "/endpoints/acme/test")
    assert (told["ok"], told["error"]) == (False, word)
    assert told["answer"] == ("" if failure else "not today")


async def test_lists_go_on_where_they_ended(api: httpx.AsyncClient, built: OutboxBuilder) -> None:
    """Pages give each row once, in the list's order, also where rows leave and come meanwhile."""
    ids = [built.delivery("acme", "dead") for _ in range(5)]
    first = await got(api, "/dead-letters", limit=2)
    await posted(api, "/dead-letters/discard", {"ids": [ids[1]]})
    second = await got(api, "/dead-letters", limit=2, cursor=first["next"])
    third = await got(api, "/dead-letters", limit=2, cursor=second["next"])
    assert [one["id"] for page in (first, second, third) for one in page["items"]] == ids
    assert "next" not in third


async def test_deliveries_newest_first(api: httpx.AsyncClient, built: OutboxBuilder) -> None:
    """Deliveries of one reading to several endpoints stay together over the end of a page."""
    for _ in range(2):
        built.reading("acme", "home")
    pages: list[tuple[str, str]] = []
    cursor: dict[str, str] = {}
    for _ in range(4):
        page = await got(api, "/deliveries", limit=1, **cursor)
        pages += [(one["id"], one["endpoint"]) for one in page["items"]]
        cursor = {"cursor": page.get("next", "")}
    newest, oldest = built.id_of(2), built.id_of(1)
    assert pages == [(newest, "acme"), (newest, "home"), (oldest, "acme"), (oldest, "home")]
    assert cursor == {"cursor": ""}


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ({"device": "ec:c9:ff:5c:7f:14"}, [2]),
        ({"endpoint": "home"}, [3]),
        ({"state": "delivered"}, [1]),
        ({"since": "2025-11-18T10:40:00Z"}, [3]),
        ({"until": "2025-11-18T10:40:00Z"}, [2, 1]),
    ],
)
async def test_filters(
    api: httpx.AsyncClient, built: OutboxBuilder, query: dict[str, str], numbers: list[int]
) -> None:
    """The commands' filters narrow the lists down."""
    built.delivery("acme", "delivered")
    built.delivery("acme", "dead", device=BERN)
    built.delivery("home", "pending", at=NOW + 3600)
    listed = await got(api, "/deliveries", **query)
    assert built.numbers(listed["items"]) == numbers


async def test_names_are_looked_up_in_the_routes_in_force(
    api: httpx.AsyncClient, built: OutboxBuilder, tmp_path: Path
) -> None:
    """The routing file is not read again for a request: of thousands of endpoints that takes a second."""
    built.delivery("acme", "dead")
    (tmp_path / "routes.yaml").unlink()
    for path in ("/deliveries", "/dead-letters"):
        assert len((await got(api, path, endpoint="acme"))["items"]) == 1
        assert (await got(api, path, endpoint="home"))["items"] == []


async def test_a_delivery_has_its_attempts(api: httpx.AsyncClient, built: OutboxBuilder) -> None:
    """One reading's deliveries are told by the beginning of its id; its digits stay as the device sent them."""
    identity = built.delivery("acme", "dead")
    answer = await api.get(f"/deliveries/{identity[:12]}")
    (one,) = held("/deliveries/x", answer)["items"]
    assert one["history"][0]["status"] is not None
    assert '"active_power_import_kw":7.8490' in answer.text
    assert (await got(api, f"/dead-letters/{identity}"))["items"][0]["id"] == identity


async def test_dead_letters_are_replayed(api: httpx.AsyncClient, built: OutboxBuilder) -> None:
    """A dry run changes nothing and says how many; the replay makes them pending."""
    built.delivery("acme", "dead")
    built.delivery("home", "dead")
    body = {"endpoint": "acme"}
    assert await posted(api, "/dead-letters/replay", body, dry_run=True) == {"count": 1}
    assert (await got(api, "/endpoints/acme"))["pending"] == 0
    assert await posted(api, "/dead-letters/replay", body) == {"count": 1}
    assert (await got(api, "/endpoints/acme"))["pending"] == 1
    moved = await posted(api, "/dead-letters/replay", {"all": True, "to": "acme"})
    assert moved == {"count": 1}


async def test_nothing_is_meant_by_accident(api: httpx.AsyncClient, built: OutboxBuilder) -> None:
    """A body that says nothing means nothing: everything is said with `all`."""
    built.delivery("acme", "dead")
    for path in ("/dead-letters/discard", "/quarantine/discard", "/dead-letters/replay"):
        answer = await api.post(path, json={})
        assert answer.status_code == 400
        assert "ids, a filter, or all: true" in answer.json()["detail"]
    assert await posted(api, "/dead-letters/discard", {"all": True}) == {"count": 1}


async def test_quarantine(api: httpx.AsyncClient, built: OutboxBuilder) -> None:
    """A message is listed, shown with its bytes, decoded anew, replayed and discarded."""
    topic = f"ext/acme/{ZURICH}"
    built.quarantine(b"\xff no json", topic=topic)
    built.quarantine(READING, topic=topic)
    (first, second) = (await got(api, "/quarantine"))["items"]
    assert (await got(api, f"/quarantine/{first['id']}"))["payload_base64"] == "/yBubyBqc29u"
    raw = await api.get(f"/quarantine/{first['id']}/raw")
    assert raw.content == b"\xff no json"
    assert raw.headers["content-type"] == "application/octet-stream"
    assert (await got(api, f"/quarantine/{first['id']}/decoded"))["quarantine"] == "not_utf8"
    assert (await got(api, f"/quarantine/{second['id']}/decoded"))["reading"]["device"] == ZURICH
    replayed = await posted(api, "/quarantine/replay", {"device": ZURICH})
    assert replayed == {"count": 1, "unreadable": 1}
    assert await posted(api, "/quarantine/discard", {"ids": [str(first["id"])]}) == {"count": 1}
    assert (await got(api, "/quarantine"))["items"] == []


async def test_routes(api: httpx.AsyncClient, built: OutboxBuilder) -> None:
    """Who gets what, and why a device is somebody's."""
    everyone = await got(api, "/routes")
    assert everyone["endpoints"]["acme"]["devices"] == "*"
    assert everyone["groups"] == {"zurich": 1}
    device = await got(api, "/routes", device="ec-c9-ff-5c-7a-d4")
    assert [one["endpoint"] for one in device["endpoints"]] == ["acme", "home"]


async def test_devices(api: httpx.AsyncClient, built: OutboxBuilder) -> None:
    """Devices of the routes and of the quarantine, a page at a time, and everything about one."""
    built.quarantine(device=BERN)
    first = await got(api, "/devices", limit=1)
    rest = await got(api, "/devices", cursor=first["next"])
    assert [one["device"] for one in (*first["items"], *rest["items"])] == [ZURICH, BERN]
    one = await got(api, f"/devices/{BERN}")
    assert one["because"] == {"acme": ["every device"]}
    assert one["quarantine"][0]["reason"] == "not_json"
    assert (await got(api, "/devices", unrouted=True))["items"] == []


async def test_decode(api: httpx.AsyncClient, built: OutboxBuilder) -> None:
    """A payload becomes what it would, digits and all, or its reason."""
    answer = await api.post("/decode", content=READING)
    assert held("/decode", answer)["reading"]["device"] == ZURICH
    assert "1.2345" in answer.text
    broken = held("/decode", await api.post("/decode", content=b"{", params={"topic": "a/b"}))
    assert broken["quarantine"] == "not_json"


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/nothing", 404, "no such resource"),
        ("/deliveries?limit=0", 400, "limit"),
        ("/deliveries?limit=1001", 400, "limit"),
        ("/deliveries?limit=x", 400, "limit"),
        ("/deliveries?colour=red", 400, "colour"),
        ("/deliveries?endpoint=acme&endpoint=home", 400, "once"),
        ("/deliveries?endpoint=acne", 400, "did you mean"),
        ("/deliveries?cursor=%00", 400, "cursor"),
        ("/deliveries?cursor=WzEsMiwzXQ", 400, "another list"),
        ("/deliveries?since=yesterday", 400, "is no instant"),
        ("/deliveries/msg_00", 404, "there is no delivery"),
        ("/deliveries/x", 400, "is not the id"),
        ("/quarantine/9", 404, "no message 9"),
        ("/quarantine/x/raw", 400, "they are numbers"),
        ("/endpoints/none", 404, "no endpoint 'none'"),
        ("/routes?device=" + "x" * 3, 200, "endpoints"),
    ],
)
async def test_problems(
    api: httpx.AsyncClient, built: OutboxBuilder, path: str, status: int, says: str
) -> None:
    """What cannot be answered is a problem of RFC 9457, whose detail is one sentence."""
    answer = await api.get(path)
    assert answer.status_code == status, answer.text
    assert says in answer.text
    if status != 200:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answers.Problem.model_validate(answer.json()).status == status
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_method_that_is_not_there(api: httpx.AsyncClient, built: OutboxBuilder) -> None:
    """A wrong method is told which ones there are."""
    answer = await api.post("/status")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


async def test_no_outbox_yet(api: httpx.AsyncClient) -> None:
    """Where there is no outbox there is nothing to list, and that is said."""
    answer = await api.get("/deliveries")
    assert answer.status_code == 404
    assert "start the service once" in answer.json()["detail"]
