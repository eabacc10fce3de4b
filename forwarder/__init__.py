"""
Forwards whatwatt Go telemetry from MQTT to signed webhooks.

 broker ─▶ subscriber ─▶ ingest ( normalise ▸ routes ) ─▶ ┌────────┐ ─▶ dispatcher ( render ▸ signing ▸ sender ▸ retry ) ─▶ endpoint
              ▲                                           │ outbox │            │
              └────────── PUBACK after commit ────────────│        │◀───────────┘  delivered | retry at | dead | expired
                                                          └────────┘ ─▶ operator: list, replay, discard

The left half makes durable work of a message, and only then acknowledges it. The right half makes HTTP attempts of the
work. They meet in the outbox alone. `service` wires them, `web` answers health and metrics, `cli` is for people.
"""  # noqa: E501 - a drawing does not wrap

__version__ = "0.2.0"
