"""The JSON forms for programs: one for each thing, the same from commands with --json and from the API."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from forwarder.delivery import Attempt, Failed
from forwarder.operator.devices import DeviceFile, DeviceStatus
from forwarder.operator.send_test import Answered
from forwarder.operator.status import EndpointStatus, Status
from forwarder.outbox import AuditRecord, DeliveryFile, DeliveryRecord, Quarantined, Share
from forwarder.reading import Device, JsonValue, rfc3339
from forwarder.routes import EndpointName, Routes, Selection
from forwarder.terminal import plain_json


def instant(unix: float | None) -> str | None:
    """UNIX seconds as RFC 3339."""
    return None if unix is None else rfc3339(datetime.fromtimestamp(unix, UTC))


def with_raw(value: Mapping[str, object], name: str, raw: bytes | None) -> str:
    """A JSON object on one line with one more member, which is JSON already, so that its digits stay as they are."""
    text = json.dumps(value)
    member = "null" if raw is None else plain_json(raw.decode())
    return f"{text[:-1]}, {json.dumps(name)}: {member}}}"


def delivery_object(record: DeliveryRecord) -> dict[str, object]:
    """A delivery as `deliveries list` has it."""
    return {
        "id": record.webhook_id,
        "endpoint": record.endpoint,
        "device": record.device,
        "webhook_id": record.webhook_id,
        "state": record.state,
        "reason": record.reason,
        "attempts": record.attempts,
        "last_status": record.last_status,
        "last_error": last_error(record),
        "measured_at": record.measured_at,
        "received_at": instant(record.received_at),
        "enqueued_at": instant(record.enqueued_at),
        "settled_at": instant(record.settled_at),
        "next_attempt_at": instant(next_attempt_at(record)),
    }


def delivery_file_object(delivery: DeliveryFile) -> dict[str, object]:
    """Everything about a delivery but the reading's data."""
    history = [_attempt_object(attempt) for attempt in delivery.attempts]
    return {**delivery_object(delivery.record), "history": history}


def dead_letter_object(record: DeliveryRecord) -> dict[str, object]:
    """A dead letter as `dead-letters list` has it."""
    return {
        "id": record.webhook_id,
        "endpoint": record.endpoint,
        "device": record.device,
        "webhook_id": record.webhook_id,
        "reason": record.reason,
        "attempts": record.attempts,
        "last_status": record.last_status,
        "last_error": record.last_error,
        "enqueued_at": instant(record.enqueued_at),
        "died_at": instant(record.settled_at),
    }


def quarantined_object(message: Quarantined) -> dict[str, object]:
    """A message in quarantine, without its bytes."""
    return {
        "id": message.id,
        "device": message.device,
        "topic": message.topic,
        "received_at": instant(message.received_at),
        "reason": message.reason,
        "detail": message.detail,
        "size": message.size,
        "kept_bytes": len(message.payload),
    }


def device_object(one: DeviceStatus, now: float) -> dict[str, object]:
    """A device as `devices` has it; `now` is UNIX seconds."""
    record = one.record
    return {
        "device": one.device,
        "last_reading_at": instant(one.last_at),
        "age_seconds": None if one.last_at is None else round(max(0.0, now - one.last_at), 1),
        "measured_at": record.measured_at if record else None,
        "usual_interval_seconds": one.usual_interval,
        "endpoints": None if one.endpoints is None else list(one.endpoints),
        "silent_since": instant(one.silent_since),
        "first_heard_at": instant(record.first_at) if record else None,
        "last_unreadable_at": instant(record.unreadable_at) if record else None,
        "quarantined": one.quarantined,
    }


def device_file_object(found: DeviceFile, now: float) -> dict[str, object]:
    """Everything about a device as `devices DEVICE` has it."""
    return {
        **device_object(found.status, now),
        "because": {name: list(reasons) for name, reasons in found.because.items()},
        "last_reading": [delivery_object(each) for each in found.deliveries],
        "quarantine": [quarantined_object(each) for each in found.messages],
    }


def endpoint_object(endpoint: EndpointStatus, now: float) -> dict[str, Any]:
    """An endpoint as `status` has it; `now` is UNIX seconds."""
    totals, health = endpoint.totals, endpoint.health
    return {
        "state": endpoint.state,
        "enqueued": totals.enqueued,
        "delivered": totals.delivered,
        "dead": totals.dead,
        "expired": totals.expired,
        "superseded": totals.superseded,
        "pending": totals.pending,
        "oldest_pending_seconds": oldest_seconds(endpoint, now),
        "dead_letters": endpoint.dead_letters,
        "last_error": health.last_error,
        "last_error_at": instant(health.last_error_at),
        "last_success_at": instant(health.last_success_at),
        "failures": health.failures,
        "failing_since": instant(health.failing_since),
        "next_probe_at": instant(health.open_until) if endpoint.state == "open" else None,
        "paused_by": endpoint.paused_by,
    }


