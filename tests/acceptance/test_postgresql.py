"""The real process with its outbox in a PostgreSQL database."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from support.line import Line, assert_balanced, assert_told_once_in_order
from support.postgres import PostgresServer
from support.receiver_policies import always, unreliable
from support.service import Service, eventually
from support.webhooks import OK, Answer, Webhooks

from forwarder.settings import Database

PASSWORD = "swordfish"


async def samples(service: Service) -> list[Sample]:
    """What its /metrics says."""
    answer = await service.ask("/metrics")
    assert answer is not None
    families = text_string_to_metric_families(answer.text)
    return [sample for family in families for sample in family.samples]


@pytest.fixture
def database(new_database: Callable[[], Database], line: Line) -> Database:
    """The service's outbox is in it."""
    database = new_database()
    line.service.settings["FORWARDER_OUTBOX_URL"] = database.url
    line.secrets.add(PASSWORD)
    return database


async def test_everything_arrives_once_in_order_after_a_kill(
    line: Line, database: Database
) -> None:
    """Killed in the middle of 300 messages to a flaky receiver, it delivers each of them once by webhook-id."""
    webhooks = await line.receiver("acme", unreliable(1))
    await line.start()
    await line.publish(150)
    await webhooks.until_count(60)
    await line.service.kill()
    await line.publish(150)
    await line.service.start_ready()
    await webhooks.until_count(300)
    assert_told_once_in_order(webhooks, line.fleet.issued)
    await line.service.settled("acme", lambda totals: totals.delivered == 300)
    assert_balanced(await line.service.status())


async def test_nothing_is_lost_while_the_database_is_away(line: Line) -> None:
    """Its server is killed in the middle; messages wait with the broker, and all is sent once it is back."""
    with PostgresServer(fsync="on") as server:
        line.service.settings["FORWARDER_OUTBOX_URL"] = server.database().url
        webhooks = await line.receiver("acme", unreliable(2))
        await line.start()
        await line.publish(100)
        await webhooks.until_count(40)
        server.stop()
        await line.publish(100)
        await line.service.readiness(lambda status, said: status == 503 and said["outbox"])
        server.start()
        await line.service.ready()
        await webhooks.until_count(200)
        assert_told_once_in_order(webhooks, line.fleet.issued)
        await line.service.settled("acme", lambda totals: totals.delivered == 200)
        assert_balanced(await line.service.status())
        await line.service.stop()


async def test_database_that_stands_still_holds_up_nothing_else(line: Line) -> None:
    """It answers nobody for 5 s, and sessions stay open: /healthz answers, and all goes on where it stood."""
    with PostgresServer() as server:
        line.service.settings["FORWARDER_OUTBOX_URL"] = server.database().url
        webhooks = await line.receiver("acme")
        await line.start()
        await line.publish(50)
        await webhooks.until_count(20)
        server.signal(signal.SIGSTOP)
        await line.publish(50)
        for _ in range(20):
            async with asyncio.timeout(1):
                answer = await line.service.ask("/healthz")
            assert answer is not None
            assert answer.status_code == 200
            await asyncio.sleep(0.25)
        server.signal(signal.SIGCONT)
        await webhooks.until_count(100)
        assert_told_once_in_order(webhooks, line.fleet.issued)
        await line.service.settled("acme", lambda totals: totals.delivered == 100)
        assert_balanced(await line.service.status())
        assert await line.service.stop() == 0


async def test_stop_waits_for_no_database(line: Line) -> None:
    """SIGTERM ends it also where the database stands still, while it works as while it starts."""
    with PostgresServer() as server:
        line.service.settings["FORWARDER_OUTBOX_URL"] = server.database().url
        line.service.settings["FORWARDER_DRAIN_TIMEOUT"] = "500ms"
        await line.receiver("acme")
        await line.start()
        server.signal(signal.SIGSTOP)
        await line.publish(5)
        assert await line.service.stop() == 0
        await line.service.start()
        await asyncio.sleep(2)
        assert await line.service.stop() == 0


async def test_commands_need_the_url_alone(line: Line, database: Database) -> None:
    """Status, pause, dead letters and the check of the outbox work beside the service and without it."""
    webhooks = await line.receiver("acme", always(Answer(400)))
    await line.start()
    await line.publish(3)
    await line.service.settled("acme", lambda totals: totals.dead == 3)
    listed = await line.service.command("dead-letters", "list", "--json")
    assert listed.stdout.count('"refused"') == 3
    webhooks.policy = always(OK)
    assert (await line.service.command("dead-letters", "replay", "--all")).exit_code == 0
    await line.service.settled("acme", lambda totals: totals.delivered == 3)
    assert (await line.service.command("endpoints", "pause", "acme")).exit_code == 0
    assert (await line.service.status())["endpoints"]["acme"]["state"] == "paused"
    assert await line.service.stop() == 0
    checked = await line.service.command("outbox", "check")
    assert checked.exit_code == 0, checked.stdout + checked.stderr
    assert (await line.service.status())["endpoints"]["acme"]["delivered"] == 3


