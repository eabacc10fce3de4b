"""The MQTT service: the URI as whatwatt sends it, the topics, and the certificates."""

import re
import ssl
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from forwarder.files import Unreadable, printable, read_pem
from forwarder.settings.environment import PREFIX

ANONYMOUS_CLIENT_ID = "whatwatt-forwarder"
_CLIENT = "whatwatt.integration.client."
_INTEGRATION = re.compile(r"[a-z0-9_-]+")
_URI = f"{PREFIX}MQTT_URI"
_TOPIC = f"{PREFIX}MQTT_TOPIC"


@dataclass(frozen=True, slots=True)
class Broker:
    """The address and login of the MQTT service, and what to ask of it."""

    host: str
    port: int
    use_tls: bool
    client_id: str
    topics: tuple[str, ...]
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    qos: int = 1
    protocol: Literal["3.1.1", "5"] = "3.1.1"
    keepalive_seconds: int = 60
    session_expiry_seconds: int = 604800
    """MQTT 5 §3.1.2.11.2. A 3.1.1 broker decides by itself."""
    ca_file: Path | None = None
    check_hostname: bool = True
    cert_file: Path | None = None
    key_file: Path | None = None
    is_username_hidden: bool = False
    """Whether the username stands in a file. The text of files is never told, because it may be the wrong file."""

    @property
    def told_username(self) -> str:
        """The username, or else the client id, as logs and errors may have it."""
        return self._told(self.username or self.client_id)

    @property
    def told_client_id(self) -> str:
        return self._told(self.client_id)

    def _told(self, name: str) -> str:
        if not self.is_username_hidden or self.username is None:
            return name
        return name.replace(self.username, f"(that of {PREFIX}MQTT_USERNAME_FILE)")

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def deployment(self) -> str:
        """The text that all replicas on one outbox share, for people to read. A hidden client id becomes a digest."""
        client = self.told_client_id
        if client != self.client_id:
            client += f" ({blake2b(self.client_id.encode(), digest_size=4).hexdigest()})"
        return f"{client} at {self.address}, topics {' '.join(self.topics)}"


def parse_uri(uri: str | None) -> tuple[str, int, bool]:
    """
    The host, the port, and whether TLS is wanted.

    Raises ValueError with a sentence that never repeats the URI's user part.
    """
    if not uri:
        raise ValueError(f"{_URI} is not set; set it to the URI whatwatt sent, mqtts://host:8883")
    expected = f"{_URI}: expected mqtt://host[:1883] or mqtts://host[:8883]"
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError(expected) from None
    if "@" in parts.netloc:
        raise ValueError(
            f"{_URI} holds credentials; move them to {PREFIX}MQTT_USERNAME and {PREFIX}MQTT_PASSWORD"
        )
    is_bare = parts.path in ("", "/") and not parts.query and not parts.fragment
    if not host or parts.scheme not in ("mqtt", "mqtts") or not is_bare or port == 0:
        raise ValueError(expected)
    use_tls = parts.scheme == "mqtts"
    return host, port or (8883 if use_tls else 1883), use_tls


def parse_topics(topics: str | None, *, username: str | None) -> tuple[str, ...]:
    """
    The filters to subscribe to: the given ones, else the one that the username implies.

    Raises ValueError when there is none, or when one is no filter (MQTT 3.1.1 §4.7.1).
    """
    if topics:
        filters = tuple(dict.fromkeys(topics.split()))
        for topic in filters:
            _check_filter(topic)
        return filters
    return (f"ext/{_integration(username or '')}/#",)


def _integration(username: str) -> str:
    """The integration's name in a username of whatwatt's form. Raises ValueError for another form."""
    name = username.removeprefix(_CLIENT)
    if not username.startswith(_CLIENT):
        why = f"the username is not of the form {_CLIENT}<integration>"
    elif _INTEGRATION.fullmatch(name) is None:
        why = "the integration in the username is not of lower-case letters (or digits, - and _)"
    else:
        return name
    raise ValueError(
        f"{_TOPIC} is not set and cannot be derived: {why}; set it to the topic whatwatt sent, ext/<integration>/#"
    )


def check_authority(path: Path | None) -> None:
    """Raises ValueError with a sentence when there is a path and no certificate in PEM stands there."""
    if path is None:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=read_pem(path))
    except Unreadable as unreadable:
        raise ValueError(f"{PREFIX}MQTT_CA_FILE: {unreadable}") from None
    except (ssl.SSLError, ValueError):
        raise ValueError(
            f"{PREFIX}MQTT_CA_FILE: {printable(path)} holds no certificate: it must be PEM, beginning with"
            " -----BEGIN CERTIFICATE-----"
        ) from None


def check_readable(name: str, path: Path | None) -> None:
    """Raises ValueError with a sentence when there is a path and no PEM file can be read there."""
    if path is None:
        return
    try:
        read_pem(path)
    except Unreadable as unreadable:
        raise ValueError(f"{PREFIX}{name.upper()}: {unreadable}") from None


def _check_filter(topic: str) -> None:
    levels = topic.split("/")
    hash_is_last = all("#" not in level for level in levels[:-1])
    wildcards_are_alone = all(level in ("#", "+") or not set(level) & set("#+") for level in levels)
    if not (hash_is_last and wildcards_are_alone):
        raise ValueError(
            f'{_TOPIC}: "{topic}" is no topic filter; + and # stand for a whole level, # only for the last'
        )
