"""Notices of every kind, one with a hostile name."""

from forwarder.notice import (
    DeliveriesDead,
    DeviceResumed,
    DeviceSilent,
    DevicesSilent,
    EndpointFailing,
    EndpointPaused,
    EndpointRecovered,
    Notice,
    OutboxFellBack,
    OutboxNearlyFull,
    QuarantineGrowing,
    RoutesRejected,
    StreamInterrupted,
    StreamResumed,
)

BEGAN = 1763461060.25
"""2025-11-18T10:17:40.250Z."""
HOSTILE = '<!channel> & "@all"\n`rm`\x1b[31m'
NOTICES: tuple[Notice, ...] = (
    EndpointFailing("acme", BEGAN, "http_503", 5),
    EndpointRecovered("acme", BEGAN, BEGAN + 754),
    EndpointPaused("acme", BEGAN, "gone"),
    EndpointPaused("home", BEGAN, "operator"),
    DeliveriesDead("acme", BEGAN, 3, {"refused": 2, "expired": 1}),
    DeviceSilent("ECC9FF5C7F14", BEGAN, 600.0),
    DeviceSilent(HOSTILE, BEGAN, 600.0),
    DeviceResumed("ECC9FF5C7F14", BEGAN, BEGAN + 90_000),
    DevicesSilent(BEGAN, 135, ("ECC9FF5C7F14", "ECC9FF5C7F15")),
    StreamInterrupted(BEGAN, "mqtt.example:8883 refused the connection"),
    StreamResumed(BEGAN, BEGAN + 100, session_lost=True),
    StreamResumed(BEGAN, BEGAN + 100, session_lost=False),
    RoutesRejected(BEGAN, 2, "routes.yaml:14:13"),
    OutboxNearlyFull(BEGAN, 9_900_000_000, 10_737_418_240),
    OutboxFellBack(BEGAN, 1_204),
    QuarantineGrowing(BEGAN, 12, {"not_json": 11, "no_device": 1}),
)
