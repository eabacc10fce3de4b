"""Every setting: its name, form, range and default."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from forwarder.addresses import IPNetwork, is_loopback_host, parse_networks
from forwarder.errors import SettingsError
from forwarder.settings.broker import (
    ANONYMOUS_CLIENT_ID,
    Broker,
    check_authority,
    check_readable,
    parse_topics,
    parse_uri,
)
from forwarder.settings.database import OutboxPlace, outbox_place
from forwarder.settings.environment import PREFIX, environment, secrets_from_files
from forwarder.settings.sentences import sentence
from forwarder.units import parse_duration, parse_size

T = TypeVar("T")


def _duration(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


def _size(value: object) -> object:
    return parse_size(value) if isinstance(value, str) else value


def _networks(value: object) -> object:
    return parse_networks(value) if isinstance(value, str) else value


_ANY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 - what a server listens on, not what people call it
Seconds = Annotated[float, BeforeValidator(_duration, json_schema_input_type=str)]
Bytes = Annotated[int, BeforeValidator(_size, json_schema_input_type=str)]
Networks = Annotated[tuple[IPNetwork, ...], BeforeValidator(_networks, json_schema_input_type=str)]


class Settings(BaseModel):
    """Every setting, validated; the defaults are those of a small deployment on one machine."""

    model_config = ConfigDict(frozen=True)

    _is_username_in_file: bool = PrivateAttr(default=False)

    mqtt_uri: str | None = Field(
        None, description="`mqtt://host[:1883]` or `mqtts://host[:8883]`; required to run"
    )
    mqtt_username: str | None = Field(None, description="as whatwatt sent it")
    mqtt_password: SecretStr | None = Field(None, description="as whatwatt sent it")
    mqtt_ca_file: Path | None = Field(
        None, description="the MQTT server's public certificate as whatwatt sent it (PEM)"
    )
    mqtt_tls_hostname_check: bool = Field(
        default=True,
        description="false only for a pinned certificate whose name differs from the host",
    )
    mqtt_cert_file: Path | None = Field(None, description="client certificate (PEM)")
    mqtt_key_file: Path | None = Field(None, description="its key (PEM)")
    mqtt_client_id: str | None = Field(None, description="default: the username")
    mqtt_topic: str | None = Field(
        None,
        description="one topic filter, or several separated by spaces; default `ext/<integration>/#`",
    )
    mqtt_allow_plain: bool = Field(
        default=False,
        description="true: the password may go over mqtt:// in clear, to another host than this one",
    )
    mqtt_qos: int = Field(1, ge=0, le=1, description="0 or 1")
    mqtt_protocol: Literal["3.1.1", "5"] = Field("3.1.1", description="3.1.1 or 5")
    mqtt_keepalive: Seconds = Field(60.0, ge=5, le=65535, description="MQTT keep-alive")
    mqtt_session_expiry: Seconds = Field(
        604800.0,
        ge=0,
        le=4294967295,
        description="MQTT 5 only: how long the broker keeps our session",
    )
    trust_payload_device: Literal["auto", "true", "false"] = Field(
        "auto",
        description="whether, under a topic that ends in no MAC, the payload's own MAC names the device;"
        " auto: only where FORWARDER_MQTT_TOPIC is set",
    )
    template_file: Path | None = Field(
        None, description="the payload template exactly as given to whatwatt"
    )
    timezone: str = Field("Europe/Zurich", description="of times that carry no offset")
    max_message_bytes: Bytes = Field(65536, ge=256, description="larger messages are quarantined")
    routes_file: Path = Field(Path("routes.yaml"), description="the routing file")
    secrets_dir: Path | None = Field(
        None,
        description="confines every `file:` of the routing file, and the client certificates that it names",
    )
    outbox_url: SecretStr = Field(
        SecretStr("sqlite:///data/outbox.db"),
        description="three slashes: relative path, four: absolute; or `postgresql://user:password@host:5432/database`"
        " for any number of replicas on one database",
    )
    replica_name: str | None = Field(
        None,
        description="how people call this replica, where several share an outbox; default: the host name",
    )
    outbox_max_bytes: Bytes = Field(
        10 << 30, ge=1 << 20, description="at the limit new messages are no longer acknowledged"
    )
    quarantine_max_bytes: Bytes | None = Field(
        None,
        ge=0,
        description="how much of the outbox quarantined messages may take, the oldest go first;"
        " default: 5 % of FORWARDER_OUTBOX_MAX_BYTES, at most 256MiB",
    )
    keep_delivered: Seconds = Field(
        86400.0,
        ge=0,
        description="how long delivered readings stay in the delivery log, within a tenth of the outbox",
    )
    keep_dead: Seconds = Field(
        2592000.0, ge=0, description="how long dead letters and quarantined messages are kept"
    )
    http_listen: str = Field("127.0.0.1:8080", description="health, metrics, the API and the page")
    admin_token: SecretStr | None = Field(
        None,
        min_length=16,
        description="bearer token of the API and the page; without one they answer only while listening on loopback,"
        " to a loopback Host",
    )
    public_url: str | None = Field(
        None,
        description="how people reach the page and the API: accepted as Host and Origin, and what links begin with;"
        " default: the listen address",
    )
    log_format: Literal["console", "json"] | None = Field(
        None, description="default: console on a terminal, else json"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="what is logged"
    )
    outbox_repair: bool = Field(
        default=False,
        description="true: a damaged outbox is moved aside at start and a new one begun, and one that has lost"
        " its end goes on with what it holds",
    )
    proxy_url: SecretStr | None = Field(None, description="HTTP proxy for all deliveries")
    heartbeat_url: SecretStr | None = Field(
        None,
        description="called each minute while the service is ready, for a service that notices when that ends",
    )
    deny_networks: Networks = Field(
        (),
        description="networks that no delivery is sent to, separated by spaces or commas",
    )
    allow_networks: Networks = Field(
        (), description="where set, the only networks that deliveries are sent to"
    )
    drain_timeout: Seconds = Field(
        10.0, ge=0, description="how long SIGTERM waits for attempts in flight"
    )

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as unknown:
            raise ValueError("expected an IANA time zone such as Europe/Zurich") from unknown
        return value

    @field_validator("quarantine_max_bytes")
    @classmethod
    def _leaves_room(cls, value: int | None, info: ValidationInfo) -> int | None:
        outbox_max_bytes = info.data.get("outbox_max_bytes")
        if value and outbox_max_bytes and value > outbox_max_bytes // 2:
            raise ValueError(f"expected at most half of {PREFIX}OUTBOX_MAX_BYTES")
        return value

    @field_validator("http_listen")
    @classmethod
    def _host_and_port(cls, value: str) -> str:
        host, colon, port = value.rpartition(":")
        if not (host and colon and port.isascii() and port.isdigit() and int(port) < 65536):
            raise ValueError("expected host:port such as 127.0.0.1:8080")
        return value

    @field_validator("heartbeat_url")
    @classmethod
    def _is_callable(cls, value: SecretStr | None) -> SecretStr | None:
        # Our sentence does not repeat the value, which most often holds a token.
        if value is not None and not _is_web_url(value.get_secret_value()):
            raise ValueError("expected a URL that begins with https:// or http://")
        return value

    @field_validator("public_url")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            parts = urlsplit(value)
        except ValueError:
            parts = urlsplit("")
        is_plain = parts.path in ("", "/") and not (parts.query or parts.fragment or parts.username)
        if parts.scheme not in ("http", "https") or not parts.hostname or not is_plain:
            raise ValueError(
                "expected http:// or https:// and a host, such as https://forwarder.example"
            )
        return f"{parts.scheme}://{parts.netloc.lower()}"

    @field_validator("secrets_dir")
    @classmethod
    def _is_a_folder(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_dir():
            raise ValueError("expected a folder that is there")
        return value

    @property
    def page_url(self) -> str:
        """The page's URL for people, without a slash at its end. Without PUBLIC_URL it is this machine's own URL."""
        host, port = self.listen_address
        named = "localhost" if host in _ANY_ADDRESS else host
        return self.public_url or f"http://{f'[{named}]' if ':' in named else named}:{port}"

    @property
    def listen_address(self) -> tuple[str, int]:
        host, _, port = self.http_listen.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def trusts_payload_device(self) -> bool:
        """Whether the payload's own MAC names the device under a topic that ends in none."""
        if self.trust_payload_device == "auto":
            # Each device has a level of its own below whatwatt's topic, which the broker's access rules can protect.
            return self.mqtt_topic is not None
        return self.trust_payload_device == "true"

    @property
    def outbox_place(self) -> OutboxPlace:
        """The place of the outbox. Raises SettingsError when OUTBOX_URL names neither a file nor a database."""
        place = outbox_place(self.outbox_url.get_secret_value())
        if place is None:
            raise SettingsError(
                f"{PREFIX}OUTBOX_URL: expected sqlite:///relative/path.db, sqlite:////absolute/path.db or"
                " postgresql://user:password@host:5432/database"
            )
        return place

    def broker(self) -> Broker:
        """The subscriber's broker. Raises SettingsError with everything that the environment lacks."""
        problems: list[str] = []
        uri = _collect(problems, lambda: parse_uri(self.mqtt_uri))
        topics = _collect(
            problems, lambda: parse_topics(self.mqtt_topic, username=self.mqtt_username)
        )
        _collect(problems, partial(check_authority, self.mqtt_ca_file))
        for name in ("mqtt_cert_file", "mqtt_key_file"):
            _collect(problems, partial(check_readable, name, getattr(self, name)))
        problems += self._halves() + self._exposures(uri)
        if problems or uri is None or topics is None:
            raise SettingsError("\n".join(problems))
        host, port, use_tls = uri
        return Broker(
            host=host,
            port=port,
            use_tls=use_tls,
            client_id=self.mqtt_client_id or self.mqtt_username or ANONYMOUS_CLIENT_ID,
            topics=topics,
            username=self.mqtt_username,
            password=self.mqtt_password.get_secret_value() if self.mqtt_password else None,
            qos=self.mqtt_qos,
            protocol=self.mqtt_protocol,
            keepalive_seconds=round(self.mqtt_keepalive),
            session_expiry_seconds=round(self.mqtt_session_expiry),
            ca_file=self.mqtt_ca_file,
            check_hostname=self.mqtt_tls_hostname_check,
            cert_file=self.mqtt_cert_file,
            key_file=self.mqtt_key_file,
            is_username_hidden=self._is_username_in_file,
        )

    def _halves(self) -> list[str]:
        """A sentence for each setting that is of no use without its other half."""
        problems = []
        if bool(self.mqtt_cert_file) != bool(self.mqtt_key_file):
            problems.append(
                f"{PREFIX}MQTT_CERT_FILE and {PREFIX}MQTT_KEY_FILE belong together; set both or neither"
            )
        if self.mqtt_password and not self.mqtt_username:  # MQTT 3.1.1 §3.1.2.9
            problems.append(
                f"{PREFIX}MQTT_PASSWORD is set without {PREFIX}MQTT_USERNAME; set both as whatwatt sent them"
            )
        return problems

    def _exposures(self, uri: tuple[str, int, bool] | None) -> list[str]:
        """A sentence for each setting that would show the password to others."""
        problems = []
        if uri and self.mqtt_password and not (self.mqtt_allow_plain or _is_unheard(uri)):
            problems.append(
                f"{PREFIX}MQTT_URI: mqtt:// sends the password in clear; use mqtts://,"
                f" or set {PREFIX}MQTT_ALLOW_PLAIN=true where the network is trusted"
            )
        if not self.mqtt_tls_hostname_check and self.mqtt_ca_file is None:
            # Without the check of the name any certificate of any public CA would do for the broker's.
            problems.append(
                f"{PREFIX}MQTT_TLS_HOSTNAME_CHECK=false needs {PREFIX}MQTT_CA_FILE with the broker's own certificate"
            )
        return problems


