"""The paho client of one connection, and the CONNECT with which it opens."""

import socket
from collections.abc import Callable

from paho.mqtt.client import MQTT_CLEAN_START_FIRST_ONLY, Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from forwarder.settings import Broker
from forwarder.subscriber.shared_socket import SharedSocket

RECEIVE_MAXIMUM = 1000
"""Most unacknowledged messages that an MQTT 5 broker may hand us (§3.1.2.11.3). A 3.1.1 broker decides by itself."""


class SharingClient(Client):
    """A paho client that opens its socket, and from then on uses it through a SharedSocket."""

    look: Callable[[], None] = staticmethod(lambda: None)
    """Called in the dialling thread when the socket is open. It raises when CONNECT must not leave."""

    # paho has no public way to be given a socket, or to be fed packets. Everything else here is its public API.
    def _create_socket(self) -> SharedSocket:
        sock = super()._create_socket()
        if not isinstance(sock, socket.socket):
            raise TypeError(type(sock))
        # PUBACKs are small: with Nagle's algorithm a second write would wait until the broker's TCP answers the first.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self.look()
        except BaseException:
            sock.close()
            raise
        return SharedSocket(sock)


def new_client(broker: Broker, *, keeps_session: bool) -> SharingClient:
    is_mqtt5 = broker.protocol == "5"
    client = SharingClient(
        CallbackAPIVersion.VERSION2,
        client_id=broker.client_id,
        clean_session=None if is_mqtt5 else not keeps_session,
        protocol=MQTTProtocolVersion.MQTTv5 if is_mqtt5 else MQTTProtocolVersion.MQTTv311,
        # paho would dial again by itself, in the middle of a read, when a broker refuses the protocol.
        reconnect_on_failure=False,
        manual_ack=True,
    )
    if broker.username is not None:
        client.username_pw_set(broker.username, broker.password)
    return client


def connect(client: Client, broker: Broker, *, keeps_session: bool) -> None:
    """Open the socket, TLS included, and queue CONNECT. Blocks; raises what socket and ssl raise."""
    is_mqtt5 = broker.protocol == "5"
    client.connect(
        broker.host,
        broker.port,
        keepalive=broker.keepalive_seconds,
        # paho's default starts clean at the first connect of a process, and so wipes the session.
        clean_start=not keeps_session if is_mqtt5 else MQTT_CLEAN_START_FIRST_ONLY,
        properties=_properties(broker, keeps_session=keeps_session) if is_mqtt5 else None,
    )


def _properties(broker: Broker, *, keeps_session: bool) -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho leaves it untyped
    properties.ReceiveMaximum = RECEIVE_MAXIMUM
    if keeps_session:
        properties.SessionExpiryInterval = broker.session_expiry_seconds
    return properties
