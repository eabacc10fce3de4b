"""The view of the line as a whole."""

from collections.abc import Sequence

from forwarder.api import requests as forms
from forwarder.api import resources
from forwarder.outbox import Minute
from forwarder.web.page.charts import Curve, curves_of, share
from forwarder.web.page.endpoints import counts_of, endpoint_rows, names_that_matter
from forwarder.web.page.frame import Asked, Shown, framed
from forwarder.web.page.sentences import of_broker

SHOWN_ENDPOINTS = 8
SHOWN_CHANGES = 5


def line(asked: Asked) -> Shown:
    """The state of the whole line."""
    standing = asked.standing()
    status, names = standing.status, names_that_matter(standing)
    every = [status.endpoints[name] for name in names]
    minutes = asked.minutes("")
    changes = asked.of(resources.line.audit, query=forms.AuditList(limit=SHOWN_CHANGES))
    return framed(
        "line.html",
        asked,
        title="Line",
        typed="forwarder status",
        broker=of_broker(asked.situation.readiness["mqtt"]),
        mqtt=asked.situation.readiness["mqtt"],
        outbox_problem=asked.situation.readiness["outbox"].get("problem"),
        pulse=asked.pulse,
        used_percent=share(asked.pulse.used_bytes, asked.pulse.max_bytes),
        messages=status.messages,
        quarantined=status.quarantine,
        pending=sum(one.totals.pending for one in every),
        delivered=sum(one.totals.delivered for one in every),
        dead_letters=sum(one.dead_letters for one in every),
        endpoint_counts=counts_of(standing),
        endpoints=endpoint_rows(names[:SHOWN_ENDPOINTS], asked),
        routes=asked.situation.readiness["routes"],
        routes_problem=asked.situation.problem,
        changes=changes["items"],
        accepted=_curve(asked, minutes, "accepted"),
        enqueued=_curve(asked, minutes, "enqueued"),
        went_out=_curve(asked, minutes, "delivered"),
    )


def _curve(asked: Asked, minutes: Sequence[Minute], what: str) -> Curve:
    (curve,) = curves_of(minutes, lambda one: one.counts.get(what, 0), now=asked.situation.now)
    return curve
