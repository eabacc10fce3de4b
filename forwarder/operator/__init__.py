"""
The operator's actions on the outbox, in an operator's words. They work while the service runs and while it is stopped.

    dead_letters.py  replay, here or elsewhere, and discard     quarantine.py    messages that could not be understood
    status.py        how everything stands                      known_routes.py  routes.yaml without its secrets
    choosing.py      which rows are meant
    naming.py        which deliveries an id means          objects.py       the JSON form of each thing
    devices.py       who reports, and who does not          send_test.py     signed requests that no delivery owes
    sharing.py       links to one endpoint for its people   audit.py         who changed what
    pausing.py       endpoints that rest                    wording.py       how an endpoint stands, in words
    payload.py       bytes for people
"""

from forwarder.operator.audit import Actor, Change, at_the_shell, audited
from forwarder.operator.choosing import (
    dead_letters_meant,
    deliveries_meant,
    parse_device,
    quarantined_id,
    quarantined_meant,
    require_routed,
    require_same_kind,
)
from forwarder.operator.dead_letters import (
    Replayed,
    choose_dead_letters,
    delivery_file,
    discard,
    replay,
    replay_to,
)
from forwarder.operator.devices import (
    DeviceFile,
    DeviceStatus,
    devices_behind,
    read_device_file,
    read_devices,
)
from forwarder.operator.known_routes import (
    known_endpoints,
    look_at_routes,
    not_a_device,
    not_an_endpoint,
    require_device,
    require_endpoint,
)
from forwarder.operator.naming import name_dead_letters, name_deliveries
from forwarder.operator.pausing import pause, resume
from forwarder.operator.quarantine import (
    Outcome,
    choose_quarantined,
    decoder,
    discard_quarantined,
    quarantined_message,
    replay_quarantined,
)
from forwarder.operator.send_test import Answered, find_endpoint, send_each, send_test
from forwarder.operator.sharing import (
    NewShare,
    opened_by,
    require_share,
    revoke_share,
    share_endpoint,
    shares_in_force,
)
from forwarder.operator.status import EndpointStatus, PausedBy, State, Status, read_status

__all__ = [
    "Actor",
    "Answered",
    "Change",
    "DeviceFile",
    "DeviceStatus",
    "EndpointStatus",
    "NewShare",
    "Outcome",
    "PausedBy",
    "Replayed",
    "State",
    "Status",
    "at_the_shell",
    "audited",
    "choose_dead_letters",
    "choose_quarantined",
    "dead_letters_meant",
    "decoder",
    "deliveries_meant",
    "delivery_file",
    "devices_behind",
    "discard",
    "discard_quarantined",
    "find_endpoint",
    "known_endpoints",
    "look_at_routes",
    "name_dead_letters",
    "name_deliveries",
    "not_a_device",
    "not_an_endpoint",
    "opened_by",
    "parse_device",
    "pause",
    "quarantined_id",
    "quarantined_meant",
    "quarantined_message",
    "read_device_file",
    "read_devices",
    "read_status",
    "replay",
    "replay_quarantined",
    "replay_to",
    "require_device",
    "require_endpoint",
    "require_routed",
    "require_same_kind",
    "require_share",
    "resume",
    "revoke_share",
    "send_each",
    "send_test",
    "share_endpoint",
    "shares_in_force",
]