class TestReplicas:
    """Two on one database: one subscribes, both deliver."""

    @pytest.fixture
    async def second(self, line: Line, database: Database) -> AsyncIterator[Service]:
        """Stands by, and knows whom it waits for."""
        line.service.settings["FORWARDER_REPLICA_NAME"] = "one"
        async with line.another_service(
            FORWARDER_OUTBOX_URL=database.url, FORWARDER_REPLICA_NAME="two"
        ) as service:
            yield service
            assert PASSWORD not in service.output

    async def test_another_one_is_ready_and_says_who_leads(
        self, line: Line, second: Service
    ) -> None:
        await line.receiver("acme")
        await line.start()
        await second.start()
        said = await second.ready()
        assert said["mqtt"]["problem"] == "not subscribed: one leads"
        assert said["replica"] == {"leads": False, "leader": "one"}
        assert "synchronous_standby_names" in said["warnings"][0]
        status = await line.service.status()
        assert [(one["name"], one["leads"]) for one in status["replicas"]] == [
            ("one", True),
            ("two", False),
        ]
        assert (await second.command("health")).exit_code == 0
        assert await second.stop() == 0

    async def test_it_goes_on_where_a_killed_leader_stopped(
        self, line: Line, second: Service
    ) -> None:
        """Nothing is lost, and each webhook-id arrives in order."""
        webhooks = await line.receiver("acme", unreliable(3))
        await line.start()
        await second.start()
        await second.ready()
        async with line.flowing():
            await webhooks.until_posts(100)
            await line.service.kill()
            await second.readiness(
                lambda status, said: status == 200 and said["mqtt"]["subscribed"]
            )
            await webhooks.until_posts(len(webhooks.posts) + 50)
        await webhooks.until_count(line.fleet.count)
        assert_told_once_in_order(webhooks, line.fleet.issued)
        await second.settled("acme", lambda totals: totals.delivered == line.fleet.count)
        assert_balanced(await second.status())
        assert await second.stop() == 0

    async def test_leader_that_is_told_to_stop_hands_over_at_once(
        self, line: Line, second: Service
    ) -> None:
        """Nothing is lost, and nothing is sent twice."""
        webhooks = await line.receiver("acme")
        await line.start()
        await second.start()
        await second.ready()
        async with line.flowing():
            await webhooks.until_count(50)
            assert await line.service.stop() == 0
            await second.readiness(
                lambda status, said: status == 200 and said["mqtt"]["subscribed"]
            )
        await webhooks.until_count(line.fleet.count)
        assert_told_once_in_order(webhooks, line.fleet.issued)
        assert len(webhooks.posts) == line.fleet.count
        assert await second.stop() == 0

    async def test_leader_that_is_told_to_stop_holds_up_no_other_endpoint(
        self, line: Line, second: Service
    ) -> None:
        """Another one subscribes while an attempt of the first still waits for its answer; nothing is sent twice."""
        line.service.settings["FORWARDER_DRAIN_TIMEOUT"] = "60s"
        receivers = [await line.receiver(name) for name in ("one", "two")]
        await line.start()
        await second.start()
        await second.ready()
        await line.publish(1)
        slow, fast = await self._by_home(line.service, receivers)
        gate = asyncio.Event()
        slow.policy = always(Answer(after=gate))
        await line.publish(1)
        await slow.until_posts(2)
        stopping = asyncio.create_task(line.service.stop())
        await second.readiness(lambda status, said: status == 200 and said["mqtt"]["subscribed"])
        await line.publish(10)
        await fast.until_count(12)
        assert not stopping.done()
        health = await line.service.ask("/healthz")
        assert health is not None
        assert health.status_code == 200
        slow.policy = always(OK)
        gate.set()
        assert await stopping == 0
        for webhooks in receivers:
            await webhooks.until_count(12)
            assert_told_once_in_order(webhooks, line.fleet.issued)
            assert len(webhooks.posts) == 12
        assert await second.stop() == 0

    async def _by_home(self, leader: Service, receivers: list[Webhooks]) -> list[Webhooks]:
        """The endpoint whose home is the leader first, once each replica has one."""

        async def look() -> list[Webhooks] | None:
            homes = {one["name"]: one["endpoints"] for one in (await leader.status())["replicas"]}
            if [len(homes.get(name, ())) for name in ("one", "two")] != [1, 1]:
                return None
            return sorted(receivers, key=lambda one: one.name not in homes["one"])

        spread = await eventually(look, what="a home on each replica")
        assert spread is not None
        return spread

    async def test_stopped_leader_that_wakes_changes_nothing(
        self, line: Line, second: Service
    ) -> None:
        """It was declared dead meanwhile: what it still wants to store is refused, and it ends."""
        webhooks = await line.receiver("acme")
        await line.start()
        await second.start()
        await second.ready()
        await line.publish(20)
        await webhooks.until_count(20)
        line.service.send(signal.SIGSTOP)
        await second.readiness(lambda status, said: status == 200 and said["mqtt"]["subscribed"])
        line.service.send(signal.SIGCONT)
        await line.publish(20)
        await webhooks.until_count(40)
        assert_told_once_in_order(webhooks, line.fleet.issued)
        assert await line.service.ended() == 1
        assert "has taken over" in "".join(line.service.complaints)
        await second.settled("acme", lambda totals: totals.delivered == 40)
        assert await second.stop() == 0

    async def test_leader_without_a_session_makes_way(self, line: Line, second: Service) -> None:
        """The broker takes it no more, and would take the other: that one leads, and this one starts anew."""
        webhooks = await line.receiver("acme")
        line.service.settings["FORWARDER_MQTT_PASSWORD"] = "no longer right"
        line.write_routes()
        await line.service.start()
        await line.service.logged("replica.leads")
        await second.start()
        assert await line.service.ended() == 1
        assert "another replica could have one" in line.service.complaints[-1]
        await second.readiness(lambda status, said: status == 200 and said["mqtt"]["subscribed"])
        await line.publish(10)
        await webhooks.until_count(10)
        assert await second.stop() == 0

    async def test_whoever_does_not_lead_takes_every_order(
        self, line: Line, second: Service
    ) -> None:
        """Page, API, share and purge, of what the other one delivers to as well."""
        webhooks = await line.receiver("acme", always(Answer(400)))
        await line.start()
        await second.start()
        await second.ready()
        await line.publish(5)
        await second.settled("acme", lambda totals: totals.dead == 5)
        page = await second.ask("/endpoints/acme")
        assert page is not None
        assert "5" in page.text
        webhooks.policy = always(OK)
        async with httpx.AsyncClient(base_url=f"http://{second.address}") as client:
            replayed = await client.post("/api/v1/dead-letters/replay", json={"endpoint": "acme"})
            assert replayed.json() == {"count": 5}
            await second.settled("acme", lambda totals: totals.delivered == 5)
            assert (await client.post("/api/v1/endpoints/acme/pause")).status_code == 200
            shared = await client.post("/api/v1/endpoints/acme/shares", json={"for": "1d"})
            link = urlsplit(shared.json()["url"])
            for either in (line.service, second):
                assert (await either.status())["endpoints"]["acme"]["state"] == "paused"
                shown = await either.ask(link.path)
                assert shown is not None
                assert shown.status_code == 200
        device = webhooks.posts[0].device
        assert (await second.command("purge", "--device", device, "--yes")).exit_code == 0
        left = await line.service.command("deliveries", "list", "--device", device, "--json")
        assert webhooks.posts[0].webhook_id not in left.stdout

    async def test_another_deployment_is_refused(self, line: Line, second: Service) -> None:
        """In one sentence, which names the database without its password."""
        await line.receiver("acme")
        await line.start()
        second.settings["FORWARDER_MQTT_TOPIC"] = "ext/elsewhere/#"
        for command in ("check", "run"):
            refused = await second.command(command)
            assert refused.exit_code == 1
            assert "another deployment works on postgresql://" in refused.stderr
            assert PASSWORD not in refused.stderr + refused.stdout
        assert (await line.service.command("check")).exit_code == 0
        assert await line.service.stop() == 0
        refused = await second.command("outbox", "copy", "--to", "sqlite:///copy/outbox.db")
        assert refused.exit_code == 1
        assert "is the outbox of another deployment" in refused.stderr
        copied = await line.service.command("outbox", "copy", "--to", "sqlite:///copy/outbox.db")
        assert copied.exit_code == 0, copied.stderr