def load_settings() -> Settings:
    """
    The settings of this process: files named by `…_FILE` first, then the environment, then `.env`.

    Raises SettingsError that names every wrong setting, one line each, and never repeats a secret.
    """
    return settings_of(environment())


def settings_of(environ: Mapping[str, str]) -> Settings:
    """The settings in these variables. Raises SettingsError as `load_settings` does."""
    secrets, problems = secrets_from_files(environ)
    try:
        settings = Settings.model_validate({**_given(environ), **secrets})
    except ValidationError as invalid:
        problems += [sentence(error) for error in invalid.errors(include_url=False)]
    if problems:
        raise SettingsError("\n".join(problems))
    settings._is_username_in_file = "mqtt_username" in secrets  # noqa: SLF001 - the model's own module
    return settings


def _is_web_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _is_unheard(uri: tuple[str, int, bool]) -> bool:
    """Whether nobody on the way to the broker can listen: it speaks TLS, or is on this machine."""
    host, _, use_tls = uri
    return use_tls or is_loopback_host(host)


def _given(environ: Mapping[str, str]) -> dict[str, str]:
    """The value of each setting that has one. An empty variable counts as none."""
    ours = {name.upper(): value for name, value in environ.items() if value}
    variables = {name: PREFIX + name.upper() for name in Settings.model_fields}
    return {name: ours[variable] for name, variable in variables.items() if variable in ours}


def _collect(problems: list[str], parse: Callable[[], T]) -> T | None:
    try:
        return parse()
    except ValueError as problem:
        problems.append(str(problem))
        return None
