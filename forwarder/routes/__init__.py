"""
routes.yaml says which endpoint gets which devices, and how.

    text ─▶ document (scalars with their places) ─▶ checked model ─▶ Routes ─▶ match(device)
"""

from forwarder.routes.diff import RoutesDiff, diff
from forwarder.routes.load import load_routes
from forwarder.routes.model import (
    AfterIntervals,
    AfterSeconds,
    BasicAuth,
    BatchLimits,
    BearerAuth,
    Endpoint,
    EndpointName,
    FirstOf,
    Format,
    LastOf,
    NoUrlError,
    OAuth2,
    RateLimit,
    RetrySchedule,
    Routes,
    Selection,
    SigningKey,
    SilentAfter,
)
from forwarder.routes.problems import Rejection
from forwarder.routes.watch import (
    LOOK_EVERY_SECONDS,
    Applied,
    Rejected,
    Reload,
    RoutesFile,
    Unchanged,
)

__all__ = [
    "LOOK_EVERY_SECONDS",
    "AfterIntervals",
    "AfterSeconds",
    "Applied",
    "BasicAuth",
    "BatchLimits",
    "BearerAuth",
    "Endpoint",
    "EndpointName",
    "FirstOf",
    "Format",
    "LastOf",
    "NoUrlError",
    "OAuth2",
    "RateLimit",
    "Rejected",
    "Rejection",
    "Reload",
    "RetrySchedule",
    "Routes",
    "RoutesDiff",
    "RoutesFile",
    "Selection",
    "SigningKey",
    "SilentAfter",
    "Unchanged",
    "diff",
    "load_routes",
]
