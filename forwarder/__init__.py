"""
Forwards whatwatt Go telemetry from MQTT to signed webhooks.

 broker ─▶ subscriber ─▶ ingest ( normalise ▸ routes ) ─▶ ┌────────┐ ─▶ dispatcher ( render ▸ signing ▸ sender ▸ retry ) ─▶ endpoint
              ▲                                           │ outbox │            │
              └────────── PUBACK after commit ────────────│        │◀───────────┘  delivered | retry at | dead | expired
                                                          └────────┘ ─▶ operator: list, replay, discard

Left of the outbox a message becomes durable work and only then is acknowledged; right of it work becomes HTTP
attempts. The two halves meet nowhere else. `service` wires them, `web` answers health and metrics, `cli` is for people.
"""  # noqa: E501 - a drawing does not wrap

__version__ = "0.2.0"
