"""An amqtt broker in the test's own loop; it starts in milliseconds, speaks MQTT 3.1.1 only and redelivers nothing."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

# amqtt ships no py.typed, so its classes are Any here.
from amqtt.broker import Broker as AmqttServer  # type: ignore[import-untyped]
from amqtt.contexts import Action  # type: ignore[import-untyped]
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin  # type: ignore[import-untyped]
from amqtt.session import Session  # type: ignore[import-untyped]
from support.mosquitto import HOST
from support.ports import free_port

from forwarder.settings import Broker


class Passwords(BaseAuthPlugin):  # type: ignore[misc] # amqtt ships no py.typed
    """Lets in the configured users by their passwords."""

    @dataclass
    class Config:
        """The plugin's options, as amqtt wants them declared."""

        users: dict[str, str] = field(default_factory=dict)

    async def authenticate(self, *, session: Session) -> bool | None:
        users: dict[str, str] = self._get_config_option("users", {})
        return session.username in users and users[session.username] == session.password


class ReadableTopics(BaseTopicPlugin):  # type: ignore[misc] # amqtt ships no py.typed
    """Lets each user subscribe to exactly the configured filters, and publish anything."""

    @dataclass
    class Config:
        """The plugin's options, as amqtt wants them declared."""

        readable: dict[str, list[str]] = field(default_factory=dict)

    async def topic_filtering(self, *, session: Session, topic: str, action: Action) -> bool | None:
        readable: dict[str, list[str]] = self._get_config_option("readable", {})
        return action != Action.SUBSCRIBE or topic in readable.get(session.username, [])


@asynccontextmanager
async def amqtt_broker(
    *,
    users: Mapping[str, str] | None = None,
    readable: Mapping[str, Sequence[str]] | None = None,
    server_files: tuple[Path, Path] | None = None,
) -> AsyncIterator[Broker]:
    """
    A running broker, as the forwarder reaches it by the first of `users`.

    `readable` are the topic filters that each user may subscribe to; None means all.
    """
    port = free_port()
    server = AmqttServer(_configuration(port, users, readable, server_files))
    await server.start()
    try:
        yield _reached(port, users, use_tls=server_files is not None)
    finally:
        await server.shutdown()


def _configuration(
    port: int,
    users: Mapping[str, str] | None,
    readable: Mapping[str, Sequence[str]] | None,
    server_files: tuple[Path, Path] | None,
) -> dict[str, Any]:
    listener: dict[str, Any] = {"type": "tcp", "bind": f"{HOST}:{port}"}
    if server_files is not None:
        certificate, key = map(str, server_files)
        listener |= {"ssl": True, "certfile": certificate, "keyfile": key}
    plugins: dict[str, Any] = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {}}
    if users is not None:
        plugins = {"support.amqtt_broker.Passwords": {"users": dict(users)}}
    if readable is not None:
        allowed = {user: list(topics) for user, topics in readable.items()}
        plugins["support.amqtt_broker.ReadableTopics"] = {"readable": allowed}
    return {"listeners": {"default": listener}, "plugins": plugins}


def _reached(port: int, users: Mapping[str, str] | None, *, use_tls: bool) -> Broker:
    broker = Broker(
        host=HOST, port=port, use_tls=use_tls, client_id="whatwatt-forwarder", topics=("ext/#",)
    )
    if users is None:
        return broker
    username, password = next(iter(users.items()))
    return replace(broker, client_id=username, username=username, password=password)
