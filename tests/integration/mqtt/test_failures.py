"""Each thing that can stand in the way: one clear line, a slow retry, and a way back."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from support.mosquitto import Mosquitto
from support.ports import free_port
from support.publisher import Publisher
from support.scripted_broker import CONNACK, Conversation, hold, scripted_broker
from support.subscriber_harness import QUICK, ArrivalRecorder, running, subscribed, until

from forwarder.subscriber import Pace, try_session

USERNAME = "whatwatt.integration.client.demoapp"
IMPATIENT = Pace(dial=5.0, answer=0.3, first_retry=0.02, longest_retry=0.05, steady=30.0)


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path / "mosquitto", users={USERNAME: "secret"}) as broker:
        yield broker


FAILURES: list[Any] = [
    pytest.param({"password": "wrong"}, "refuses the login of whatwatt", id="wrong password"),
    pytest.param({"username": "nobody"}, "check FORWARDER_MQTT_USERNAME", id="unknown user"),
    pytest.param({"username": None}, "wants a username and password", id="no login at all"),
    pytest.param({"host": "a" * 64}, "cannot be resolved", id="no such host name"),
    pytest.param({"port": free_port()}, "nothing listens on", id="nothing listens"),
    pytest.param({"use_tls": True}, "speaks MQTT over TLS", id="TLS spoken to a plain port"),
]


@pytest.mark.parametrize(("change", "sentence"), FAILURES)
@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
async def test_failure_is_said_once_while_it_is_retried(
    mosquitto: Mosquitto,
    change: dict[str, Any],
    sentence: str,
    protocol: str,
) -> None:
    """Several attempts make one log line, which names what to check, and the state holds the same sentence."""
    broker = mosquitto.broker(protocol=protocol, **change)
    with capture_logs() as logs:
        async with running(broker, pace=IMPATIENT) as subscriber:
            state = await until(subscriber, lambda _: len(logs) >= 4)
    assert sentence in str(state.problem)
    assert {log["problem"] for log in logs} == {state.problem}
    assert [log["log_level"] for log in logs][:4] == ["warning", "debug", "debug", "debug"]
    assert "secret" not in str(logs)


@pytest.mark.parametrize(("change", "sentence"), FAILURES)
async def test_probe_says_the_same(
    mosquitto: Mosquitto, change: dict[str, Any], sentence: str
) -> None:
    """`check --connect` finds what the service would find."""
    assert sentence in str(await try_session(mosquitto.broker(**change), timeout_seconds=5))


async def test_trial_leaves_the_running_session_alone(mosquitto: Mosquitto) -> None:
    """A trial session has a client id of its own, made as whatwatt wants it, and finds nothing wrong."""
    async with subscribed(mosquitto.broker()) as subscriber:
        assert await try_session(mosquitto.broker(), timeout_seconds=5) is None
        assert subscriber.state.sessions == 1
    trials = [line for line in mosquitto.log.splitlines() if f"as {USERNAME}:" in line]
    assert len(trials) == 1
    assert trials[0].partition(f"as {USERNAME}:")[2].partition(" ")[0].isalnum()
    assert "c1" in trials[0]


async def test_recovery_is_said_once(mosquitto: Mosquitto) -> None:
    """When a broker is back the session goes on, and the log says so in one line."""
    mosquitto.kill()
    with capture_logs() as logs:
        async with running(mosquitto.broker()) as subscriber:
            await until(subscriber, lambda state: state.problem is not None)
            mosquitto.start()
            state = await until(subscriber, lambda state: state.subscribed)
    assert state.problem is None
    events = [log["event"] for log in logs]
    assert events == ["mqtt.failed", "mqtt.connected", "mqtt.subscribed", "mqtt.recovered"]


async def test_two_programs_with_one_client_id_are_noticed(mosquitto: Mosquitto) -> None:
    """Two sessions that throw each other out say so once each; their coming and going is no news after that."""
    pace = replace(QUICK, steady=30.0)
    with capture_logs() as logs:
        async with (
            running(mosquitto.broker(), pace=pace) as one,
            running(mosquitto.broker(), pace=pace) as other,
        ):
            await until(one, lambda state: "seems to use" in str(state.problem))
            await until(other, lambda state: "seems to use" in str(state.problem))
            state = await until(one, lambda state: state.sessions >= 8)
    news = [log["event"] for log in logs if log["log_level"] != "debug"]
    assert (news.count("mqtt.failed"), news.count("mqtt.connected")) == (2, 6)
    assert f"client id {USERNAME}; stop it, or give one of them" in str(state.problem)


async def test_session_taken_over_is_said_at_once_by_mqtt_5() -> None:
    """MQTT 5 names the reason when another client takes the id: one line, and no recovery until a session lasts."""

    async def take_over(client: Conversation) -> None:
        await client.receive()
        client.send(b"\x20\x03\x00\x00\x00")
        await client.receive()
        client.send(b"\x90\x04\x00\x01\x00\x01" + b"\xe0\x02\x8e\x00")
        await hold(client)

    async with (
        scripted_broker(take_over) as reached,
        running(replace(reached, protocol="5"), pace=IMPATIENT) as subscriber,
    ):
        with capture_logs() as logs:
            state = await until(subscriber, lambda state: state.sessions >= 5)
    assert [log["event"] for log in logs if log["log_level"] == "warning"] == ["mqtt.failed"]
    assert "mqtt.recovered" not in [log["event"] for log in logs]
    assert "gave the session to another program with the client id" in str(state.problem)


async def test_broker_s_own_reason_is_no_clash() -> None:
    """A broker that ends each session for a quota has said why; no other program is suspected."""

    async def ration(client: Conversation) -> None:
        await client.receive()
        client.send(b"\x20\x03\x00\x00\x00")
        await client.receive()
        client.send(b"\x90\x04\x00\x01\x00\x01" + b"\xe0\x02\x97\x00")
        await hold(client)

    async with (
        scripted_broker(ration) as reached,
        running(replace(reached, protocol="5"), pace=IMPATIENT) as subscriber,
    ):
        state = await until(subscriber, lambda state: state.sessions >= 6)
    assert "ended the session: a quota is used up; ask the broker's operator" in str(state.problem)


async def test_session_that_is_not_kept_is_a_warning() -> None:
    """A broker that grants an expiry of 0 loses what is published while we are away: said, while subscribed."""

    async def forget(client: Conversation) -> None:
        await client.receive()
        client.send(b"\x20\x08\x00\x00\x05\x11\x00\x00\x00\x00")
        await client.receive()
        client.send(b"\x90\x04\x00\x01\x00\x01")
        await hold(client)

    async with (
        scripted_broker(forget) as reached,
        running(replace(reached, protocol="5"), pace=IMPATIENT) as subscriber,
    ):
        state = await until(subscriber, lambda state: state.problem is not None)
    assert state.subscribed
    assert "keeps no session for us" in str(state.problem)


async def test_qos_lower_than_asked_is_a_warning(tmp_path: Path) -> None:
    """A broker that grants only QoS 0 brings messages that can be lost: said, while subscribed."""
    with Mosquitto(tmp_path / "qos0", settings=["max_qos 0"]) as mosquitto:
        async with subscribed(mosquitto.broker()) as subscriber:
            state = await until(subscriber, lambda state: state.problem is not None)
    assert state.subscribed
    assert "grants QoS 0 where 1 was asked" in str(state.problem)


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
async def test_refused_subscription_is_said_while_it_is_retried(
    tmp_path: Path, protocol: str
) -> None:
    """A broker that lets us in but not subscribe leaves us connected, not ready, and asking again slowly."""
    with Mosquitto(tmp_path / "refusing", refuses_subscriptions=True) as mosquitto:
        broker = mosquitto.broker(protocol=protocol)
        with capture_logs() as logs:
            async with running(broker, pace=IMPATIENT) as subscriber:
                await until(subscriber, lambda _: len(logs) >= 5)
                state = subscriber.state
        assert "subscribe to ext/#" in str(await try_session(broker, timeout_seconds=5))
    assert (state.connected, state.subscribed, state.sessions) == (True, False, 1)
    assert "check FORWARDER_MQTT_TOPIC" in str(state.problem)
    failures = [log["log_level"] for log in logs if log["event"] == "mqtt.failed"]
    assert failures[:3] == ["warning", "debug", "debug"]


async def test_refused_topic_is_asked_for_again_on_the_same_connection() -> None:
    """What was granted keeps flowing while the refused rest is asked for again, slowly."""

    async def refuse_then_grant(client: Conversation) -> None:
        await client.receive()
        client.send(CONNACK)
        await client.receive()
        client.send(b"\x90\x04\x00\x01\x01\x80")
        assert b"ext/#" not in await client.receive()
        client.send(b"\x90\x03\x00\x02\x01")
        await hold(client)

    async with scripted_broker(refuse_then_grant) as broker:
        both = replace(broker, topics=("ext/#", "other/#"))
        async with running(both, pace=IMPATIENT) as subscriber:
            refused = await until(subscriber, lambda state: state.problem is not None)
            granted = await until(subscriber, lambda state: state.subscribed)
    assert "subscribe to other/#" in str(refused.problem)
    assert (granted.sessions, granted.problem) == (1, None)


async def test_port_that_never_answers_is_said() -> None:
    """A port that takes the connection and stays silent is not waited for for ever."""
    async with (
        scripted_broker(hold) as broker,
        running(broker, pace=IMPATIENT) as subscriber,
    ):
        state = await until(subscriber, lambda state: state.problem is not None)
    assert "takes the connection and then stays silent" in str(state.problem)


async def test_port_that_speaks_something_else_is_said() -> None:
    """An answer that is not MQTT ends the attempt, not the program."""

    async def greet(client: Conversation) -> None:
        client.send(b"\xf0\x00")
        await hold(client)

    async with scripted_broker(greet) as broker, running(broker, pace=IMPATIENT) as subscriber:
        state = await until(subscriber, lambda state: state.problem is not None)
    assert "does not answer as an MQTT 3.1.1 broker" in str(state.problem)


async def test_topic_that_is_not_utf8_is_spelled_out() -> None:
    """MQTT forbids such topics; one that comes all the same is handed over, legibly."""

    async def publish_oddly(client: Conversation) -> None:
        await client.accept()
        client.send(b"\x32\x0a\x00\x05ext/\xff\x00\x07{")
        await hold(client)

    recorder = ArrivalRecorder()
    async with scripted_broker(publish_oddly) as broker, subscribed(broker, recorder):
        await recorder.wait(1)
    assert recorder.arrivals[0].message.topic == "ext/\\xff"
    assert recorder.arrivals[0].message.payload == b"{"


async def test_broker_that_freezes_is_left(mosquitto: Mosquitto) -> None:
    """A connection on which nothing comes any more, not even an answer to a ping, is made anew."""
    async with subscribed(mosquitto.broker(keepalive_seconds=1)) as subscriber:
        mosquitto.freeze()
        await until(subscriber, lambda state: "has gone silent" in str(state.problem))
        mosquitto.thaw()
        await until(subscriber, lambda state: state.subscribed)


async def test_messages_flow_again_after_the_password_was_corrected(mosquitto: Mosquitto) -> None:
    """Nothing has to be restarted when the broker's side was wrong."""
    recorder = ArrivalRecorder()
    broker = mosquitto.broker(username="late", client_id="late")
    async with running(broker, recorder, pace=QUICK) as subscriber:
        await until(subscriber, lambda state: state.problem is not None)
        mosquitto.add_user("late", "secret")
        await until(subscriber, lambda state: state.subscribed)
        with Publisher(mosquitto.broker()) as device:
            device.publish("ext/demoapp/ECC9FF5C7AD4", b"1")
        await recorder.wait(1)
