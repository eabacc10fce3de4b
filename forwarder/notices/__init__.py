"""
Notices tell `operator:` of routes.yaml, through the outbox, what the line does.

    rules.py    facts in, notices out (pure)           wording.py  a notice as a row of the outbox, and its JSON Schema
    teller.py   collects facts, hands notices over     told.py     the memory of told notices, as text
    silence.py  judges which devices are silent (pure)

Nothing here may stop or delay the line: a fact is an entry of a dictionary, a notice an operation of the outbox.
"""

from forwarder.notices.rules import Session
from forwarder.notices.silence import LOOK_SECONDS, Silence
from forwarder.notices.teller import Room, Teller
from forwarder.notices.wording import cloudevent_schema, new_notice, notice_schemas, text_schema

__all__ = [
    "LOOK_SECONDS",
    "Room",
    "Session",
    "Silence",
    "Teller",
    "cloudevent_schema",
    "new_notice",
    "notice_schemas",
    "text_schema",
]
