"""Payloads are decoded by today's settings."""

from datetime import UTC, datetime

from forwarder.api.resources.call import Call, Raw, Resources
from forwarder.event_data import encode_data
from forwarder.normalise import Normaliser
from forwarder.reading import Message, Unreadable, webhook_id

_TOPIC_WITHOUT_DEVICE = "decode/unknown"


def decode(resources: Resources, call: Call) -> object:
    # Without a topic the payload's own device counts, because there is nothing that it could contradict.
    topic = call.query.topic
    normaliser = resources.trusting if topic is None else resources.normaliser
    return decoded_by(
        normaliser, Message(topic or _TOPIC_WITHOUT_DEVICE, call.body, datetime.now(UTC))
    )


def decoded_by(normaliser: Normaliser, message: Message) -> object:
    """The reading, or the reason for the quarantine."""
    outcome = normaliser.normalise(message)
    if isinstance(outcome, Unreadable):
        return {"quarantine": outcome.reason, "detail": outcome.detail}
    data = encode_data(webhook_id(outcome.device, message.payload), outcome)
    return Raw(f'{{"reading": {data.decode()}}}'.encode())
