"""Links to one endpoint are made and revoked by the operator, and open its view to anybody who has one."""

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import quote, urlencode

from forwarder.api import requests as forms
from forwarder.api import resources
from forwarder.errors import OperationError
from forwarder.outbox import Share
from forwarder.web.page.deliveries import SHOWN, file_of, row_of
from forwarder.web.page.endpoints import endpoint, endpoint_row, path_of
from forwarder.web.page.frame import Asked, Elsewhere, Shown, View

PATH = "/share"
GONE = "this link shows nothing: it was revoked, its time is over, or it was never made"


def make(asked: Asked) -> Shown:
    """Make a link, and show it this once."""
    body = forms.LinkWanted.model_validate({"for": asked.form.get("for", "7d")})
    made = asked.of(resources.shares.make, body=body, name=asked.path["name"])
    return endpoint(replace(asked, here=path_of(asked)), link=made)


def revoke(asked: Asked) -> Elsewhere:
    """End a link."""
    name, identity = asked.path["name"], asked.path["id"]
    asked.of(resources.shares.revoke, query=forms.DryRun(), name=name, id=identity)
    return Elsewhere(f"{path_of(asked)}?{urlencode({'did': 'unshared', 'n': 1})}")


def shared(asked: Asked) -> Shown:
    """The view for the endpoint's people: its state, and its newest deliveries."""
    share = _opened(asked)
    status, now = asked.standing().status, asked.situation.now
    one = status.endpoints.get(share.endpoint)
    if one is None:
        raise OperationError(GONE)
    query = forms.DeliveryList(
        endpoint=share.endpoint, limit=SHOWN, cursor=asked.query.get("cursor") or None
    )
    found = asked.of(resources.deliveries.listed, query=query)
    cursor = found.get("next")
    return _shown(
        "shared.html",
        asked,
        share,
        row=endpoint_row(share.endpoint, one, now),
        totals=one.totals,
        rows=[row_of(each) for each in found["items"]],
        next=f"{_path(asked)}?{urlencode({'cursor': cursor})}" if cursor else None,
        is_onwards="cursor" in asked.query,
        looked_at=asked.resources.most_looked_at,
    )


def shared_delivery(asked: Asked) -> Shown:
    """One delivery to the endpoint, with its attempts, and never a delivery to another."""
    share = _opened(asked)
    query = forms.Which(endpoint=share.endpoint)
    try:
        files = asked.of(resources.deliveries.files, query=query, id=asked.path["id"])
    except OperationError:  # its words may tell which other endpoints get the reading
        raise OperationError("there is no such delivery to this endpoint") from None
    files = [one for one in files if one.record.endpoint == share.endpoint]
    return _shown(
        "shared_delivery.html",
        asked,
        share,
        files=[file_of(one, None) for one in files],
        id=files[0].record.webhook_id,
        device=files[0].record.device,
    )


def _opened(asked: Asked) -> Share:
    share = resources.shares.opened_by(
        asked.resources, asked.path["token"], now=asked.situation.now
    )
    if share is None:
        raise OperationError(GONE)
    return share


def _path(asked: Asked) -> str:
    return f"{PATH}/{quote(asked.path['token'], safe='')}"


def _shown(template: str, asked: Asked, share: Share, **context: object) -> Shown:
    """A view in a frame of its own, which says nothing of the rest of the line."""
    frame = {
        "title": share.endpoint,
        "share": share,
        "now": asked.situation.now,
        "base": _path(asked),
    }
    return Shown(template, {**frame, **context})


ACTIONS: Mapping[str, View] = {
    "/endpoints/{name}/share": make,
    "/endpoints/{name}/shares/{id}/revoke": revoke,
}
SHARED: Mapping[str, View] = {
    f"{PATH}/{{token}}": shared,
    f"{PATH}/{{token}}/deliveries/{{id}}": shared_delivery,
}
"""The views behind a link. The link is its own credential, for any Host, with and without an admin token."""