class TestThreeReplicas:
    """Endpoints spread over them; whichever goes, the others go on with what it had."""

    @pytest.fixture
    async def three(self, line: Line, database: Database) -> AsyncIterator[list[Service]]:
        """All ready; the first one leads."""
        async with AsyncExitStack() as stack:
            services = [line.service]
            line.service.settings["FORWARDER_REPLICA_NAME"] = "one"
            for name in ("two", "three"):
                another = line.another_service(
                    FORWARDER_OUTBOX_URL=database.url, FORWARDER_REPLICA_NAME=name
                )
                services.append(await stack.enter_async_context(another))
            yield services

    @pytest.fixture
    async def receivers(self, line: Line, three: list[Service]) -> list[Webhooks]:
        """Six endpoints, two of them with their home on each replica."""
        receivers = [await line.receiver(f"endpoint-{number}") for number in range(6)]
        line.write_routes()
        for service in three:
            await service.start_ready()
        await line.publish(10)
        await self._until_spread(three[0], replicas=3)
        return receivers

    async def _until_spread(self, service: Service, *, replicas: int) -> dict[str, list[str]]:
        async def look() -> dict[str, list[str]] | None:
            status = await service.status()
            homes = {one["name"]: one["endpoints"] for one in status["replicas"]}
            is_even = [len(some) for some in homes.values()] == [6 // replicas] * replicas
            return homes if is_even else None

        homes = await eventually(look, what="an even spread of homes")
        assert homes is not None
        return homes

    async def _all_arrived(self, line: Line, receivers: list[Webhooks], service: Service) -> None:
        for webhooks in receivers:
            await webhooks.until_count(line.fleet.count)
            assert_told_once_in_order(webhooks, line.fleet.issued)
        count = line.fleet.count
        for webhooks in receivers:
            await service.settled(webhooks.name, lambda totals: totals.delivered == count)
        assert_balanced(await service.status())

    async def test_all_deliver_and_each_counts_its_own(
        self, line: Line, three: list[Service], receivers: list[Webhooks]
    ) -> None:
        """Nothing is sent twice, and metrics add up over the replicas."""
        await line.publish(50)
        await self._all_arrived(line, receivers, three[1])
        assert [len(one.posts) for one in receivers] == [line.fleet.count] * 6
        owned = leaders = 0.0
        delivered = dict.fromkeys((one.name for one in receivers), 0.0)
        for service in three:
            for sample in await samples(service):
                owned += sample.value if sample.name == "forwarder_endpoints_owned" else 0
                leaders += sample.value if sample.name == "forwarder_leader" else 0
                if sample.name == "forwarder_deliveries_total":
                    delivered[sample.labels["endpoint"]] += sample.value
        assert (owned, leaders) == (6, 1)
        assert set(delivered.values()) == {line.fleet.count}
        for service in three:
            assert await service.stop() == 0

    async def test_killed_owner_and_killed_leader_lose_nothing(
        self, line: Line, three: list[Service], receivers: list[Webhooks]
    ) -> None:
        """First one that only delivers, then the one that subscribes: the last one goes on with everything."""
        async with line.flowing():
            await asyncio.gather(*(one.until_count(60) for one in receivers))
            await three[1].kill()
            await self._until_spread(three[2], replicas=2)
            await three[0].kill()
            await three[2].readiness(
                lambda status, said: status == 200 and said["mqtt"]["subscribed"]
            )
            await self._until_spread(three[2], replicas=1)
        await self._all_arrived(line, receivers, three[2])
        assert await three[2].stop() == 0

    async def test_rolling_restart_repeats_nothing(
        self, line: Line, three: list[Service], receivers: list[Webhooks]
    ) -> None:
        """Each is told to stop and starts again, the leader first."""
        async with line.flowing():
            for service in three:
                assert await service.stop() == 0
                await service.start_ready()
        await self._all_arrived(line, receivers, three[0])
        assert [len(one.posts) for one in receivers] == [line.fleet.count] * 6
        for service in three:
            assert await service.stop() == 0

    async def test_other_routes_on_one_replica_are_told(
        self, line: Line, three: list[Service], receivers: list[Webhooks]
    ) -> None:
        """As a warning of each, which stays ready."""
        del receivers
        other = line.folder / "other.yaml"
        other.write_text(line.routes_text() + "\n# edited here alone\n")
        assert await three[1].stop() == 0
        three[1].settings["FORWARDER_ROUTES_FILE"] = str(other)
        await three[1].start_ready()
        said = await three[0].readiness(
            lambda status, said: status == 200 and "routes.yaml" in str(said["warnings"])
        )
        assert "routes.yaml differs from that of replica two" in said["warnings"]
        for service in three:
            assert await service.stop() == 0


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://forwarder:{PASSWORD}@127.0.0.1:1/outbox",
        f"postgresql://forwarder:{PASSWORD}@127.0.0.1:port/outbox",
        f"postgresql://forwarder:{PASSWORD}@host.invalid/outbox?sslmode={PASSWORD}",
    ],
)
async def test_database_out_of_reach_is_one_sentence(line: Line, url: str) -> None:
    """For the service as for a command; the password is in neither."""
    await line.receiver("acme")
    line.write_routes()
    line.service.settings["FORWARDER_OUTBOX_URL"] = url
    for command in (("run",), ("status",), ("check",)):
        refused = await line.service.command(*command)
        assert refused.exit_code in (1, 2)
        assert refused.stderr.strip()
        assert "Traceback" not in refused.stderr
        assert PASSWORD not in refused.stderr + refused.stdout
