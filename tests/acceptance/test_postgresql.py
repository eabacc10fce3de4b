"""The real process with its outbox in a PostgreSQL database."""

import signal
from collections.abc import AsyncIterator, Callable

import pytest
from support.line import Line, assert_balanced, assert_told_once_in_order
from support.postgres import PostgresServer
from support.receiver_policies import always, unreliable
from support.service import Service
from support.webhooks import OK, Answer

from forwarder.settings import Database

PASSWORD = "swordfish"


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
    """Several on one database: one works, the others stand by."""

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
        line.service.events.clear()  # it has failed, as it should
        await second.settled("acme", lambda totals: totals.delivered == 40)
        assert await second.stop() == 0

    async def test_another_deployment_is_refused(self, line: Line, second: Service) -> None:
        """In one sentence, which names the database without its password."""
        await line.receiver("acme")
        await line.start()
        second.settings["FORWARDER_MQTT_TOPIC"] = "ext/elsewhere/#"
        refused = await second.command("run")
        assert refused.exit_code == 1
        assert "another deployment works on postgresql://" in refused.stderr
        assert PASSWORD not in refused.stderr + refused.stdout


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
