"""Names that strangers choose: none leads out of its place, speaks for another device, or crowds out readings."""

import sqlite3
from contextlib import closing

from support.attack import Extent, Tried
from support.line import Line, assert_told_once_in_order, topic_of
from support.receiver_policies import always
from support.webhooks import OK, UNAVAILABLE, Webhooks

VICTIM = "ECC9FF5C7F14"
NAMES = (
    "..", ".", "...", "%2e%2e", "%2e", "..%2f..", "..;", "..\\..", "?x=1", "a?b", "a@evil.example", "{device}", " ",
    "\u2025", "\uff0e\uff0e", "..%00", "~", "-", "@", ":80", "%", "%zz", "&", ";", "*", "'", '"', "<b>",
)  # fmt: skip
JUNK_BYTES = 60_000
FLOODS = {"short": 40, "full": 1_000}


def targets_of(webhooks: Webhooks) -> list[str]:
    return [post.request.line.split(" ")[1] for post in webhooks.posts]


async def test_no_name_leads_out_of_the_path(line: Line, tried: list[Tried]) -> None:
    """Whatever the topic's last level, the device is one segment of the URL; '.' and '..' are no devices."""
    webhooks = await line.receiver("acme")
    line.endpoints["acme"]["url"] = f"{webhooks.url}/hooks/{{device}}/in?token=t"
    await line.start()
    await line.publish_messages([(f"ext/partner/{name}", b'{"P_In":1}') for name in NAMES])
    taken = len(NAMES) - 2
    await webhooks.until_count(taken)
    targets = targets_of(webhooks)
    assert len(set(targets)) == taken
    for target in targets:
        assert target.startswith("/acme/hooks/")
        assert target.endswith("/in?token=t")
        assert target.count("/") == 4
        assert target.lower().replace("%2e", ".").split("/")[3] not in (".", "..")
    await line.service.counted("quarantined", 2)
    listed = await line.service.command("quarantine", "list", "--json")
    assert listed.stdout.count('"no_device"') == 2
    tried.append(Tried("names", "topic levels as devices in a URL's path", len(NAMES), "held"))


async def test_a_name_of_an_earlier_version_is_a_dead_letter(
    line: Line, tried: list[Tried]
) -> None:
    """An outbox may hold readings of '..': they wait for an operator, and others are delivered."""
    webhooks = await line.receiver("acme", always(UNAVAILABLE))
    line.endpoints["acme"]["url"] = f"{webhooks.url}/hooks/{{device}}/in"
    await line.start()
    await line.publish_messages([("ext/partner/twodots", b'{"P_In":1}')])
    await line.service.settled("acme", lambda totals: totals.pending == 1)
    await line.service.stop()
    with closing(sqlite3.connect(line.service.outbox)) as connection, connection:
        for table in ("reading", "delivery"):
            connection.execute(f"UPDATE {table} SET device = '..'")
    webhooks.posts.clear()
    webhooks.policy = always(OK)
    await line.service.start_ready()
    await line.publish(3)
    await webhooks.until_count(3)
    await line.service.settled("acme", lambda totals: (totals.dead, totals.delivered) == (1, 3))
    assert all(".." not in target for target in targets_of(webhooks))
    letters = await line.service.command("dead-letters", "list", "--json")
    assert '"reason": "unrenderable"' in letters.stdout
    tried.append(Tried("names", "an outbox that holds a device '..'", 1, "a dead letter"))


async def test_nobody_speaks_for_another_device(line: Line, tried: list[Tried]) -> None:
    """A payload with another's MAC stays the publisher's own reading; under another's topic it is a mismatch."""
    victims = await line.receiver("victims", devices=[VICTIM])
    everybody = await line.receiver("everybody")
    await line.start()
    claims = [
        f'{{"sys":{{"id":"{VICTIM}"}},"P_In":66.6}}',
        f'{{"sys_id":"{VICTIM}","P_In":66.6}}',
        f'{{"sys.id":"{VICTIM}","sys.id":"{VICTIM}","P_In":66.6}}',
        '{"P_In":66.6,"system":{"id":"ec:c9:ff:5c:7f:14"}}',
    ]
    await line.publish_messages([("ext/partner/attacker", one.encode()) for one in claims * 3])
    await line.publish_messages([(topic_of(line.fleet.devices[0]), claims[0].encode())])
    await line.service.counted("quarantined", 1)
    await everybody.until_posts(len(claims))
    assert {data["device"] for post in everybody.posts for data in post.data} == {"attacker"}
    assert all(
        VICTIM in str(data["extra"]).replace(":", "").upper()
        for post in everybody.posts
        for data in post.data
    )
    assert victims.posts == []
    await line.service.logged("device.unheeded", device="attacker", in_payload=VICTIM)
    tried.append(
        Tried("names", "another's MAC in the payload", len(claims) * 3 + 1, "none was believed")
    )


async def test_junk_does_not_crowd_out_readings(
    line: Line, extent: Extent, tried: list[Tried]
) -> None:
    """A flood under ever new names stays within its share of a small outbox, and each reading is delivered."""
    count = FLOODS[extent]
    line.service.settings |= {"FORWARDER_OUTBOX_MAX_BYTES": "2MiB"}
    webhooks = await line.receiver("acme")
    await line.start()
    junk = [(f"ext/partner/junk-{number}", b"x" * JUNK_BYTES) for number in range(count)]
    await line.publish_messages(junk)
    await line.service.counted("quarantined", count)
    await line.publish(5)
    await webhooks.until_count(5)
    assert_told_once_in_order(webhooks, line.fleet.issued)
    status = await line.service.status()
    assert status["ready"]
    assert status["quarantine"] + status["quarantine_evicted"]["not_json"] == count
    metrics = await line.service.ask("/metrics")
    assert metrics is not None
    evicted = status["quarantine_evicted"]["not_json"]
    assert f'forwarder_quarantine_evicted_total{{reason="not_json"}} {evicted}.0' in metrics.text
    tried.append(
        Tried(
            "names",
            f"junk of {JUNK_BYTES // 1000} kB under ever new names, outbox of 2 MiB",
            count,
            f"{status['quarantine']} kept, {evicted} counted; every reading delivered",
        )
    )
