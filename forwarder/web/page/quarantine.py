"""Messages in quarantine are shown with what today's settings make of them."""

from collections.abc import Mapping
from urllib.parse import urlencode

from forwarder.api import Raw, resources
from forwarder.api import requests as forms
from forwarder.errors import ConfigurationError
from forwarder.operator.payload import flattened, hex_lines, printable
from forwarder.web.page.frame import Asked, Elsewhere, Shown, View, framed

SHOWN = 50
SHOWN_BYTES = 4096
WORD = "discard"
"""The word that has to be typed before anything is erased."""


def quarantine(asked: Asked) -> Shown:
    """The messages in order of arrival."""
    query = forms.QuarantineList(limit=SHOWN, cursor=asked.query.get("cursor") or None)
    found = asked.of(resources.quarantine.listed, query=query)
    status = asked.standing().status
    return framed(
        "quarantine.html",
        asked,
        title="Quarantine",
        typed="forwarder quarantine list",
        rows=found["items"],
        count=status.quarantine,
        evicted=sum(status.quarantine_evicted.values()),
        next=f"/quarantine?{urlencode({'cursor': found['next']})}" if "next" in found else None,
        word=WORD,
    )


def message(asked: Asked) -> Shown:
    """One message: its bytes, and its reading by today's settings."""
    identity = asked.path["id"]
    found = asked.of(resources.quarantine.one, id=identity)
    raw = asked.of(resources.quarantine.raw, id=identity).body
    today = asked.of(resources.quarantine.decoded, id=identity)
    text = printable(raw[:SHOWN_BYTES])
    return framed(
        "message_file.html",
        asked,
        title=f"Message {found['id']}",
        typed=f"forwarder quarantine show {found['id']}",
        one=found,
        text=text,
        bytes="\n".join(hex_lines(raw[:SHOWN_BYTES])),
        is_cut=len(raw) > SHOWN_BYTES,
        reading=_reading(today),
        still=today if isinstance(today, dict) else None,
        word=WORD,
    )


def _reading(today: object) -> str | None:
    """The reading of a message, with the digits as they came; None while it is not understood."""
    if not isinstance(today, Raw):
        return None
    pairs = flattened(today.body)
    return "\n".join(f"{path.removeprefix('reading.')}: {value}" for path, value in pairs)


def replay(asked: Asked) -> Elsewhere:
    """Read messages again with today's settings."""
    answer = asked.of(resources.quarantine.replay, query=forms.DryRun(), body=_chosen(asked))
    return Elsewhere(f"/quarantine?{urlencode({'did': 'understood', 'n': answer['count']})}")


def discard(asked: Asked) -> Elsewhere:
    """Erase messages, once the word is typed."""
    if asked.form.get("typed", "").strip().lower() != WORD:
        raise ConfigurationError(
            f"nothing was erased: type {WORD} to erase what waits in quarantine"
        )
    answer = asked.of(resources.quarantine.discard, query=forms.DryRun(), body=_chosen(asked))
    return Elsewhere(f"/quarantine?{urlencode({'did': 'discarded', 'n': answer['count']})}")


def _chosen(asked: Asked) -> forms.ChosenMessages:
    identity = asked.form.get("id")
    return (
        forms.ChosenMessages(all=True)
        if identity is None
        else forms.ChosenMessages(ids=(identity,))
    )


VIEWS: Mapping[str, View] = {"/quarantine": quarantine, "/quarantine/{id}": message}
ACTIONS: Mapping[str, View] = {"/quarantine/replay": replay, "/quarantine/discard": discard}
