"""
Settings come from the environment, a `.env` file, and a file per secret. Nothing else in the program reads them.

    environment ( .env, over it the process's own ) ─▶ model ( names, forms, ranges ) ─▶ broker ( how to reach MQTT )

Prefix FORWARDER_. MQTT_USERNAME, MQTT_PASSWORD, OUTBOX_URL, PROXY_URL, HEARTBEAT_URL and ADMIN_TOKEN may instead be
given by a file, the same name with _FILE.
"""

from forwarder.settings.broker import Broker
from forwarder.settings.database import Database, OutboxPlace, outbox_place
from forwarder.settings.environment import PREFIX, environment
from forwarder.settings.model import Settings, load_settings, settings_of
from forwarder.settings.schema import settings_schema, unknown_settings

__all__ = [
    "PREFIX",
    "Broker",
    "Database",
    "OutboxPlace",
    "Settings",
    "environment",
    "load_settings",
    "outbox_place",
    "settings_of",
    "settings_schema",
    "unknown_settings",
]
