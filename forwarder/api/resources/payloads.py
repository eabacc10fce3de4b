"""What bytes become by today's settings, or why they do not."""

from datetime import UTC, datetime

from forwarder.api.resources.call import Call, Raw, Resources
from forwarder.event_data import encode_data
from forwarder.normalise import Normaliser
from forwarder.reading import Message, Unreadable, webhook_id

_TOPIC_WITHOUT_DEVICE = "decode/unknown"


def decode(resources: Resources, call: Call) -> object:
    # Without a topic there is nothing that the payload could gainsay.
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
