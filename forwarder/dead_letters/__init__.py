"""
What an operator does with the outbox, while the service runs and while it is stopped.

    file.py        the outbox as a command opens it           letters.py     dead letters: replay, discard
    selection.py   which rows are meant                       quarantine.py  messages that could not be understood
    naming.py      which deliveries an id means               endpoints.py   pause and resume
    lookup.py      deliveries by their ids, in SQL            records.py     deliveries and their attempts
    overview.py    how everything stands                      erasure.py     one device's every trace, erased
    inspection.py  is the file sound, do the accounts agree   todays_routes.py  routes.yaml without its secrets
"""

from forwarder.dead_letters.endpoints import pause, resume
from forwarder.dead_letters.erasure import Purged, copies_aside, purge
from forwarder.dead_letters.file import Chosen, OutboxFile, opened
from forwarder.dead_letters.inspection import Inspection, inspect
from forwarder.dead_letters.letters import (
    Replayed,
    choose_dead_letters,
    choose_deliveries,
    discard,
    endpoints_of,
    replay,
    replay_to,
)
from forwarder.dead_letters.naming import name_dead_letters, name_deliveries, require_device
from forwarder.dead_letters.overview import EndpointStatus, Overview, read_overview
from forwarder.dead_letters.quarantine import (
    Outcome,
    Quarantined,
    choose_quarantined,
    decoder,
    discard_quarantined,
    quarantined_message,
    quarantined_messages,
    replay_quarantined,
)
from forwarder.dead_letters.records import (
    DeliveryFile,
    DeliveryRecord,
    deliveries_with_data,
    delivery_file,
    records,
)
from forwarder.dead_letters.selection import DeliveryId, Selection
from forwarder.dead_letters.todays_routes import known_endpoints, look_at_routes, require_endpoint

__all__ = [
    "Chosen",
    "DeliveryFile",
    "DeliveryId",
    "DeliveryRecord",
    "EndpointStatus",
    "Inspection",
    "OutboxFile",
    "Outcome",
    "Overview",
    "Purged",
    "Quarantined",
    "Replayed",
    "Selection",
    "choose_dead_letters",
    "choose_deliveries",
    "choose_quarantined",
    "copies_aside",
    "decoder",
    "deliveries_with_data",
    "delivery_file",
    "discard",
    "discard_quarantined",
    "endpoints_of",
    "inspect",
    "known_endpoints",
    "look_at_routes",
    "name_dead_letters",
    "name_deliveries",
    "opened",
    "pause",
    "purge",
    "quarantined_message",
    "quarantined_messages",
    "read_overview",
    "records",
    "replay",
    "replay_quarantined",
    "replay_to",
    "require_device",
    "require_endpoint",
    "resume",
]