def status_object(
    status: Status,
    *,
    ready: bool,
    reasons: Sequence[str],
    mqtt: Mapping[str, Any],
    outbox: Mapping[str, Any],
    routes: Mapping[str, Any],
    now: float,
) -> dict[str, Any]:
    """The state of the whole line. `now` is UNIX seconds, and the mappings come from the running service."""
    return {
        "ready": ready,
        "reasons": list(reasons),
        "mqtt": mqtt,
        "outbox": {"id": status.identity, "problem": None, **outbox},
        "routes": routes,
        "replicas": [asdict(one) for one in status.replicas],
        "messages": status.messages,
        "quarantine": status.quarantine,
        "quarantine_evicted": status.quarantine_evicted,
        "endpoints": {
            name: endpoint_object(endpoint, now) for name, endpoint in status.endpoints.items()
        },
    }


def routes_object(routes: Routes) -> JsonValue:
    """Every endpoint with the devices that it asks for."""
    return {
        "endpoints": {name: _routed(routes, name) for name in routes.endpoints},
        "groups": {name: len(devices) for name, devices in routes.groups.items()},
    }


def routes_of_device_object(routes: Routes, device: Device) -> JsonValue:
    """The endpoints that get this device, and why."""
    return {
        "device": device,
        "endpoints": [
            {"endpoint": name, "because": routes.reasons(device, name)}
            for name in routes.match(device)
        ],
    }


def _routed(routes: Routes, name: EndpointName) -> dict[str, JsonValue]:
    selection = routes.selections.get(name, Selection())
    devices: list[JsonValue] = [*sorted(routes.devices_of(name))]
    return {
        "devices": "*" if selection.wants_every_device else devices,
        "groups": selection.groups,
        "paused": routes.endpoints[name].paused,
    }


def oldest_seconds(endpoint: EndpointStatus, now: float) -> float | None:
    """The age of the oldest pending delivery; None when nothing is pending."""
    oldest_at = endpoint.totals.oldest_pending_at
    return None if oldest_at is None else round(max(0.0, now - oldest_at), 1)


def last_error(record: DeliveryRecord) -> str | None:
    """The last error; None once it was delivered, because the row keeps the error of an earlier attempt."""
    return None if record.state == "delivered" else record.last_error


def next_attempt_at(record: DeliveryRecord) -> float | None:
    """UNIX seconds of the next attempt; None unless it waits for one."""
    return record.due_at if record.state == "pending" and record.due_at else None


def _attempt_object(attempt: Attempt) -> dict[str, object]:
    return {
        "number": attempt.number,
        "attempted_at": instant(attempt.attempted_at),
        "duration_ms": round(attempt.duration_ms, 1),
        "address": attempt.address,
        "status": attempt.status,
        "error": attempt.error or None,
        "detail": attempt.detail or None,
        "answer": attempt.answer.decode(errors="replace") or None,
    }


def audit_object(record: AuditRecord) -> dict[str, object]:
    """A record of a change as `audit` has it."""
    return {
        "at": instant(record.at),
        "via": record.via,
        "who": record.who,
        "what": record.what,
        "endpoint": record.endpoint,
        "count": record.count,
    }


def share_object(share: Share) -> dict[str, object]:
    """A link as `endpoints shares` has it. Its secret is not known."""
    return {
        "id": share.id,
        "endpoint": share.endpoint,
        "created_at": instant(share.created_at),
        "expires_at": instant(share.expires_at),
    }


def outcome_object(name: str, outcome: Answered) -> dict[str, object]:
    """The outcome of a test. `error` is null if the test was taken, and `detail` is null if there was an answer."""
    result = outcome.result
    failed = result if isinstance(result, Failed) else None
    return {
        "endpoint": name,
        "ok": outcome.is_taken,
        "status": result.status,
        "error": None if outcome.is_taken else outcome.word,
        "detail": failed.detail or None if failed else None,
        "address": result.address,
        "answer": result.answer.decode(errors="replace"),
        "duration_ms": round(outcome.seconds * 1000),
    }
