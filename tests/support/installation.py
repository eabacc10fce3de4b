"""A builder of an installation in which every place that can name a file names a sound one."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from support.certificates import Authority

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
ROUTES = """\
groups:
  fleet: {file: fleet.txt}
endpoints:
  acme:
    url: https://acme.example/hook
    secret: file:acme-secret
    groups: [fleet]
    headers: {X-Key: "file:header"}
    auth: {basic: {username: "file:basic-username", password: "file:basic-password"}}
    tls: {ca_file: ca.pem, cert_file: client.pem, key_file: client.key}
  home:
    url: https://home.example/hook
    secret: file:home-secret
    devices: "*"
    auth: {bearer: "file:bearer"}
"""
OF_ROUTES = (
    "routes.yaml", "fleet.txt", "acme-secret", "home-secret", "header", "basic-username", "basic-password", "bearer",
    "ca.pem", "client.pem", "client.key",
)  # fmt: skip
"""Files that are read anew at each reload."""
OF_SETTINGS = (
    ".env", "mqtt-username", "mqtt-password", "proxy-url", "template.txt", "mqtt-ca.pem", "mqtt-client.pem",
    "mqtt-client.key",
)  # fmt: skip
FILES = (*OF_ROUTES, *OF_SETTINGS)


@dataclass(frozen=True)
class Installation:
    """A folder with all of the files, and the settings that name them."""

    folder: Path
    settings: Mapping[str, str]


def install(folder: Path) -> Installation:
    """Write every file; `forwarder check` finds nothing wrong."""
    texts = {
        "routes.yaml": ROUTES,
        "fleet.txt": "ECC9FF5C7AD4\n",
        "acme-secret": SECRET,
        "home-secret": SECRET,
        "header": "header-value",
        "basic-username": "username",
        "basic-password": "basic-value",
        "bearer": "bearer-value",
        ".env": "FORWARDER_KEEP_DEAD=7d\n",
        "mqtt-username": "whatwatt.integration.client.example",
        "mqtt-password": "password-value",
        "proxy-url": "http://user:proxy-value@127.0.0.1:1",
        "template.txt": '{"p": ${1_7_0}, "t": ${timestamp}}',
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    _write_certificates(folder)
    settings = {
        "MQTT_URI": "mqtts://127.0.0.1:1",
        "MQTT_USERNAME_FILE": "mqtt-username",
        "MQTT_PASSWORD_FILE": "mqtt-password",
        "PROXY_URL_FILE": "proxy-url",
        "TEMPLATE_FILE": "template.txt",
        "MQTT_CA_FILE": "mqtt-ca.pem",
        "MQTT_CERT_FILE": "mqtt-client.pem",
        "MQTT_KEY_FILE": "mqtt-client.key",
        "HTTP_LISTEN": "127.0.0.1:0",
    }
    return Installation(folder, {f"FORWARDER_{name}": value for name, value in settings.items()})


def _write_certificates(folder: Path) -> None:
    authority = Authority(folder)
    authority.issue("client", stem="client")
    for name in ("ca.pem", "client.pem", "client.key"):
        (folder / f"mqtt-{name}").write_bytes((folder / name).read_bytes())
