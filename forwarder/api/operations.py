"""Every resource as one value: its path, its forms, and the work behind it. Routes and document are made from these."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from pydantic import BaseModel

from forwarder.api import answers, requests
from forwarder.api.resources import Call, Resources

PREFIX = "/api/v1"
DECODED = answers.Decoded
Work: TypeAlias = Callable[[Resources, Call], object]


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one resource; `answer` is a form, or the media type of bytes."""

    method: Literal["GET", "POST", "DELETE"]
    path: str
    """Below PREFIX, with parts in braces."""
    name: str
    summary: str
    work: Work
    answer: type[BaseModel] | str
    query: type[BaseModel] = requests.Nothing
    body: type[BaseModel] | Literal["bytes", "none"] = "none"


OPERATIONS: Sequence[Operation] = (
    Operation(
        "GET", "/status", "status", "How broker, endpoints and queues stand", Resources.status,
        answers.Status,
    ),
    Operation(
        "GET", "/endpoints", "endpoints", "Every endpoint, with its accounts", Resources.endpoints,
        answers.All[answers.Endpoint],
    ),
    Operation(
        "GET", "/endpoints/{name}", "endpoint", "One endpoint", Resources.endpoint,
        answers.Endpoint,
    ),
    Operation(
        "POST", "/endpoints/{name}/pause", "pause", "Send nothing more to an endpoint",
        Resources.pause, answers.Count, requests.DryRun,
    ),
    Operation(
        "POST", "/endpoints/{name}/resume", "resume",
        "Let an endpoint go on, also after a 410", Resources.resume, answers.Count,
        requests.DryRun,
    ),
    Operation(
        "POST", "/endpoints/{name}/test", "sendTest",
        "Send a signed webhook.test event, and tell the answer", Resources.send_test,
        answers.TestAnswer,
    ),
    Operation(
        "GET", "/endpoints/{name}/shares", "shares", "The links that show it to its people",
        Resources.shares, answers.All[answers.Share],
    ),
    Operation(
        "POST", "/endpoints/{name}/shares", "share",
        "Make a link that shows its deliveries, read-only", Resources.share, answers.NewShare,
        body=requests.LinkWanted,
    ),
    Operation(
        "DELETE", "/endpoints/{name}/shares/{id}", "unshare", "End a link at once",
        Resources.unshare, answers.Count, requests.DryRun,
    ),
    Operation(
        "GET", "/devices", "devices", "Every device, by name", Resources.devices,
        answers.Page[answers.Device], requests.DeviceList,
    ),
    Operation(
        "GET", "/devices/{device}", "device", "Everything about one device", Resources.device,
        answers.DeviceFile,
    ),
    Operation(
        "GET", "/deliveries", "deliveries", "What was delivered and what is pending, newest first",
        Resources.deliveries, answers.Page[answers.Delivery], requests.DeliveryList,
    ),
    Operation(
        "GET", "/deliveries/{id}", "delivery", "One reading's deliveries, with each attempt",
        Resources.delivery, answers.All[answers.DeliveryFile], requests.Which,
    ),
    Operation(
        "GET", "/dead-letters", "deadLetters", "What could not be delivered, first died first",
        Resources.dead_letters, answers.Page[answers.DeadLetter], requests.DeadLetterList,
    ),
    Operation(
        "GET", "/dead-letters/{id}", "deadLetter", "One reading's dead letters, with each attempt",
        Resources.dead_letter, answers.All[answers.DeliveryFile], requests.Which,
    ),
    Operation(
        "POST", "/dead-letters/replay", "replayDeadLetters",
        "Try dead letters again, here or at another endpoint", Resources.replay_dead_letters,
        answers.Replayed, requests.DryRun, requests.ReplayedDeadLetters,
    ),
    Operation(
        "POST", "/dead-letters/discard", "discardDeadLetters", "Erase dead letters for good",
        Resources.discard_dead_letters, answers.Count, requests.DryRun,
        requests.ChosenDeadLetters,
    ),
    Operation(
        "GET", "/quarantine", "quarantine", "Messages that could not be understood",
        Resources.quarantine, answers.Page[answers.QuarantinedMessage], requests.QuarantineList,
    ),
    Operation(
        "GET", "/quarantine/{id}", "message", "One message, with its bytes", Resources.message,
        answers.QuarantinedFile,
    ),
    Operation(
        "GET", "/quarantine/{id}/raw", "messageRaw", "Its bytes, exactly as they came",
        Resources.message_raw, "application/octet-stream",
    ),
    Operation(
        "GET", "/quarantine/{id}/decoded", "messageDecoded",
        "What it becomes with today's settings", Resources.message_decoded, answers.Decoded,
    ),
    Operation(
        "POST", "/quarantine/replay", "replayMessages",
        "Read messages again with today's settings and routes", Resources.replay_messages,
        answers.ReplayedMessages, requests.DryRun, requests.ChosenMessages,
    ),
    Operation(
        "POST", "/quarantine/discard", "discardMessages", "Erase messages for good",
        Resources.discard_messages, answers.Count, requests.DryRun, requests.ChosenMessages,
    ),
    Operation(
        "GET", "/routes", "routes", "Who gets which devices, and why", Resources.routes,
        answers.Routing, requests.RoutesQuery,
    ),
    Operation(
        "GET", "/audit", "audit", "Who changed what, newest first", Resources.audit,
        answers.Page[answers.Change], requests.AuditList,
    ),
    Operation(
        "POST", "/decode", "decode", "What a payload becomes, or why it does not",
        Resources.decode, answers.Decoded, requests.DecodeQuery, "bytes",
    ),
)  # fmt: skip


def path_parameters(operation: Operation) -> Mapping[str, str]:
    """The names in braces, and what they are."""
    meaning = {
        "name": "an endpoint's name",
        "device": "a MAC in any spelling",
        "id": "the id, or a unique beginning of `msg_…`",
    }
    return {name: said for name, said in meaning.items() if f"{{{name}}}" in operation.path}
