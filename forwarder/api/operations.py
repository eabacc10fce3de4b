"""Operations are the resources as values: path, forms, and the work behind. Routes and document are made from them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from pydantic import BaseModel

from forwarder.api import answers, requests
from forwarder.api.resources import (
    dead_letters,
    deliveries,
    devices,
    endpoints,
    line,
    payloads,
    quarantine,
    shares,
)
from forwarder.api.resources.call import Call, Resources

PREFIX = "/api/v1"
Work: TypeAlias = Callable[[Resources, Call], object]


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one resource. `answer` is a form, or the media type of bytes."""

    method: Literal["GET", "POST", "DELETE"]
    path: str
    """The path below PREFIX, with parts in braces."""
    name: str
    summary: str
    work: Work
    answer: type[BaseModel] | str
    query: type[BaseModel] = requests.Nothing
    body: type[BaseModel] | Literal["bytes", "none"] = "none"


OPERATIONS: Sequence[Operation] = (
    Operation(
        "GET", "/status", "status", "How broker, endpoints and queues stand", line.status,
        answers.Status,
    ),
    Operation(
        "GET", "/endpoints", "endpoints", "Every endpoint, with its accounts", endpoints.listed,
        answers.All[answers.Endpoint],
    ),
    Operation(
        "GET", "/endpoints/{name}", "endpoint", "One endpoint", endpoints.one,
        answers.Endpoint,
    ),
    Operation(
        "POST", "/endpoints/{name}/pause", "pause", "Send nothing more to an endpoint",
        endpoints.pause, answers.Count, requests.DryRun,
    ),
    Operation(
        "POST", "/endpoints/{name}/resume", "resume",
        "Let an endpoint go on, also after a 410", endpoints.resume, answers.Count,
        requests.DryRun,
    ),
    Operation(
        "POST", "/endpoints/{name}/test", "sendTest",
        "Send a signed webhook.test event, and tell the answer", endpoints.send_test,
        answers.TestAnswer,
    ),
    Operation(
        "GET", "/endpoints/{name}/shares", "shares", "The links that show it to its people",
        shares.listed, answers.All[answers.Share],
    ),
    Operation(
        "POST", "/endpoints/{name}/shares", "share",
        "Make a link that shows its deliveries, read-only", shares.make, answers.NewShare,
        body=requests.LinkWanted,
    ),
    Operation(
        "DELETE", "/endpoints/{name}/shares/{id}", "unshare", "End a link at once",
        shares.revoke, answers.Count, requests.DryRun,
    ),
    Operation(
        "GET", "/devices", "devices", "Every device, by name", devices.listed,
        answers.Page[answers.Device], requests.DeviceList,
    ),
    Operation(
        "GET", "/devices/{device}", "device", "Everything about one device", devices.one,
        answers.DeviceFile,
    ),
    Operation(
        "GET", "/deliveries", "deliveries", "What was delivered and what is pending, newest first",
        deliveries.listed, answers.Page[answers.Delivery], requests.DeliveryList,
    ),
    Operation(
        "GET", "/deliveries/{id}", "delivery", "One reading's deliveries, with each attempt",
        deliveries.one, answers.All[answers.DeliveryFile], requests.Which,
    ),
    Operation(
        "GET", "/dead-letters", "deadLetters", "What could not be delivered, first died first",
        dead_letters.listed, answers.Page[answers.DeadLetter], requests.DeadLetterList,
    ),
    Operation(
        "GET", "/dead-letters/{id}", "deadLetter", "One reading's dead letters, with each attempt",
        dead_letters.one, answers.All[answers.DeliveryFile], requests.Which,
    ),
    Operation(
        "POST", "/dead-letters/replay", "replayDeadLetters",
        "Try dead letters again, here or at another endpoint", dead_letters.replay,
        answers.Replayed, requests.DryRun, requests.ReplayedDeadLetters,
    ),
    Operation(
        "POST", "/dead-letters/discard", "discardDeadLetters", "Erase dead letters for good",
        dead_letters.discard, answers.Count, requests.DryRun,
        requests.ChosenDeadLetters,
    ),
    Operation(
        "GET", "/quarantine", "quarantine", "Messages that could not be understood",
        quarantine.listed, answers.Page[answers.QuarantinedMessage], requests.QuarantineList,
    ),
    Operation(
        "GET", "/quarantine/{id}", "message", "One message, with its bytes", quarantine.one,
        answers.QuarantinedFile,
    ),
    Operation(
        "GET", "/quarantine/{id}/raw", "messageRaw", "Its bytes, exactly as they came",
        quarantine.raw, "application/octet-stream",
    ),
    Operation(
        "GET", "/quarantine/{id}/decoded", "messageDecoded",
        "What it becomes with today's settings", quarantine.decoded, answers.Decoded,
    ),
    Operation(
        "POST", "/quarantine/replay", "replayMessages",
        "Read messages again with today's settings and routes", quarantine.replay,
        answers.ReplayedMessages, requests.DryRun, requests.ChosenMessages,
    ),
    Operation(
        "POST", "/quarantine/discard", "discardMessages", "Erase messages for good",
        quarantine.discard, answers.Count, requests.DryRun, requests.ChosenMessages,
    ),
    Operation(
        "GET", "/routes", "routes", "Who gets which devices, and why", line.routes,
        answers.Routing, requests.RoutesQuery,
    ),
    Operation(
        "GET", "/audit", "audit", "Who changed what, newest first", line.audit,
        answers.Page[answers.Change], requests.AuditList,
    ),
    Operation(
        "POST", "/decode", "decode", "What a payload becomes, or why it does not",
        payloads.decode, answers.Decoded, requests.DecodeQuery, "bytes",
    ),
)  # fmt: skip


def path_parameters(operation: Operation) -> Mapping[str, str]:
    """The names in braces, each with its meaning."""
    meaning = {
        "name": "an endpoint's name",
        "device": "a MAC in any spelling",
        "id": "the id, or a unique beginning of `msg_…`",
    }
    return {name: said for name, said in meaning.items() if f"{{{name}}}" in operation.path}
